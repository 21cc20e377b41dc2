"""The bets are fair at the limit, lose beyond it, and say how much more is needed."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.release import statistics
from agent_studio.release.statistics import LEVEL, rate, rate_verdict, share, share_verdict


def _stake(hits: int, count: int, limit: float, factors: tuple[float, ...]) -> float:
    """Compute the stake by plain products, apart from the code under test."""
    fits = [factor for factor in factors if limit * factor < 1] or [
        (limit + part * (1 - limit)) / limit for part in (0.25, 0.5, 0.75)
    ]
    return sum(
        factor**hits * ((1 - limit * factor) / (1 - limit)) ** (count - hits) for factor in fits
    ) / len(fits)  # fmt: skip


@pytest.mark.parametrize("factors", [statistics._BETTER, statistics._WORSE])
@given(count=st.integers(0, 40), limit=st.floats(0.01, 0.99), off=st.floats(0, 1))
def test_the_expected_stake_is_one_at_the_limit_and_less_beyond(
    factors: tuple[float, ...], count: int, limit: float, off: float
) -> None:
    beyond = limit + off * (1 - limit) if factors is statistics._BETTER else limit * (1 - off)
    for truth, fair in ((limit, True), (beyond, False)):
        mean = sum(
            math.comb(count, hits) * truth**hits * (1 - truth) ** (count - hits) * _stake(hits, count, limit, factors)
            for hits in range(count + 1)
        )
        assert mean == pytest.approx(1, rel=1e-6) if fair else mean <= 1 + 1e-9


@given(hits=st.integers(0, 30), more=st.integers(0, 2_000), limit=st.floats(0.01, 0.3))
def test_verdicts_follow_from_the_stakes(hits: int, more: int, limit: float) -> None:
    count = hits + more
    found = share(hits, count, limit)
    for_it, against = (_stake(hits, count, limit, one) for one in (statistics._BETTER, statistics._WORSE))
    if min(abs(for_it - LEVEL), abs(against - LEVEL)) < 1e-6:
        return
    assert found.verdict == ("FAIL" if against >= LEVEL else "PASS" if for_it >= LEVEL else "INSUFFICIENT")
    if found.verdict == "INSUFFICIENT":
        needed = int(found.needed)
        assert share(hits, count + needed, limit).verdict == "PASS"
        assert needed <= 1 or share(hits, count + needed - 1, limit).verdict == "INSUFFICIENT"


def test_nothing_is_insufficient_and_says_what_it_takes() -> None:
    found = share(0, 0, 0.06)
    assert (found.verdict, found.value) == ("INSUFFICIENT", None)
    assert 49 <= found.needed <= 90  # 49 would do if nobody looked before
    assert share(0, int(found.needed), 0.06).verdict == "PASS"
    assert share(5, 10, 0.06).verdict == "FAIL"
    quiet = rate(0, 0, 20)
    assert quiet.verdict == "INSUFFICIENT"
    assert rate(0, quiet.needed * 1.001, 20).verdict == "PASS"
    assert rate(100, 1, 20).verdict == "FAIL"


def test_peeking_after_every_run_passes_a_bad_candidate_in_one_case_of_twenty_at_most() -> None:
    chance = random.Random(7)
    passed = 0
    for _ in range(400):
        hits = 0
        for count in range(1, 301):
            hits += chance.random() < 0.06
            if share_verdict(hits, count, 0.06) == "PASS":
                passed += 1
                break
    assert passed / 400 <= 1 / LEVEL + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_errors_an_hour_are_judged_the_same_way() -> None:
    chance = random.Random(3)
    passed = 0
    for _ in range(300):
        events, hours = 0, 0.0
        while hours < 24:
            hours += 1
            events += sum(1 for _ in range(200) if chance.random() < 0.1)  # 20 an hour
            if rate_verdict(events, hours, 20) == "PASS":
                passed += 1
                break
    assert passed / 300 <= 1 / LEVEL + 2 * math.sqrt(0.05 * 0.95 / 300)
