"""Verdicts by betting: right however often one looks, the same for both directions, and never without pairs."""

from __future__ import annotations

import pytest
from bench import evals_simulated
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.evals.verdicts import betting, bootstrap
from agent_studio.evals.verdicts.betting import BETTER, INSUFFICIENT, NO_DIFFERENCE, WORSE, Pairs

COUNTS = st.integers(0, 60)


@pytest.mark.parametrize(
    ("pairs", "verdict", "gate"),
    [
        (Pairs(8, 0, 0), BETTER, "PASS"), (Pairs(7, 0, 0), INSUFFICIENT, "PASS"), (Pairs(10, 0, 20), BETTER, "PASS"),
        (Pairs(0, 9, 21), WORSE, "FAIL"), (Pairs(0, 0, 60), NO_DIFFERENCE, "PASS"),
        (Pairs(3, 3, 24), INSUFFICIENT, INSUFFICIENT), (Pairs(0, 0, 0), INSUFFICIENT, INSUFFICIENT),
    ],
)  # fmt: skip
def test_pairs_are_judged(pairs: Pairs, verdict: str, gate: str) -> None:
    assert betting.verdict(pairs, 0.1) == verdict
    assert betting.is_no_worse(pairs, 0.1) == gate


@given(COUNTS, COUNTS, COUNTS)
def test_exchanging_the_sides_exchanges_the_verdict_and_mirrors_the_interval(won: int, lost: int, same: int) -> None:
    pairs, mirrored = Pairs(won, lost, same), Pairs(lost, won, same)
    other = {BETTER: WORSE, WORSE: BETTER}
    verdict = betting.verdict(pairs, 0.1)
    assert betting.verdict(mirrored, 0.1) == other.get(verdict, verdict)
    one, two = betting.interval(pairs), betting.interval(mirrored)
    assert (one.low, one.high) == (-two.high, -two.low)
    assert one.low <= (pairs.difference or 0.0) <= one.high


@given(COUNTS, COUNTS, COUNTS)
def test_what_settles_it_does_settle_it_and_one_pair_less_does_not(won: int, lost: int, same: int) -> None:
    pairs = Pairs(won, lost, same)
    needed = betting.needed(pairs, 0.2)
    if needed is not None and pairs.total:
        assert (needed == 0) == (betting.verdict(pairs, 0.2) != INSUFFICIENT)
    if betting.verdict(pairs, 0.2) in {BETTER, NO_DIFFERENCE}:
        assert betting.is_no_worse(pairs, 0.2) == "PASS"


def test_wrong_verdicts_stay_rare_though_people_look_after_every_pair() -> None:
    assert evals_simulated.false_verdicts(60, 120) == []


def test_to_begin_anew_until_the_gate_passes_does_not_help_for_all_runs_are_judged_together() -> None:
    rates, margin = evals_simulated.AGAIN[0]
    found = evals_simulated.begun_again(rates, 60, evals_simulated.RUNS, 6, margin)
    assert found.together <= betting.ALPHA < found.alone


def test_a_difference_that_is_there_is_found() -> None:
    better = evals_simulated.simulated("better", evals_simulated.SETTINGS["better by 30 points"], 30, 300)
    worse = evals_simulated.simulated("worse", evals_simulated.SETTINGS["worse by 30 points"], 30, 300)
    assert (better.better, better.worse) == (1.0, 0.0)
    assert (worse.better, worse.worse) == (0.0, 1.0)


def test_the_exact_test_and_the_interval_of_one_side_are_the_known_ones() -> None:
    assert betting.mcnemar(Pairs(6, 0, 9)) == pytest.approx(0.03125)
    assert betting.mcnemar(Pairs(5, 5, 0)) == 1.0
    interval = betting.wilson(8, 10)
    assert interval is not None
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)
    assert betting.wilson(0, 0) is None


def test_figures_are_compared_by_task_and_one_pair_gives_no_interval() -> None:
    means = bootstrap.compared({"a": [(2.0, 1.0), (2.0, 1.0)], "b": [(3.0, 2.0)]})
    assert (means.candidate, means.against, means.low, means.high) == (7 / 3, 4 / 3, 1.0, 1.0)
    assert bootstrap.compared({"a": [(2.0, 1.0)]}) == (2.0, 1.0, None, None)
    assert bootstrap.compared({}) == (None, None, None, None)
