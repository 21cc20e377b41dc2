"""The tally: exact, against an oracle of its own, and neither a false nor a missed consensus."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.party_world import CONTRADICTIONS, PARAPHRASES, claims, for_it, held

from agent_studio.reasoning.party import consensus
from agent_studio.reasoning.party.consensus import ABSTAIN, NONE, OPPOSE, STRONG, SUPPORT, WEAK, Ballot, count
from agent_studio.reasoning.party.negation import are_opposed
from agent_studio.reasoning.party.words import normal

if TYPE_CHECKING:
    import random
    from pathlib import Path

OPTIONS = ("Alpha", "Beta", "Gamma")
STANCES = st.sampled_from((SUPPORT, OPPOSE, ABSTAIN))
CONFIDENCES = st.one_of(st.none(), st.sampled_from((0.0, 0.1, 0.49999, 0.5, 0.79999, 0.8, 0.99, 1.0)))
WEIGHTS = st.sampled_from((Fraction(1), Fraction(3, 2), Fraction(1, 2), Fraction(10)))


@st.composite
def votes(draw: st.DrawFn, most: int = 7) -> list[Ballot]:
    """Ballots of a choice: each seat speaks of one option, or of nothing."""
    seats = draw(st.integers(0, most))
    drawn = []
    for seat in range(1, seats + 1):
        stances = {draw(st.sampled_from(OPTIONS)): draw(STANCES)} if draw(st.integers(0, 9)) else {}
        drawn.append(Ballot(seat, stances, draw(WEIGHTS), draw(CONFIDENCES)))
    return drawn


def oracle(ballots: list[Ballot], seats: int) -> tuple[str, str | None, Fraction]:
    """The rules once more, in integers of sixtieths and without a line of the code under test."""
    points: dict[str, int] = {}
    heads: dict[str, int] = {}
    whole = voters = 0
    for one in ballots:
        ((named, stance),) = one.stances.items() or [("", "abstain")]
        if stance == "abstain":
            continue
        sure = one.confidence if one.confidence is not None else 0
        worth = int(one.weight * 60) * (3 if sure >= 0.8 else 2 if sure >= 0.5 else 1)
        whole, voters = whole + worth, voters + 1
        points.setdefault(named, 0)
        if stance == "support":
            points[named] += worth
            heads[named] = heads.get(named, 0) + 1
    best = max(points.values(), default=0)
    share = Fraction(best, whole) if whole else Fraction(0)
    first = [name for name, worth in points.items() if worth == best and best]
    most = max((heads.get(name, 0) for name in first), default=0)
    first = [name for name in first if heads.get(name, 0) == most]
    option = first[0] if len(first) == 1 else None
    present = 3 * len(ballots) >= 2 * seats and len(ballots) >= 2 and voters >= 2
    if not present or option is None or 5 * best < 3 * whole:
        return NONE, option, share
    return (STRONG if 5 * best >= 4 * whole else WEAK), option, share


@given(votes(), st.integers(0, 4))
def test_a_count_is_what_an_oracle_of_its_own_says(ballots: list[Ballot], missing: int) -> None:
    found = count(ballots, seats=len(ballots) + missing)
    assert (found.state, found.option, found.share) == oracle(ballots, len(ballots) + missing)


@given(votes(), st.randoms(use_true_random=False))
def test_neither_the_order_of_seats_nor_that_of_options_matters(ballots: list[Ballot], chance: random.Random) -> None:
    mixed = [one._replace(stances=dict(reversed(list(one.stances.items())))) for one in ballots]
    chance.shuffle(mixed)
    assert count(mixed, seats=7) == count(ballots, seats=7)


@given(votes(), WEIGHTS, CONFIDENCES)
def test_a_seat_that_agrees_never_lowers_the_share(ballots: list[Ballot], weight: Fraction, sure: float | None) -> None:
    before = count(ballots, seats=8)
    if before.option is None:
        return
    more = Ballot(99, {before.option: SUPPORT}, weight, sure)
    after = count([*ballots, more], seats=8)
    assert after.option == before.option
    assert after.share >= before.share
    assert after.unweighted >= before.unweighted


@given(votes(), st.sampled_from(OPTIONS))
def test_a_seat_that_opposes_never_raises_the_share_of_an_option(ballots: list[Ballot], option: str) -> None:
    before = count(ballots, seats=8).shares.get(option, Fraction(0))
    after = count([*ballots, Ballot(99, {option: OPPOSE})], seats=8).shares[option]
    assert after <= before


@given(votes(), st.integers(1, 3))
def test_who_abstains_changes_no_share(ballots: list[Ballot], more: int) -> None:
    silent = [Ballot(90 + n, {"Alpha": ABSTAIN} if n % 2 else {}) for n in range(more)]
    before, after = count(ballots, seats=10), count([*ballots, *silent], seats=10)
    assert (after.share, after.option) == (before.share, before.option)
    assert after.present == before.present + more


@pytest.mark.parametrize(
    ("support", "against", "state"),
    [(4, 1, STRONG), (3, 2, WEAK), (2, 2, NONE), (2, 1, WEAK), (1, 1, NONE), (2, 0, STRONG)],
)
def test_states_begin_exactly_at_four_and_at_three_fifths(support: int, against: int, state: str) -> None:
    ballots = [Ballot(n, {"Alpha": SUPPORT}, confidence=0.9) for n in range(support)]
    ballots += [Ballot(10 + n, {"Beta": SUPPORT}, confidence=0.9) for n in range(against)]
    assert count(ballots, seats=support + against).state == state


def test_a_share_a_hair_below_a_state_is_not_in_it() -> None:
    ballots = [Ballot(1, {"Alpha": SUPPORT}, Fraction("7.99")), Ballot(2, {"Beta": SUPPORT}, Fraction("2"))]
    assert count(ballots, seats=2).state == WEAK
    assert count([ballots[0]._replace(weight=Fraction(8)), ballots[1]], seats=2).state == STRONG


def test_four_that_reject_an_option_make_no_consensus_on_the_other() -> None:
    ballots = [Ballot(n, {"Alpha": OPPOSE}, confidence=0.9) for n in range(4)]
    found = count([*ballots, Ballot(5, {"Beta": SUPPORT}, confidence=0.9)], seats=5)
    assert (found.state, found.option, found.share) == (NONE, "Beta", Fraction(1, 5))
    assert found.rejected == {"Alpha": Fraction(4, 5)}


def test_without_two_thirds_of_the_seats_there_is_no_state() -> None:
    ballots = [Ballot(n, {"Alpha": SUPPORT}, confidence=0.9) for n in range(3)]
    assert count(ballots, seats=5).state == NONE
    assert count(ballots, seats=4).state == STRONG
    assert count(ballots[:1], seats=1).state == NONE


def test_two_camps_that_both_have_enough_are_no_consensus() -> None:
    sides = ([{"a": SUPPORT}] * 2, [{"a": SUPPORT, "b": SUPPORT}], [{"b": SUPPORT}] * 2)
    ballots = [Ballot(n, stances) for n, stances in enumerate(one for side in sides for one in side)]
    found = count(ballots, seats=5)
    assert found.shares == {"a": Fraction(3, 5), "b": Fraction(3, 5)}
    assert (found.state, found.contested) == (NONE, True)


def test_the_sets_of_statements_are_large_enough() -> None:
    assert min(len(set(CONTRADICTIONS)), len(set(PARAPHRASES)), len(PARTIAL)) >= 100


@pytest.mark.parametrize("split", [(1, 1), (2, 2), (2, 1), (3, 2), (1, 4)])
def test_a_claim_and_its_opposite_are_never_taken_for_one(tmp_path: Path, split: tuple[int, int]) -> None:
    wrong = []
    for one, other in CONTRADICTIONS[:: 5 if split == (2, 2) else 31]:
        found = held(tmp_path, [[claims(one)]] * split[0] + [[claims(other)]] * split[1])
        larger = one if split[0] > split[1] else other
        expected = consensus.state_of(Fraction(max(split), sum(split)))
        if split[0] == split[1]:
            agreed = found.state == NONE and found.tally.option is None
        else:
            agreed = found.state == expected and found.tally.option == normal(larger)
        if not agreed or found.tally.share != Fraction(max(split), sum(split)):
            wrong.append((one, other, found.tally))
    assert wrong == []


def test_seats_that_support_a_claim_and_its_plain_negation_agree_on_neither(tmp_path: Path) -> None:
    both = [[Ballot(seat, dict.fromkeys(map(normal, pair), SUPPORT)) for seat in (1, 2, 3)] for pair in CONTRADICTIONS]
    assert [ballots for ballots in both if count(ballots, seats=3).state != NONE] == []
    wrong = []
    for one, other in CONTRADICTIONS[::11]:
        votes = [{"claim": one, "stance": "support"}, {"claim": other, "stance": "support"}]
        yes = {"votes": votes, "confidence": 0.9, "rationale": "All good."}
        found = held(tmp_path, [[claims(one), yes], [claims(other), yes], [claims(one), yes], [claims(other), yes]])
        if found.state != NONE:
            wrong.append((one, other))
    assert wrong == []


def test_a_seat_that_supports_both_sides_adds_to_neither(tmp_path: Path) -> None:
    one, other = "Use the queue", "Do not use the queue"
    votes = [{"claim": claim, "stance": "support"} for claim in (one, other)]
    torn = {"votes": votes, "confidence": 0.9, "change": {"reason": "Both have their points in an audit."}}
    found = held(tmp_path, [[claims(one)]] * 3 + [[claims(other), torn]] * 2)
    assert (found.state, found.tally.share) == (WEAK, Fraction(3, 5))


def test_one_option_and_another_that_only_negates_it_stay_two(tmp_path: Path) -> None:
    for one, other in CONTRADICTIONS[::5]:
        found = held(tmp_path, [[for_it(one)], [for_it(one)], [for_it(other)], [for_it(other)]], (one, other))
        assert (found.state, found.tally.share) == (NONE, Fraction(1, 2)), (one, other)


def test_wordings_of_one_claim_that_all_seats_would_sign_are_one_consensus(tmp_path: Path) -> None:
    missed = []
    for wordings in PARAPHRASES:
        yes = {
            "votes": [{"claim": one, "stance": "support"} for one in wordings],
            "confidence": 0.9,
            "rationale": "Same.",
        }
        found = held(tmp_path, [[claims(one), yes] for one in wordings])
        if (found.state, found.tally.share) != (STRONG, Fraction(1)):
            missed.append((wordings, found.tally))
    assert missed == []


def test_seats_that_take_over_one_wording_are_one_consensus(tmp_path: Path) -> None:
    for wordings in PARAPHRASES[::4]:
        found = held(tmp_path, [[claims(one), claims(wordings[0])] for one in wordings])
        assert (found.state, found.tally.option) == (STRONG, normal(wordings[0])), wordings


def test_seats_that_take_over_each_others_wordings_are_one_consensus(tmp_path: Path) -> None:
    for one, other, *_ in PARAPHRASES[::4]:
        found = held(tmp_path, [[claims(one), claims(other)], [claims(other), claims(one)]])
        assert (found.state, found.tally.share) == (STRONG, Fraction(1)), (one, other)


def test_a_seat_that_takes_over_the_plain_opposite_without_an_argument_keeps_its_own(tmp_path: Path) -> None:
    for one, other in (pair for pair in CONTRADICTIONS[::23] if are_opposed(*pair)):
        turned = claims(one, change={"from": other, "reason": "The licence ends in March."})
        weak = held(tmp_path, [[claims(one)]] * 3 + [[claims(other), claims(one)]] * 2)
        assert (weak.state, weak.tally.share) == (WEAK, Fraction(3, 5)), (one, other)
        assert {flip.kind for flip in weak.standing.flips} == {"conformity"}
        convinced = held(tmp_path, [[claims(one)]] * 3 + [[claims(other), turned]] * 2)
        assert (convinced.state, convinced.tally.share) == (STRONG, Fraction(1)), (one, other)


def test_the_same_words_in_other_letters_need_no_vote(tmp_path: Path) -> None:
    for wordings in PARAPHRASES[::4]:
        text = wordings[0].rstrip(".")
        found = held(tmp_path, [[claims(text)], [claims(f" {text.upper()}. ")], [claims(f'"{text}"')]])
        if text.upper().casefold() == text.casefold():
            assert (found.state, len(found.session.turns)) == (STRONG, 3), text


PARTIAL = [
    (support, against, silent, late)
    for support in range(6)
    for against in range(6)
    for silent in range(4)
    for late in range(3)
    if 2 <= support + against + silent + late <= 6
]
"""How many seats support an option, support another, abstain and do not answer in time."""


@pytest.mark.parametrize("half", [0, 1])
def test_partial_agreement_is_exactly_what_it_is(tmp_path: Path, half: int) -> None:
    for support, against, silent, late in PARTIAL[half::2]:
        replies = [[for_it("Alpha")]] * support + [[for_it("Beta")]] * against
        replies += [[{"stance": "abstain", "confidence": 0.2}]] * silent + [[{"error": "timeout"}]] * late
        seats, voters = len(replies), support + against
        share = Fraction(max(support, against), voters) if voters else Fraction(0)
        is_quorum = 3 * (seats - late) >= 2 * seats and voters >= 2 and seats - late >= 2
        state = consensus.state_of(share) if is_quorum else NONE
        found = held(tmp_path, replies, ("Alpha", "Beta"))
        assert (found.tally.share, found.state) == (share, state), (support, against, silent, late)
        assert found.decision == ("escalate" if state == NONE else "recommend")


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        ("use it", "do not use it", True), ("It is safe", "It is not safe", True), ("Use A", "Use B", False),
        ("C", "C#", False), ("not now", "not later", False),
    ],
)  # fmt: skip
def test_plain_negations_are_known(one: str, other: str, are: bool) -> None:  # noqa: FBT001 - a column of the table
    assert are_opposed(one, other) is are


@pytest.mark.parametrize(
    ("one", "other"), [("C", "C#"), ("C", "C++"), ("10⁶ rows", "106 rows"), ("A", "not A"), ("x?", "x")]
)
def test_what_differs_in_a_sign_stays_apart(one: str, other: str) -> None:
    assert normal(one) != normal(other)
