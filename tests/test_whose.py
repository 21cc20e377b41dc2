"""A production is one project's: no other checkout, no cut history and no lost folder lets anybody round the gate."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Studio
from tests.release_world import FEW, World, git

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release import evidence, gate, promote
from agent_studio.release.content import candidates
from agent_studio.release.production import history
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.release.promote import Plan

pytestmark = [
    pytest.mark.skipif(None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is not here"),
]


@pytest.fixture
def world(bare: Studio, tmp_path: Path) -> World:
    made = World(bare, tmp_path)
    made.promoted("first")
    return made


def test_another_checkout_that_asks_nobody_to_sign_is_refused(world: World) -> None:
    other = world.folder / "other"
    git(world.folder, "clone", "-q", str(world.project.path), str(other))
    studio = Studio(other)
    config = (other / ".claude/config.yaml").read_text()
    nobody = "target: ../live\n  policy:\n    roles: []"
    studio.write(".claude/config.yaml", config.replace("target: ../live", nobody))
    studio.write(".claude/agents/code-reviewer.md", "evil")
    assert studio.run("init", "--env", "staging", "--no-hooks", *FEW).code == 0
    project = Project(other.resolve())
    made = candidates.create(project)
    staging = open_context(project, Choice(Environment.STAGING, "--env"), {})
    for kind in gate.REQUIRED:
        evidence.record(staging, kind, made.candidate, evidence.PASS, {"reason": "made up"})
    done = studio.run("promote", "--yes", "--discard")
    assert (done.code, "another checkout promotes there" in done.err) == (8, True), done.err
    assert world.reads() == "first"
    taken = studio.run("init", "--env", "production", "--no-hooks", "--target", "../live")
    assert (taken.code, "another checkout" in taken.err) == (8, True), taken.err


def test_a_history_that_was_removed_begins_nothing_anew(world: World) -> None:
    world.edit("second")
    world.ready()
    shutil.rmtree(world.project.path / ".agent-studio/releases")
    done = world.must("promote", "--yes", "--discard", code=8)
    assert "history was cut off" in done.err
    assert world.reads() == "first"


def test_a_target_that_lost_its_definitions_is_not_taken_for_a_folder_of_them(world: World) -> None:
    world.promoted("second")
    app = world.live / "hooks/useHook.ts"
    app.parent.mkdir()
    app.write_text("export {}\n")
    shutil.rmtree(world.live / ".claude")
    done = world.studio.run("rollback", "--level", "2", "--reason", "x", "--yes", *FEW)
    assert done.code in {2, 5}, done.err
    assert app.read_text() == "export {}\n"
    assert not (world.live / "agents").exists()


def test_a_target_that_leads_elsewhere_now_is_refused_until_it_is_said_again(world: World) -> None:
    victim = world.folder / "victim"
    shutil.copytree(world.live / ".claude", victim)
    shutil.rmtree(world.live / ".claude")
    (world.live / ".claude").symlink_to(victim)
    (victim / "agents/personal.md").write_text("mine")
    world.edit("second")
    done = world.must("promote", "--yes", "--discard", code=5)
    assert "the releases so far are in ../live/.claude" in done.err
    assert (victim / "agents/personal.md").read_text() == "mine"


def test_the_target_is_what_a_file_says(world: World) -> None:
    twin = world.folder / "twin"
    shutil.copytree(world.live, twin, symlinks=True)
    for verb in (("promote", "--yes"), ("gate",), ("rollback", "--level", "2", "--reason", "x", "--yes")):
        done = world.must(*verb, "--set", "release.target=../twin", code=2)
        assert "who signs for a candidate signs for the target in its files" in done.err


def test_what_fails_or_is_withdrawn_while_people_agree_is_not_promoted(world: World) -> None:
    world.edit("second")
    candidate = world.ready()

    def agree(_: Plan) -> None:
        evidence.record(world.staging, "smoke", candidate, evidence.FAIL, {"reason": "it broke meanwhile"})

    done = promote.promote(open_sides(world.project, {}), promote.Options(), agree)
    assert (done.settled, done.plan.is_refused) == (None, True)
    assert world.reads() == "first"


def test_production_goes_back_though_the_checkouts_configuration_is_broken(world: World) -> None:
    world.promoted("second")
    world.studio.write(".claude/config.yaml", "release: [nonsense\n")
    done = world.studio.run("rollback", "--level", "2", "--reason", "x", "--yes", *FEW)
    assert world.reads() == "first", done.err
    assert [one.step for one in history.read(world.project).releases][-1] == "rollback"


def test_the_first_release_goes_back_to_what_was_there(world: World) -> None:
    before = next(one["before"] for one in history.read(world.project).records if one.get("before"))
    world.must("rollback", "--level", "2", "--reason", "x", "--yes", *FEW, code=3)  # there is no suite to run
    current = history.read(world.project).current
    assert current is not None
    assert current.release == before
    assert world.reads() != "first"
