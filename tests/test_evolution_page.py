"""The dashboard's page of evolutions: what it is told, and that looking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.evolution_world import EvolutionWorld

from agent_studio.dashboard.contexts import Contexts
from agent_studio.dashboard.live import LOOK_SECONDS
from agent_studio.dashboard.questions import VIEWS, question

if TYPE_CHECKING:
    from typing import Any

    from tests.conftest import Studio


@pytest.fixture
def world(bare: Studio) -> EvolutionWorld:
    return EvolutionWorld(bare)


def asked(world: EvolutionWorld) -> dict[str, Any]:
    return VIEWS["evolution"](Contexts(world.context, {}), question({}))


def test_the_page_is_told_where_everything_stands_and_writes_nothing(world: EvolutionWorld) -> None:
    before = world.studio.snapshot()
    empty = asked(world)
    assert (empty["phase"], empty["current"], empty["past"], empty["suggestions"]) == ("idle", None, [], [])
    assert world.studio.snapshot() == before
    world.to("research")
    world.evolve("suggest", "a skill for retries")
    world.evolve("advance", code=3)
    found = asked(world)
    assert (found["phase"], found["current"]["name"]) == ("research", "release-notes")
    assert [one["verdict"] for one in found["current"]["gates"]] == ["INSUFFICIENT"]
    assert found["suggestions"][0]["text"] == "a skill for retries"
    world.evolve("abort", "--reason", "not now")
    assert asked(world)["past"][0]["reason"] == "not now"
    (world.data / "evolution-state.json").write_bytes(b"{")
    assert "its history" in asked(world)["note"]


def test_a_page_looks_again_when_something_was_evolved(world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = Contexts(world.context, {}).revision("")
    before = revision()
    world.start()
    monkeypatch.setattr("agent_studio.dashboard.live.time.monotonic", lambda: 1e12 + LOOK_SECONDS)
    assert revision() != before
