"""What comes next, and what stands: both follow from what happened alone, so that a resumed session ends the same.

A round is asked of every seat at once. The blind one comes first; an open question's claims are then voted on; each
further round shows the positions and lets seats change their mind, with a new argument, until something ends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.reasoning.party import consensus
from agent_studio.reasoning.party.consensus import STRONG, SUPPORT, VOICES_LEAST, Ballot, Tally
from agent_studio.reasoning.party.negation import are_opposed
from agent_studio.reasoning.party.records import BLIND, DISSENT, MALFORMED, REVEAL, VOTE
from agent_studio.reasoning.party.words import is_argument, is_known_quote, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.reasoning.party.positions import Position
    from agent_studio.reasoning.party.records import Session, Turn

ATTEMPTS = 2
"""How often a seat is asked in one round whose answer is no position; other failures are not repeated."""
ARGUMENT, CONFORMITY = "argument", "conformity"
CLIENT = "claude"
"""The model that knows the client's own names, such as `opus`: all of them are of one family."""
_LETTERS = re.compile(r"[^\W\d_]+")


class Ask(NamedTuple):
    """One call to be made."""

    seat: int
    round: int
    phase: str
    attempt: int
    peers: tuple[int, ...] = ()


class Plan(NamedTuple):
    """Calls to be made at once, or why there are no more."""

    asks: tuple[Ask, ...]
    reason: str = ""


class Flip(NamedTuple):
    """A change of mind."""

    seat: int
    round: int
    before: dict[str, str]
    after: dict[str, str]
    kind: str
    """`argument`, or `conformity` where it brings nothing that was not known."""
    reason: str

    @property
    def counts(self) -> bool:
        """Whether it is in the tally."""
        return self.kind == ARGUMENT


@dataclass
class Standing:
    """What every seat holds after some round."""

    turns: dict[int, Turn]
    """By seat, the call whose position stands."""
    ballots: dict[int, Ballot]
    flips: list[Flip]

    def tally(self, session: Session) -> Tally:
        """Count it."""
        by_confidence = bool(session.opened.get("byConfidence", True))
        return consensus.count(
            [self.ballots[seat] for seat in sorted(self.ballots)], seats=len(session.seats), by_confidence=by_confidence
        )


def claims(session: Session) -> dict[str, str]:
    """Return the claims of the blind round by normal form, as the first of their wordings by letters has them."""
    found: dict[str, str] = {}
    if not session.options:
        texts = (turn.position.claim for turn in session.answered if turn.phase == BLIND and turn.position is not None)
        for text in sorted(filter(None, texts), reverse=True):
            found[normal(text)] = text
    return dict(sorted(found.items()))


def named(session: Session, name: str) -> str:
    """Return an option or claim as people read it."""
    return claims(session).get(name, name)


def blind(session: Session) -> Standing:
    """Return what seats held before they knew of anybody's vote."""
    return after(session, _blind_rounds(session))


def after(session: Session, last: int) -> Standing:
    """Return what seats hold after so many rounds."""
    standing = Standing({}, {}, [])
    for turn in sorted(session.answered, key=lambda one: (one.round, one.seat, one.call)):
        position = turn.position
        if position is None or turn.round > last or turn.phase == DISSENT:
            continue
        before = standing.turns.get(turn.seat)
        if before is None and turn.phase != BLIND:
            continue  # who said nothing blind has no vote later
        if before is None or before.position is None:
            _stand(session, standing, turn, position.stances)
        elif turn.phase == VOTE:
            _vote(session, standing, turn, position)
        else:
            _revealed(session, standing, turn, position)
    return standing


def plan(session: Session) -> Plan:
    """Return the calls to be made next, or why there are none; repeat it once they are answered."""
    if session.halted:
        return Plan((), session.halted)
    seats = [chair.number for chair in session.seats]
    if asks := _open(session, 1, BLIND, seats, ()):
        return Plan(asks)
    first = after(session, 1)
    spoke = sorted(first.turns)
    if len(session.seats) < VOICES_LEAST:
        return Plan((), "one voice")
    if len(spoke) < consensus.needed(len(session.seats)):
        return Plan((), "no quorum")
    last = _blind_rounds(session)
    if last > 1 and (asks := _open(session, last, VOTE, spoke, _calls(first))):
        return Plan(asks)
    return _revealing(session, spoke, last)


def _revealing(session: Session, spoke: Sequence[int], last: int) -> Plan:
    is_revealed = False
    while True:
        standing = after(session, last)
        if reason := _ending(session, standing, last, is_revealed=is_revealed):
            break
        last, is_revealed = last + 1, True
        if asks := _open(session, last, REVEAL, spoke, _calls(standing)):
            return Plan(asks)
    if wants_dissent(session) and last < session.turn_limit:
        seat = spoke[int(session.seed[:8], 16) % len(spoke)]
        if asks := _open(session, last + 1, DISSENT, [seat], _calls(standing)):
            return Plan(asks)
    return Plan((), reason)


def wants_dissent(session: Session) -> bool:
    """Tell whether one seat is to argue against what all of one family of models agree on."""
    tally = blind(session).tally(session)
    families = {family(turn.asked) for turn in session.answered if turn.phase == BLIND}
    is_unanimous = tally.state == STRONG and tally.unweighted == 1
    return bool(session.opened.get("dissent")) and is_unanimous and len(families) == 1


def family(model: str) -> str:
    """Return which family a model is of, by the name that it was called by: the letters that its own begins with."""
    provider, _, named = model.casefold().partition(":")
    if provider == CLIENT:
        return provider
    own = named.partition("@")[0].rpartition("/")[2] or provider
    letters = _LETTERS.match(own)
    return letters[0] if letters else own


