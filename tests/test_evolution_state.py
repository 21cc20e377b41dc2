"""What is kept of evolutions survives damage, kills, other writers and files of others; nothing of it is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from tests.conftest import Studio
from tests.evolution_world import NEED, SKILL, EvolutionWorld

from agent_studio.environment.detect import Environment
from agent_studio.evolution import drafts, judging, store, suggestions, workflow
from agent_studio.evolution.gate import PASS, Gate
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_studio.evolution.state import Evolution, State

FILE, JOURNAL = "evolution-state.json", "evolution.jsonl"
SEEDED = {
    "currentPhase": "idle",
    "researchEntries": [],
    "history": ["a record of a user", {"phase": "enabled", "name": "old-skill"}],
    "patterns": [{"pattern": "retries"}],
    "suggestionsQueue": ["a skill for retries", {"type": "skill", "reason": "nobody reads the logs"}],
    "notes": {"kept": True},
}
USED: dict[str, Any] = {
    "version": "1.0.0", "state": "locking", "lastUpdated": "2026-01-31T09:30:00.000Z", "locks": {"agents": "x"},
    "currentEvolution": {
        "type": "agent", "name": "log-reader", "reason": "nobody reads the logs of nightly builds",
        "startedAt": "2026-01-31T09:00:00.000Z", "research": ["https://example.org/logs"],
    },
    "evolutions": [{"name": "first", "status": "completed"}], "patterns": [],
    "suggestions": [{"id": 7, "description": "a workflow for incidents", "timestamp": "2026-01-30T00:00:00Z"}],
}  # fmt: skip


@pytest.fixture
def world(bare: Studio) -> EvolutionWorld:
    found = EvolutionWorld(bare)
    found.data.mkdir()
    return found


def test_a_state_file_that_is_gone_or_damaged_is_recovered_from_its_history(world: EvolutionWorld) -> None:
    world.to("research")
    before = world.file
    for damage in (None, b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"currentPhase": "idle"', b"null"):
        place = world.data / FILE
        place.unlink() if damage is None else place.write_bytes(damage)
        told = world.run("status", "--json").envelope
        assert told["data"]["phase"] == "research"
        assert "its history" in told["problems"][0]["message"]
        mended = world.run("status", "--repair", "--json").envelope
        assert "written anew" in mended["problems"][0]["message"]
        assert world.file == before
        assert not world.run("status", "--json").envelope["problems"]
    (world.data / FILE).write_bytes(b"{")
    world.evolve("research", "https://example.org/a", "--says", "it says how to do it")
    assert world.file["researchEntries"][0]["source"] == "https://example.org/a"
    kept = sorted(one.name for one in world.data.glob("evolution-state.*.json"))
    assert all((world.data / name).read_bytes() != b"" for name in kept)


def test_a_damaged_history_is_refused_and_can_be_set_aside(world: EvolutionWorld) -> None:
    world.to("lock")
    world.evolve("suggest", "a skill for retries")
    place = world.data / JOURNAL
    whole = place.read_bytes()
    for damage in (whole.replace(b"release-notes", b"other-things", 1), b"".join(whole.splitlines(keepends=True)[:-1])):
        place.write_bytes(damage)
        for verb in (("status",), ("advance",), ("list",)):
            problem = world.refused(*verb, code=8)
            assert "evolve status --repair" in problem["hint"]
    mended = world.run("status", "--repair", "--json").envelope
    assert "was damaged, is kept as" in mended["problems"][0]["message"]
    again = mended["data"]["evolution"]
    assert (again["id"], again["kind"], again["name"], again["phase"]) == (1, "skill", "release-notes", "lock")
    assert len(again["research"]) == 3
    assert [one.text for one in world.state.queue] == ["a skill for retries"]
    assert list(world.data.glob(f"{JOURNAL}.2*"))
    world.evolve("advance", code=3)  # nothing is drafted


@pytest.mark.parametrize("written", [SEEDED, USED, {**SEEDED, "version": 1}], ids=["seeded", "used", "version 1"])
def test_a_file_of_the_original_is_read_and_kept_beside_from_the_first_change_on(
    world: EvolutionWorld, written: dict[str, Any]
) -> None:
    raw = json.dumps(written).encode()
    (world.data / FILE).write_bytes(raw)
    looked = world.run("status", "--json").envelope
    assert "the original's" in looked["problems"][0]["message"]
    assert (world.data / FILE).read_bytes() == raw
    assert [one.name for one in world.data.iterdir()] == [FILE]
    world.evolve("suggest", "a skill for something else")
    assert [one.read_bytes() for one in world.data.glob("evolution-state.2*.json")] == [raw]
    now = world.file
    assert now["history"] == written.get("history", written.get("evolutions"))
    assert now["patterns"][: len(written["patterns"])] == written["patterns"]
    assert len(now["suggestionsQueue"]) == 1 + len(written.get("suggestionsQueue", written.get("suggestions", [])))
    if written is USED:
        assert (now["currentPhase"], now["currentEvolution"]["name"]) == ("evaluate", "log-reader")
        assert now["imported"] == {"locks": {"agents": "x"}, "phase": "locking"}
        world.evolve("advance", code=3)
        assert "0 of 3" in world.run("status").out  # what the original recorded names no sources of ours
    else:
        assert now["imported"] == {"notes": {"kept": True}}


def test_a_state_file_at_rest_leaves_nothing_beside(staged: Studio) -> None:
    world = EvolutionWorld(staged, environment=Environment.STAGING)
    assert not world.run("status", "--json").envelope["problems"]
    world.start()
    assert not list(world.data.glob("evolution-state.*.json"))


@pytest.mark.parametrize("version", [3, "9.1", None, []])
def test_a_file_of_another_version_is_left_alone(world: EvolutionWorld, version: object) -> None:
    raw = json.dumps({"version": version, "currentPhase": "dreaming"}).encode()
    (world.data / FILE).write_bytes(raw)
    assert "not known here" in world.run("status", "--json").envelope["problems"][0]["message"]
    problem = world.refused("start", "skill", "release-notes", "--need", NEED)
    assert "knows 2" in problem["message"]
    assert (world.data / FILE).read_bytes() == raw
    world.evolve("status", "--repair")
    assert [one.read_bytes() for one in world.data.glob("evolution-state.2*.json")] == [raw]
    world.start()


def processes(world: EvolutionWorld, commands: list[list[str]]) -> list[tuple[int, str]]:
    """Run commands at once; return the exit code and output of each."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "agent_studio", "evolve", *command, "--json"], cwd=world.studio.path,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for command in commands
    ]  # fmt: skip
    return [(process.wait(timeout=120), process.communicate()[0]) for process in started]


