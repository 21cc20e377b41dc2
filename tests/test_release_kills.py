"""Kills of what changes production or data, planned from a trace: after recovery all is exactly old or new."""

from __future__ import annotations

import pytest
from bench import kills, release_kills


@pytest.mark.parametrize(
    ("name", "count", "least"),
    [
        ("promote", 3, 60),
        ("promote, the first release", 2, 80),
        ("rollback", 3, 100),
        ("recover", 2, 8),
        ("release prune", 2, 8),
        ("backup restore", 2, 50),
        ("rollback level 3", 2, 60),
        ("recover a restore", 2, 30),
        ("backup prune", 2, 8),
    ],
)
def test_whatever_a_kill_leaves_recover_makes_exactly_old_or_new(name: str, count: int, least: int) -> None:
    fault = kills.tracing_fault()
    if "not permitted" in fault:
        pytest.skip(f"this machine forbids tracing, so no kill can be planned: {fault}")
    assert not fault, f"{fault}: scripts/setup.sh installs it"
    scenario = next(one for one in release_kills.SCENARIOS if one.name == name)
    with release_kills.matrix(scenario) as matrix:
        assert len(matrix.points) >= least, "the plan misses calls"
        assert [fault for point in matrix.spread(count) for fault in matrix.kill(point)] == []
