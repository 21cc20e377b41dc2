"""What a party agrees on, in exact arithmetic: the order of seats and options never matters.

A seat weighs its team's weight times a bucket of its confidence. Who supports another option, or opposes one, counts
against it; who abstains counts for the quorum alone, and who did not answer counts for nothing but the number of seats.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.reasoning.party.negation import are_judged, are_opposed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STRONG, WEAK, NONE = "strong", "weak", "none"
SUPPORT, OPPOSE, ABSTAIN = "support", "oppose", "abstain"
STANCES = (SUPPORT, OPPOSE, ABSTAIN)
STRONG_AT, WEAK_AT, QUORUM = Fraction(4, 5), Fraction(3, 5), Fraction(2, 3)
VOICES_LEAST = 2
_BUCKETS = ((0.8, 3), (0.5, 2))
"""Confidences from which a vote weighs so much, else 1: stated confidence is overconfident, so it cannot say more."""
_NOTHING = Fraction(0)
_TORN = "torn"
"""Of a claim that is supported together with its negation: neither support nor opposition."""


class Ballot(NamedTuple):
    """What one seat says to each option or claim it speaks of."""

    seat: int
    stances: Mapping[str, str]
    weight: Fraction = Fraction(1)
    """The team's for this seat."""
    confidence: float | None = None
    """0 to 1; None counts as low."""

    @property
    def is_vote(self) -> bool:
        """Whether it says anything but abstain."""
        return any(stance != ABSTAIN for stance in self.stances.values())

    def supports(self, name: str) -> bool:
        """Tell whether it is for an option."""
        return self.stances.get(name) == SUPPORT


class Tally(NamedTuple):
    """The outcome of one count."""

    state: str
    option: str | None
    """What most weight supports; None on a tie, without votes, and where it cannot be told what two claims mean."""
    share: Fraction
    unweighted: Fraction
    """The same share with every seat alike and no look at confidence."""
    margin: Fraction
    """To the next option."""
    has_quorum: bool
    present: int
    """Seats that answered, those that abstain among them."""
    votes: int
    shares: Mapping[str, Fraction]
    rejected: Mapping[str, Fraction]
    """Options that at least four fifths of the weight oppose, and how much."""
    contested: bool
    """Whether two options, each with enough support, are not held by the same seats, or may deny each other."""
    is_unjudged: bool = False
    """Whether it is contested only because nobody here can tell whether two claims deny each other."""


def bucket(confidence: float | None) -> int:
    """Return how much a vote of this confidence weighs: 1, 2 or 3."""
    return next((weight for least, weight in _BUCKETS if confidence is not None and confidence >= least), 1)


def needed(seats: int) -> int:
    """Return how many seats must have answered for a quorum."""
    return max(-(-seats * QUORUM.numerator // QUORUM.denominator), VOICES_LEAST)


def state_of(share: Fraction) -> str:
    """Return the state of a share: strong from four fifths, weak from three fifths."""
    return STRONG if share >= STRONG_AT else WEAK if share >= WEAK_AT else NONE


def count(ballots: Sequence[Ballot], *, seats: int, by_confidence: bool = True) -> Tally:
    """Count the ballots of those who answered among so many seats."""
    votes = [consistent(one) for one in ballots if consistent(one).is_vote]
    weights = [one.weight * (bucket(one.confidence) if by_confidence else 1) for one in votes]
    names = sorted({name for one in votes for name in one.stances})
    shares = {name: _share(votes, weights, name, SUPPORT) for name in names}
    equal = [Fraction(1)] * len(votes)
    plain = {name: _share(votes, equal, name, SUPPORT) for name in names}
    ranked = sorted(names, key=lambda name: (-shares[name], -plain[name], name))
    option = _leading(ranked, shares, plain)
    share = shares[ranked[0]] if ranked else _NOTHING
    has_quorum = len(ballots) >= needed(seats) and len(votes) >= VOICES_LEAST
    rivals = [] if option is None else _rivals(option, votes, weights, shares)
    contested, is_unjudged = bool(rivals), bool(rivals) and all(rivals)
    return Tally(
        state=state_of(share) if has_quorum and option is not None and not contested else NONE,
        option=None if is_unjudged else option, share=share, unweighted=plain[ranked[0]] if ranked else _NOTHING,
        margin=share - (shares[ranked[1]] if len(ranked) > 1 else _NOTHING),
        has_quorum=has_quorum, present=len(ballots), votes=len(votes), shares=shares,
        rejected={name: away for name in names if (away := _share(votes, weights, name, OPPOSE)) >= STRONG_AT},
        contested=contested, is_unjudged=is_unjudged,
    )  # fmt: skip


def consistent(ballot: Ballot) -> Ballot:
    """Return a ballot that supports no claim together with its plain negation: it counts, but for neither."""
    held = [name for name, stance in ballot.stances.items() if stance == SUPPORT]
    torn = {one for one in held for other in held if one != other and are_opposed(one, other)}
    if not torn:
        return ballot
    return ballot._replace(stances={name: _TORN if name in torn else stance for name, stance in ballot.stances.items()})


def _share(votes: Sequence[Ballot], weights: Sequence[Fraction], name: str, stance: str) -> Fraction:
    """Return which part of all that was cast has this stance to an option; silence on it is no support."""
    whole = sum(weights, _NOTHING)
    part = sum(
        (weight for one, weight in zip(votes, weights, strict=True) if one.stances.get(name) == stance), _NOTHING
    )
    return part / whole if whole else _NOTHING


def _leading(ranked: Sequence[str], shares: Mapping[str, Fraction], plain: Mapping[str, Fraction]) -> str | None:
    """Return the first, unless another has as much: then only where both are agreed, by name."""
    if not ranked or not shares[ranked[0]]:
        return None
    first, *others = ranked
    is_tied = any((shares[name], plain[name]) == (shares[first], plain[first]) for name in others[:1])
    return None if is_tied and shares[first] < WEAK_AT else first


def _rivals(
    option: str, votes: Sequence[Ballot], weights: Sequence[Fraction], shares: Mapping[str, Fraction]
) -> list[bool]:
    """Return, for each other option with enough support that is no consensus beside this one, if words do not tell.

    Two camps are none, and neither are claims that deny each other, or of which nobody here can tell whether they do.
    """
    whole = sum(weights, _NOTHING)
    found = []
    for name, share in shares.items():
        if name == option or share < WEAK_AT:
            continue
        both = sum(
            (weight for one, weight in zip(votes, weights, strict=True) if one.supports(option) and one.supports(name)),
            _NOTHING,
        )
        if both / whole < WEAK_AT or are_opposed(option, name):
            found.append(False)
        elif not are_judged(option, name):
            found.append(True)
    return found