def test_of_two_starts_at_once_one_wins_and_no_suggestion_is_lost(world: EvolutionWorld) -> None:
    starts = [["start", "skill", f"thing-{number}", "--need", NEED] for number in range(2)]
    said = [["suggest", f"a skill for trouble number {word}"] for word in ("one", "two", "three", "four")]
    found = processes(world, [*starts, *said])
    assert sorted(code for code, _ in found[:2]) == [0, 2]
    assert any("is under way" in out for _, out in found[:2])
    assert [code for code, _ in found[2:]] == [0] * 4
    assert len(world.state.queue) == len(world.file["suggestionsQueue"]) == 4


def test_of_two_advances_at_once_none_passes_a_phase_unseen(world: EvolutionWorld) -> None:
    world.start()
    codes = sorted(code for code, _ in processes(world, [["advance", "validate"]] * 2))
    assert codes in ([0, 2], [0, 5])
    assert world.state.phase == "validate"
    assert world.events == ["started", "judged"]


def test_who_starts_while_another_is_about_to_waits_and_is_refused(world: EvolutionWorld) -> None:
    with store.changing(world.context) as change:
        other = subprocess.Popen(
            [sys.executable, "-m", "agent_studio", "evolve", "start", "skill", "second", "--need", NEED],
            cwd=world.studio.path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=4)
        change.add(
            "started", id=1, kind="skill", name="first", need=NEED, description=NEED, who="us", suggestion="", unlike={}
        )
    _, said = other.communicate(timeout=60)
    assert (other.returncode, "evolution 1 (skill first) is under way" in said) == (2, True)
    assert world.events == ["started"]


