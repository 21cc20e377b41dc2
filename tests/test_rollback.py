"""The ways back: staging anew, production at its last healthy release, a backup or none; nothing is lost on any."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.release_world import FEW, World, git

from agent_studio.release import evidence, history, safety

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is not here"),
]


@pytest.fixture
def world(bare: Studio, tmp_path: Path) -> World:
    return World(bare, tmp_path)


def back(world: World, level: int, *arguments: str, code: int = 0) -> str:
    words = ("rollback", "--level", str(level), "--reason", "a trial", *arguments, *FEW)
    return world.must(*words, code=code).out


def test_level_1_makes_staging_anew_and_loses_nothing(world: World) -> None:
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Learnt\n")
    candidate = world.gather()
    before = world.studio.snapshot(".claude/agents")
    planned = back(world, 1, "--dry-run")
    assert "archive" in planned
    assert notes.read_text() == "# Learnt\n"
    back(world, 1, code=2)  # nobody is there to agree
    told = back(world, 1, "--yes")
    assert "smoke" in told
    assert notes.read_text() != "# Learnt\n"
    archived = list((world.project.path / ".agent-studio/staging/archive").rglob("learnings.md"))
    assert [place.read_text() for place in archived] == ["# Learnt\n"]
    assert world.studio.snapshot(".claude/agents") == before
    found = evidence.of(world.project, world.staging.environment, candidate).evidence
    assert found["burnin"].verdict == "INSUFFICIENT"  # it starts anew
    assert found["smoke"].verdict == "PASS"  # what else was found of the candidate still holds
    line = history.read(world.project).records[-1]
    assert (line["step"], line["level"], line["reason"]) == ("restart", 1, "a trial")


@pytest.mark.parametrize("level", [1, 3])
def test_levels_1_and_3_never_act_on_production(world: World, level: int) -> None:
    before = world.studio.snapshot()
    back(world, level, "--yes", "--env", "production", code=2)
    assert world.studio.snapshot() == before


def test_level_2_brings_the_last_healthy_release_back(world: World) -> None:
    world.must("rollback", "--level", "2", "--reason", "none", "--yes", code=1)  # there is none
    first = world.promoted("first")
    second = world.promoted("second")
    (world.live / ".claude/agents/code-reviewer.md").write_text("edited by hand")
    planned = back(world, 2, "--dry-run")
    assert first[:12] in planned
    assert world.reads() == "edited by hand"
    back(world, 2, "--yes", code=3)  # the project has no suite that could show that all is well
    assert world.reads() == "first"
    current = history.read(world.project).current
    assert current is not None
    assert (current.step, current.release, current.record["previous"], current.healthy) == (
        "rollback", first, second, True,
    )  # fmt: skip
    world.must("release", "verify")


def test_level_2_does_without_a_staging_that_cannot_be_opened(world: World) -> None:
    world.promoted("first")
    world.promoted("second")
    world.studio.write(".claude/config.staging.yaml", "environment: staging\nmonitoring: [\n")
    back(world, 2, "--yes", code=1)
    assert world.reads() == "first"


def test_level_2_by_git_reverts_the_last_commit_of_a_clean_checkout(world: World) -> None:
    world.edit("a mistake")
    world.studio.write(".claude/agents/new.md", "not committed")
    assert "not committed" in world.must("rollback", "--level", "2", "--git", "--reason", "x", "--yes", code=1).err
    (world.project.path / ".claude/agents/new.md").unlink()
    back(world, 2, "--git", "--yes", code=3)
    assert "a mistake" not in (world.project.path / ".claude/agents/code-reviewer.md").read_text()
    assert git(world.project.path, "log", "-1", "--format=%s").startswith('Revert "Edit"')


def test_level_3_without_a_backup_disables_staging_until_it_is_made_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safety, "backups", lambda: None)
    notes = world.project.path / ".claude/staging/memory/learnings.md"
    notes.write_text("# Learnt\n")
    back(world, 3, "--yes", code=6)
    for verb in (("smoke",), ("status",), ("monitor",), ("init",), ("kb", "search", "x"), ("flags", "list")):
        done = world.must(*verb, "--env", "staging", code=6)
        assert "a trial" in done.err
        assert "--env development" in done.err
    world.must("promote", "--yes", code=6)
    world.must("status", "--env", "development")
    world.must("init", "--env", "staging", "--reset", "--yes", "--no-hooks", *FEW)
    world.must("smoke", "--env", "staging")
    archived = list((world.project.path / ".agent-studio/staging/archive").rglob("learnings.md"))
    assert "# Learnt\n" in [place.read_text() for place in archived]


def test_a_rollback_says_why_and_takes_only_its_own_options(world: World) -> None:
    for words in (
        ("--level", "1"), ("--level", "1", "--reason", " "), ("--level", "1", "--reason", "x", "--git"),
        ("--level", "2", "--reason", "x", "--backup", "b"), ("--level", "4", "--reason", "x"),
        ("--level", "1", "--reason", "x", "--env", "development"),
    ):  # fmt: skip
        world.must("rollback", *words, "--yes", code=2)
