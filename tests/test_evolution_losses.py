"""Whatever happens to journal and state file of evolutions: what either still says is kept, and so is the limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.evolution_world import NEED, Clock, EvolutionWorld

from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Studio

FILE, JOURNAL = "evolution-state.json", "evolution.jsonl"


@pytest.fixture
def world(bare: Studio) -> EvolutionWorld:
    found = EvolutionWorld(bare)
    found.data.mkdir()
    return found


def lived(world: EvolutionWorld) -> None:
    """An evolution that was given up, one in research with an answer, a suggestion that waits and one that does not."""
    world.start(name="first-thing")
    world.evolve("abort", "--reason", "a trial")
    world.evolve("suggest", "a skill for retries")
    gone = world.evolve("suggest", "a skill for translations of the shop")["added"][0]
    world.evolve("dismiss", gone, "--reason", "never needed here")
    world.to("research", "--unlike", "ship=that is a command")


def lose_journal(world: EvolutionWorld) -> None:
    for name in (JOURNAL, f"{JOURNAL}.head"):
        (world.data / name).unlink()


def damage_first(world: EvolutionWorld) -> None:
    place = world.data / JOURNAL
    place.write_bytes(place.read_bytes().replace(b"first-thing", b"other-thing", 1))
    world.evolve("status", "--repair")


def damage_last(world: EvolutionWorld) -> None:
    with (world.data / JOURNAL).open("ab") as journal:
        journal.write(b"x\n")
    world.evolve("status", "--repair")


def empty_head(world: EvolutionWorld) -> None:
    (world.data / f"{JOURNAL}.head").write_bytes(b"")
    (world.data / FILE).write_bytes(b"{")
    world.evolve("status", "--repair")


@pytest.mark.parametrize("damage", [lose_journal, damage_first, damage_last, empty_head])
def test_nothing_that_either_file_says_is_lost(world: EvolutionWorld, damage: Callable[[EvolutionWorld], None]) -> None:
    lived(world)
    damage(world)
    for _ in range(2):
        state = world.state
        now = state.current
        assert now is not None
        assert (now.name, now.unlike) == ("release-notes", {"ship": "that is a command"})
        assert now.phase == ("research" if damage in (damage_last, empty_head) else "evaluate")
        assert [(one.name, one.outcome, one.reason) for one in state.past] == [("first-thing", "aborted", "a trial")]
        assert [one.text for one in state.queue if one.text != "something else"] == ["a skill for retries"]
        again = world.evolve("suggest", "a skill for translations of the shop")
        assert again["added"] == []
        assert len(state.started) == 2
        world.evolve("suggest", "something else")
    world.evolve("abort", "--reason", "a trial")
    world.start(name="third-thing")
    world.evolve("abort", "--reason", "a trial")
    assert "3 may be" in world.refused("start", "skill", "thing-4", "--need", NEED)["message"]


def test_an_older_journal_goes_on_from_a_later_state_file(world: EvolutionWorld) -> None:
    world.evolve("suggest", "a skill for retries")
    older = {name: (world.data / name).read_bytes() for name in (JOURNAL, f"{JOURNAL}.head")}
    world.evolve("suggest", "a skill for translations of the shop")
    later = (world.data / FILE).read_bytes()
    for name, raw in older.items():
        (world.data / name).write_bytes(raw)
    assert "ends before it" in world.run("status", "--json").envelope["problems"][0]["message"]
    world.evolve("suggest", "a skill for logs")
    assert len(world.state.queue) == 3
    assert [one.read_bytes() for one in world.data.glob("evolution-state.2*.json")] == [later]


def test_what_another_program_adds_to_the_state_file_is_kept_beside(world: EvolutionWorld) -> None:
    world.evolve("suggest", "a skill for retries")
    told = world.file
    told["suggestionsQueue"].append("a skill of another program")
    raw = json.dumps(told).encode()
    (world.data / FILE).write_bytes(raw)
    assert "changed by another program" in world.run("status", "--json").envelope["problems"][0]["message"]
    world.evolve("suggest", "a skill for logs")
    assert [one.read_bytes() for one in world.data.glob("evolution-state.2*.json")] == [raw]


BASE: dict[str, Any] = {"state": "idle", "currentEvolution": None, "evolutions": [], "patterns": []}
OURS: dict[str, Any] = {
    "id": "s1", "kind": "skill", "text": "deploy robot", "count": 5, "first": "1", "last": "2", "evidence": [],
}  # fmt: skip
RUNNING: dict[str, Any] = {"type": "skill", "name": "deploy-robot", "need": "deploy the shop by a robot at night"}


WRITTEN: list[dict[str, Any]] = [
    {"suggestions": [{**OURS, "count": "5", "first": 1, "evidence": 7}]},
    {"suggestions": [{**OURS, "count": "5"}, {**OURS, "id": "s2", "first": 3}]},
    {"suggestions": [{**OURS, "evidence": ["x"]}, {**OURS, "id": ["s"]}]},
    {"suggestions": [OURS], "currentEvolution": {**RUNNING, "id": True, "research": [{"kind": [], "source": "x"}]}},
    {"currentEvolution": {**RUNNING, "research": [{"kind": "file", "source": "a.md", "says": "x", "key": "k"}]}},
    {"currentEvolution": {**RUNNING, "research": 5, "unlike": ["x"], "suggestion": 7}},
]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_state_file_of_a_hand_never_breaks_a_command(world: EvolutionWorld, written: dict[str, Any]) -> None:
    (world.data / FILE).write_text(json.dumps({**BASE, "suggestions": [], **written}))
    for verb in (("status",), ("list",), ("suggest", "a skill for logs"), ("status", "--repair"), ("status",)):
        world.evolve(*verb)
    assert world.studio.run("doctor").code != 70
    if world.state.current:
        assert world.run("advance").code in {0, 1, 3}
        assert world.run("status").code == 0


@pytest.mark.parametrize(
    "record", [{"event": "judged", "id": "1"}, {"event": "suggested", "suggestion": {"id": 1}}, {"event": "imported"}]
)
def test_a_record_that_lacks_what_it_needs_is_damage_that_can_be_mended(
    world: EvolutionWorld, record: dict[str, Any]
) -> None:
    world.start()
    chained.append(world.context.root.folder("context"), JOURNAL, record)
    assert "record 2 of" in world.refused("status", code=8)["message"]
    world.evolve("status", "--repair")
    assert world.state.phase == "evaluate"


def test_an_empty_id_names_no_suggestion_and_nothing_is_written(world: EvolutionWorld) -> None:
    world.evolve("suggest", "a skill for logs")
    for verb in (("dismiss", "", "--reason", "none of it"), ("accept", " ", "skill", "thing-1", "--need", NEED)):
        assert "names no suggestion" in world.refused(*verb)["message"]
    assert world.events == ["suggested"]


def test_a_record_ahead_of_the_clock_frees_nobody(world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.passes(days=365)
    world.evolve("suggest", "a skill for logs")
    clock.passes(days=-365)
    for number in range(3):
        world.start(name=f"thing-{number}")
        world.evolve("abort", "--reason", "a trial")
    assert "3 may be" in world.refused("start", "skill", "thing-4", "--need", NEED)["message"]


def test_starts_ahead_of_the_clock_count_for_an_hour_once_it_is_right(
    world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    clock.passes(days=3650)
    for number in range(3):
        world.start(name=f"thing-{number}")
        world.evolve("abort", "--reason", "a trial")
    clock.passes(days=-3650)
    assert "set back" in world.refused("start", "skill", "thing-4", "--need", NEED)["message"]
    clock.passes(minutes=50)
    world.refused("start", "skill", "thing-4", "--need", NEED)
    clock.passes(minutes=11)
    world.start(name="thing-4")


def test_the_originals_file_is_taken_over_by_a_repair_and_keeps_numbers_apart(world: EvolutionWorld) -> None:
    written = {**BASE, "evolutions": [{"id": 1, "name": "old"}], "suggestions": [], "currentEvolution": RUNNING}
    raw = json.dumps(written).encode()
    (world.data / FILE).write_bytes(raw)
    assert "taken over" in world.run("status", "--repair", "--json").envelope["problems"][0]["message"]
    assert not world.run("status", "--json").envelope["problems"]
    assert [one.read_bytes() for one in world.data.glob("evolution-state.2*.json")] == [raw]
    assert world.state.current is not None
    assert world.state.current.id == 2


def test_a_version_as_the_original_writes_it_is_known(world: EvolutionWorld) -> None:
    (world.data / FILE).write_text(json.dumps({"version": "1.0.0", "currentPhase": "idle", "history": ["x"]}))
    world.evolve("suggest", "a skill for logs")
    assert world.file["history"] == ["x"]