def test_what_gates_said_of_an_evolution_that_went_on_meanwhile_does_not_count(
    world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start()
    asked = judging.judge

    def overtaken(*arguments: Any, **options: Any) -> list[Gate]:
        monkeypatch.setattr(workflow, "judge", asked)
        world.evolve("advance", "validate")
        return asked(*arguments, **options)

    monkeypatch.setattr(workflow, "judge", overtaken)
    assert "another process went on" in world.refused("advance", code=5)["message"]
    assert world.state.phase == "validate"


def test_many_say_the_same_at_once_and_it_is_one_suggestion(world: EvolutionWorld) -> None:
    assert [code for code, _ in processes(world, [["suggest", "a skill for retries"]] * 4)] == [0] * 4
    [one] = world.state.queue
    assert one.count == 4


POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
_CHANGES = ("write", "rename", "replace", "fsync", "mkdir", "unlink", "rmdir", "ftruncate", "fchmod")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do something in a process that is killed before the n-th call which changes a file; return whether it was."""
    child = os.fork()
    if not child:
        made = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal made
                made += 1
                if made == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in _CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in {0, -signal.SIGKILL}
    return ended != 0


def enable(world: EvolutionWorld) -> None:
    """Do what `advance` does once its gates have passed."""
    context = world.context
    with store.changing(context) as change:
        one = change.state.current
        assert one is not None
        with mock.patch.object(workflow, "prove", return_value=[Gate("smoke", PASS, "as if")]):
            asker = judging.Asker(context, {})
            workflow._judged(asker, change, one, drafts.read(context, one), [Gate("place-free", PASS, "as if")])


def lock(world: EvolutionWorld) -> None:
    """Take a draft, and lock it."""
    context = world.context
    with store.changing(context) as change:
        one = change.state.current
        assert one is not None
        drafts.take(context, one, str(world.studio.path / "drafted"))
        asker = judging.Asker(context, {})
        workflow._judged(asker, change, one, drafts.read(context, one), [Gate("draft", PASS, "as if")])


def begin(world: EvolutionWorld) -> None:
    workflow.start(world.context, workflow.Wanted("skill", "release-notes", NEED))


def seen(world: EvolutionWorld) -> tuple[Evolution | None, int, int]:
    """Return what there is of an evolution, but for times."""
    state = world.state
    return state.current, len(state.past), len(state.suggestions)


def every_kill(
    world: EvolutionWorld, folder: Path, work: Callable[[EvolutionWorld], object], is_done: Callable[[State], bool]
) -> int:
    """Kill at every change of a file, and look at what that leaves; return how many kills there were."""
    before = seen(world)
    for number in range(1, 500):
        copy = EvolutionWorld(Studio(shutil.copytree(world.studio.path, folder / "copy")))
        was_killed = killed_at(number, lambda copy=copy: work(copy))  # type: ignore[misc]
        assert is_done(copy.state) or seen(copy)[1:] == before[1:]
        whole = copy.studio.path / ".claude/skills/release-notes"
        if whole.exists():
            assert {one.name for one in whole.iterdir()} == {"SKILL.md", "scripts"}
            assert (whole / "SKILL.md").read_text() == SKILL
        assert store.read(copy.context).file in {"current", "behind", "missing"}
        if not is_done(copy.state):
            assert was_killed
            work(copy)
        copy.evolve("status", "--repair")
        assert copy.file["currentPhase"] == copy.state.phase
        assert seen(copy) != before
        left = [one.name for one in copy.data.rglob("*") if one.name.endswith((".tmp", ".placing"))]
        assert not (left and whole.exists())
        shutil.rmtree(folder / "copy")
        if not was_killed:
            return number - 1
    raise AssertionError("it never ended")


WORK: dict[str, tuple[Callable[[EvolutionWorld], None], Callable[[State], bool]]] = {
    "begin": (begin, lambda state: state.current is not None),
    "lock": (lock, lambda state: state.phase == "verify"),
    "enable": (enable, lambda state: len(state.past) == 1),
}
"""What is killed, and how one sees that it is done."""


@POSIX
@pytest.mark.parametrize("phase", ["begin", "lock", "enable"])
def test_whatever_moment_a_process_is_killed_the_state_is_the_old_or_the_new_one(
    world: EvolutionWorld, tmp_path: Path, phase: str
) -> None:
    drafted = {"SKILL.md": SKILL, "scripts/list.sh": "#!/bin/sh\n"}
    for name, text in drafted.items():
        world.studio.write(f"drafted/{name}", text)
    if phase != "begin":
        world.to("lock")
    if phase == "enable":
        world.evolve("advance", "--from", str(world.studio.path / "drafted"))
    kills = every_kill(world, tmp_path, *WORK[phase])
    assert kills >= {"begin": 6, "lock": 12, "enable": 20}[phase]


def test_a_suggestion_is_recorded_before_the_state_file_says_so(world: EvolutionWorld) -> None:
    suggestions.say(world.context, "a skill for retries")
    records = chained.read(world.context.root.folder("context"), JOURNAL).records
    assert world.file["journal"] == {"file": JOURNAL, "seq": 1, "hash": records[-1]["_hash"]}


def test_doctor_names_what_is_damaged_and_what_is_blocked(world: EvolutionWorld) -> None:
    def told() -> list[tuple[str, str]]:
        findings = world.studio.json("doctor")["findings"]
        return [(one["severity"], one["fix"]) for one in findings if one["code"] == "evolution"]

    assert told() == []
    world.to("enable")
    world.evolve("advance", code=1)  # smoke fails where nothing was initialised
    assert told() == [("info", "agent-studio evolve status")]
    (world.data / FILE).write_bytes(b"{")
    assert told() == [("warning", "agent-studio evolve status --repair")]
    (world.data / JOURNAL).write_bytes(b"{}\n")
    [(severity, fix)] = told()
    assert (severity, "--repair" in fix) == ("error", True)
