"""The simulation behind the figure in docs, scaled down: what this gate promises holds, and naive rules break it."""

from __future__ import annotations

import pytest
from bench import gate_quality

from agent_studio.release.statistics import share_verdict

OURS, WILSON = "this gate, after each run", "Wilson bound, after each run"


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, float], gate_quality.Outcome]:
    found = gate_quality.simulate(300, seed=3, most_runs=600)
    return {(one.rule, round(one.true_rate / gate_quality.LIMIT, 3)): one for one in found}


def test_a_bad_candidate_passes_this_gate_in_one_case_of_twenty_at_most(
    outcomes: dict[tuple[str, float], gate_quality.Outcome],
) -> None:
    assert outcomes[OURS, 1.0].promoted <= 0.05
    assert outcomes[OURS, 1.5].promoted <= 0.01
    assert outcomes[OURS, 2.5].promoted == 0


def test_naive_rules_let_bad_ones_through(outcomes: dict[tuple[str, float], gate_quality.Outcome]) -> None:
    assert outcomes["observed rate, 10 runs", 2.5].promoted > 0.1
    assert outcomes["observed rate, 100 runs", 1.0].promoted > 0.4
    assert outcomes[WILSON, 1.0].promoted > 2 * 0.05


def test_a_good_candidate_passes_this_gate(outcomes: dict[tuple[str, float], gate_quality.Outcome]) -> None:
    best, good = outcomes[OURS, 0.167], outcomes[OURS, 0.5]
    assert best.promoted > 0.95
    assert best.median_runs is not None
    assert best.median_runs < 150
    assert good.promoted > 0.7


def test_the_simulated_rule_is_the_products_own() -> None:
    ours = gate_quality.rules(200)[-1]
    for count in range(0, 201, 7):
        for hits in range(count + 1):
            verdict = "PASS" if hits <= ours.passes[count] else "FAIL" if hits >= ours.fails[count] else "INSUFFICIENT"
            assert share_verdict(hits, count, gate_quality.LIMIT) == verdict


def test_the_page_shows_the_table_of_the_figure() -> None:
    page = gate_quality.PAGE.read_text(encoding="utf-8")
    names = [rule.name for rule in gate_quality.rules(1)]
    figure = gate_quality.FIGURE.read_text(encoding="utf-8")
    assert all(f"| {name} |" in page and f">{name}<" in figure for name in names)