def revealed(session: Session, before: int) -> list[str]:
    """Return every argument that was shown before a round: reasons and quotations."""
    shown: list[str] = []
    for turn in session.answered:
        if turn.position is None or turn.round >= before or turn.phase == DISSENT:
            continue
        held = turn.position
        shown += [held.rationale, *held.risks, *(one.quote for one in held.evidence)]
        if held.change:
            shown += [held.change.reason, *held.change.new_evidence]
    return list(filter(None, shown))


def _blind_rounds(session: Session) -> int:
    """Return how many rounds show nobody's vote: claims that differ take a second one."""
    return 2 if not session.options and len(claims(session)) > 1 and session.turn_limit > 1 else 1


def _ending(session: Session, standing: Standing, last: int, *, is_revealed: bool) -> str:
    tally = standing.tally(session)
    if tally.state == STRONG:
        return "strong"
    if is_revealed and not any(flip.counts and flip.round == last for flip in standing.flips):
        return "no change"
    return "turn limit" if last >= session.turn_limit else ""


def _open(session: Session, round_: int, phase: str, seats: Iterable[int], peers: tuple[int, ...]) -> tuple[Ask, ...]:
    """Return the calls that a round still lacks."""
    asks = []
    for seat in seats:
        last = session.last(seat, round_)
        attempt = 1 if last is None else last.attempt + (last.is_settled and last.fault == MALFORMED)
        if last is None or not last.is_settled or (last.fault == MALFORMED and attempt <= ATTEMPTS):
            asks.append(Ask(seat, round_, phase, attempt, peers))
    return tuple(asks)


def _calls(standing: Standing) -> tuple[int, ...]:
    return tuple(sorted(turn.call for turn in standing.turns.values()))


def _stand(session: Session, standing: Standing, turn: Turn, stances: dict[str, str]) -> None:
    position = turn.position
    confidence = position.confidence if position else None
    standing.turns[turn.seat] = turn
    standing.ballots[turn.seat] = Ballot(turn.seat, stances, session.chair(turn.seat).weight, confidence)


def _vote(session: Session, standing: Standing, turn: Turn, position: Position) -> None:
    """Add a seat's votes on the claims to its own; what it held stays unless it is taken back with a new argument."""
    ballot = standing.ballots[turn.seat]
    own, stances = dict(ballot.stances), _among(session, position)
    turned = {name for name, stance in stances.items() if own.get(name, stance) != stance or _denies(own, name, stance)}
    merged = _merged(own, stances)
    if turned:
        kind = _kind(session, turn, position)
        standing.flips.append(_flip(turn, own, merged, kind, position))
        if kind == CONFORMITY:
            merged = {**{name: stance for name, stance in stances.items() if name not in turned}, **own}
    confidence = ballot.confidence if position.confidence is None or not stances else position.confidence
    standing.ballots[turn.seat] = Ballot(turn.seat, merged, ballot.weight, confidence)


def _revealed(session: Session, standing: Standing, turn: Turn, position: Position) -> None:
    """Take a later position: another vote counts only for an argument that was not known."""
    before = dict(standing.ballots[turn.seat].stances)
    stances = position.stances if session.options else _turned(before, _among(session, position))
    if stances == before:
        return
    kind = _kind(session, turn, position)
    standing.flips.append(_flip(turn, before, stances, kind, position))
    if kind == ARGUMENT:
        _stand(session, standing, turn, stances)


def _among(session: Session, position: Position) -> dict[str, str]:
    """Return what a position says to the claims that are voted on."""
    known = claims(session)
    return {name: stance for name, stance in position.stances.items() if name in known}


def _merged(before: dict[str, str], stances: dict[str, str]) -> dict[str, str]:
    """Return votes with later ones added; support that the later ones plainly deny is gone."""
    later = [name for name, stance in stances.items() if stance == SUPPORT]
    kept = {
        name: stance for name, stance in before.items()
        if stance != SUPPORT or not any(are_opposed(name, other) for other in later)
    }  # fmt: skip
    return {**kept, **stances}


def _turned(before: dict[str, str], stances: dict[str, str]) -> dict[str, str]:
    """Return what a seat holds that speaks again; turning to a claim, it leaves those that it names no more."""
    is_new = any(stance == SUPPORT and before.get(name) != SUPPORT for name, stance in stances.items())
    kept = {name: stance for name, stance in before.items() if stance != SUPPORT} if is_new else before
    return _merged(kept, stances)


def _denies(held: dict[str, str], name: str, stance: str) -> bool:
    """Tell whether support of a claim denies one that is supported already."""
    return stance == SUPPORT and any(
        other != name and one == SUPPORT and are_opposed(other, name) for other, one in held.items()
    )


def _kind(session: Session, turn: Turn, position: Position) -> str:
    """Tell an argument from conformity: a verified quotation, or a reason, which nobody was shown before."""
    if position.change is None:
        return CONFORMITY
    known, names = revealed(session, turn.round), session.options or tuple(claims(session).values())
    said = [position.change.reason, *position.change.new_evidence]
    quotes = [one.quote for one in position.evidence if one.verified]
    is_new = any(is_argument(one, known, names) for one in said) or any(
        not is_known_quote(one, known) for one in quotes
    )
    return ARGUMENT if is_new else CONFORMITY


def _flip(turn: Turn, before: dict[str, str], after: dict[str, str], kind: str, position: Position) -> Flip:
    return Flip(turn.seat, turn.round, before, after, kind, position.change.reason if position.change else "")
