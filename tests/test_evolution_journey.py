"""The trial of an evolution on a foreign project, here on the example: it passes, and it would see what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import evolution_gates, evolution_journey
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


EXAMPLE = REPOSITORY / "examples" / "bookshop"


def test_a_new_skill_is_enabled_and_four_are_stopped(tmp_path: Path) -> None:
    found = evolution_journey.trial(evolution_journey.copied(EXAMPLE, tmp_path / "shop"), "the example")
    assert found.faults == []
    assert len(found.figures) == 5


def test_the_trial_sees_a_gate_that_lets_everything_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_studio.evolution.gates.placeholders.in_body", lambda _: [])
    monkeypatch.setattr("agent_studio.evolution.gates.placeholders.in_field", lambda _: "")
    monkeypatch.setattr("agent_studio.evolution.limit.AN_HOUR", 9)
    monkeypatch.setattr("agent_studio.evolution.gates.need.SAME", 2.0)
    found = evolution_journey.trial(evolution_journey.copied(EXAMPLE, tmp_path / "shop"), "the example")
    told = " ".join(found.faults)
    for fault in ("a twin of", "placeholders are not found", "exit code 0, not 2"):
        assert fault in told


def test_the_gates_are_counted_over_what_is_there(tmp_path: Path) -> None:
    project = evolution_journey.copied(EXAMPLE, tmp_path / "shop")
    before = {place: place.read_bytes() for place in (project / ".claude").rglob("*") if place.is_file()}
    rows = {name: counts for name, *counts in evolution_gates.figures(project)}
    assert rows["placeholders"] == [rows["references to artifacts"][0], 0, 0]
    assert rows["references to artifacts"][1] == 0
    of, failing, near = rows["description beside all of other names"]
    assert 0 <= failing + near <= of == rows["placeholders"][0]
    assert {place: place.read_bytes() for place in before} == before
