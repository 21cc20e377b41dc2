"""Two environments side by side: the statistics against independent ones, the verdict, the command."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.monitor_records import Records

from agent_studio.monitor import shift

if TYPE_CHECKING:
    from tests.conftest import Studio

TIMES = st.lists(st.integers(0, 20).map(float), min_size=8, max_size=40)


@given(TIMES, TIMES)
def test_the_effect_is_the_share_of_pairs_in_which_the_first_is_slower(ours: list[float], theirs: list[float]) -> None:
    pairs = list(product(ours, theirs))
    slower = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    found, turned = (shift.of_durations(Counter(a), Counter(b)) for a, b in ((ours, theirs), (theirs, ours)))
    assert found.effect == pytest.approx(slower)
    assert turned.effect == pytest.approx(1 - slower)
    assert turned.p == pytest.approx(found.p)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "middle"), [(0.01, 2.25), (6.0, 2.4)])
def test_p_is_that_of_shuffled_labels_with_few_ties_and_with_many(step: float, middle: float) -> None:
    source = random.Random(11)
    ours = [round(source.lognormvariate(2.0, 0.4) / step) for _ in range(25)]
    theirs = [round(source.lognormvariate(middle, 0.4) / step) for _ in range(30)]
    found = shift.of_durations(Counter(map(float, ours)), Counter(map(float, theirs)))
    assert found.p is not None
    assert found.effect is not None
    both, as_far, rounds = ours + theirs, 0, 4_000
    for _ in range(rounds):
        source.shuffle(both)
        one = sum((a > b) + (a == b) / 2 for a, b in product(both[:25], both[25:])) / (25 * 30)
        as_far += abs(one - 0.5) >= abs(found.effect - 0.5) - 1e-12
    assert found.p == pytest.approx(as_far / rounds, abs=0.02)


def _spread(middle: float, count: int, seed: int) -> Counter[float]:
    source = random.Random(seed)
    return Counter(round(source.lognormvariate(middle, 0.5), 3) for _ in range(count))


def test_a_shift_has_to_be_both_rare_and_large() -> None:
    assert shift.of_durations(_spread(2.5, 300, 1), _spread(2.0, 300, 2)).verdict == "WORSE"
    assert shift.of_durations(_spread(2.0, 300, 1), _spread(2.5, 300, 2)).verdict == "BETTER"
    tiny = shift.of_durations(_spread(2.04, 60_000, 1), _spread(2.0, 60_000, 2))
    assert tiny.p is not None
    assert (tiny.p < 1e-6, tiny.verdict) == (True, "NONE")
    assert shift.of_durations(_spread(2.0, 7, 1), _spread(9.0, 300, 2)).verdict == "UNKNOWN"
    same = Counter({5.0: 50})
    assert (shift.of_durations(same, same).p, shift.of_durations(same, same).verdict) == (1.0, "NONE")


def test_the_bounds_of_a_difference_are_the_published_ones() -> None:
    # Newcombe 1998, table II, method 10, example (a) 56/70 - 48/80: 0.0524 to 0.3339 at 95 % on both sides
    found = shift.of_rates(56, 70, 48, 80, confidence=0.975)
    assert [found.low, found.high] == pytest.approx([0.0524, 0.3339], abs=5e-5)
    assert found.verdict == "WORSE"
    assert shift.of_rates(48, 80, 56, 70).verdict == "BETTER"
    assert shift.of_rates(1, 20, 0, 20).verdict == "NONE"
    assert shift.of_rates(0, 0, 1, 20).verdict == "UNKNOWN"


def test_counts_of_the_same_length_of_time_are_compared_as_a_ratio() -> None:
    assert shift.of_counts(30, 10).verdict == "WORSE"
    assert shift.of_counts(10, 30).verdict == "BETTER"
    assert shift.of_counts(3, 2).verdict == "NONE"
    assert shift.of_counts(0, 0).verdict == "NONE"
    none = shift.of_counts(9, 0)
    assert (none.verdict, none.effect, none.high) == ("WORSE", None, None)


def test_of_many_tests_each_is_allowed_less() -> None:
    assert shift.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert shift.holm([]) == []
    assert shift.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_verdict_is_on_the_first_by_its_own_limits(staged: Studio) -> None:
    staging, production = Records(staged, "staging"), Records(staged, "production")
    for number in range(100):
        staging.hook("guard", ms=15 + number % 3, minutes_ago=number)
        production.hook("guard", ms=2, minutes_ago=number)
        staging.agent("reviewer", minutes_ago=number)
    staging.write()
    production.write()
    done = staged.run("monitor", "compare", "staging", "production", "--json")
    assert done.code == 0, done.out
    data = done.data
    assert (data["verdict"], data["a"]["environment"], data["b"]["environment"]) == ("PASS", "staging", "production")
    (guard,) = [one for one in data["metrics"] if (one["rule"], one["label"]) == ("hookExecutionTimeMs", "guard")]
    assert guard["a"]["value"] == pytest.approx(17)
    assert (guard["a"]["limit"], guard["b"]["limit"], guard["a"]["state"], guard["b"]["state"]) == (20, 10, "OK", "OK")
    assert guard["a"]["low"] <= guard["a"]["value"] <= guard["a"]["high"]
    assert (guard["a"]["count"], guard["shift"]["verdict"], guard["shift"]["effect"]) == (100, "WORSE", 1.0)
    turned = staged.run("monitor", "compare", "production", "staging", "--json")
    assert (turned.code, turned.data["verdict"]) == (3, "INSUFFICIENT"), "no agent ran there"


def test_a_breach_fails_whatever_the_other_does(staged: Studio) -> None:
    staging = Records(staged, "staging")
    for number in range(100):
        staging.hook("slow", ms=50, minutes_ago=number)
        staging.agent("reviewer", minutes_ago=number)
    staging.write()
    done = staged.run("monitor", "compare", "staging", "production")
    assert done.code == 1
    assert "FAIL" in done.out
    assert "slow" in done.out


def test_a_packed_file_that_is_cut_short_is_passed_over(staged: Studio) -> None:
    staging = Records(staged, "staging")
    for number in range(100):
        staging.hook("slow", ms=50, minutes_ago=number)
    staging.write()
    metrics = staged.path / ".claude/staging/metrics"
    packed = gzip.compress((metrics / "hooks.jsonl").read_bytes())
    (metrics / "hooks.2026-01-31.1.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    done = staged.run("monitor", "compare", "staging", "production", "--json")
    slow = next(one for one in done.data["metrics"] if one["label"] == "slow")
    assert (slow["a"]["value"], slow["a"]["state"]) == (50, "BREACH")
    assert staged.run("monitor", "--env", "staging").code == 0


def test_an_environment_without_limits_has_figures_and_no_verdict(staged: Studio) -> None:
    development = Records(staged, "development")
    for number in range(30):
        development.hook("guard", ms=5, minutes_ago=number, status="failure" if number < 3 else "success")
    development.write()
    done = staged.run("monitor", "compare", "development", "staging", "--json")
    assert (done.code, done.data["verdict"]) == (3, "INSUFFICIENT")
    assert done.data["reasons"] == ["development has no limits, so nothing can be said of it"]
    (rate,) = [one for one in done.data["metrics"] if (one["rule"], one["label"]) == ("hookFailureRate", "")]
    assert (rate["a"]["value"], rate["a"]["limit"], rate["a"]["state"]) == (pytest.approx(0.1), None, "OFF")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("staging", "staging"), "one environment"),
        (("staging", "productoin"), 'did you mean "production"?'),
        (("staging", "production", "--hours", "0"), "--hours is 0"),
        (("staging",), "required: B"),
    ],
)
def test_a_wrong_comparison_is_one_clear_error(staged: Studio, arguments: tuple[str, ...], said: str) -> None:
    before = staged.snapshot(".agent-studio")
    done = staged.run("monitor", "compare", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err
    assert {name for name in staged.snapshot(".agent-studio") if "log.jsonl" not in name} <= set(before)
