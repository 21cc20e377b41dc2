"""Every form of production, from init to promotion and back: a checkout, `~/.claude`, a plugin's folder, in place."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from tests.conftest import Studio
from tests.release_world import World, git

from agent_studio.release import promote
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, proof, switch, whose
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.release.promote import Plan

pytestmark = [
    pytest.mark.skipif(None in map(shutil.which, ("ssh-keygen", "git")), reason="ssh-keygen or git is not here"),
]
FORMS = ("worktree", "checkout", "home", "plugin")
THEIRS = {
    "home": {
        "settings.json": '{"model": "opus"}\n', "agents/mine.md": "mine\n", "projects/x/session.jsonl": "{}\n",
        ".credentials.json": "{}\n", "todos/1.json": "[]\n", "settings.local.json": "{}\n",
    },
    "plugin": {
        ".claude-plugin/plugin.json": '{"name": "shop"}\n', "README.md": "# Shop\n", "agents/mine.md": "mine\n",
        ".claude/settings.json": "{}\n", "src/index.ts": "\n",
    },
}  # fmt: skip
"""What is there before we come."""
REPLACED = {"settings.json", "agents/mine.md"}
"""What of it a release is made of."""


class Target(World):
    """A world whose production is of some form."""

    def __init__(self, studio: Studio, folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(folder / "home"))
        (folder / "home").mkdir()
        super().__init__(studio, folder, in_place=True)
        self.form = form
        self.live = {"home": folder / "home/.claude", "plugin": folder / "plugin"}.get(form, folder / "live")
        self.definitions = self.live if form in THEIRS else self.live / ".claude"
        for path, text in THEIRS.get(form, {}).items():
            (self.live / path).parent.mkdir(parents=True, exist_ok=True)
            (self.live / path).write_text(text)
        if form == "checkout":
            git(folder, "clone", "-q", str(self.project.path), str(self.live))
        written = "~/.claude" if form == "home" else os.path.relpath(self.live, self.project.path)
        self.must("init", "--env", "production", "--no-hooks", "--target", written)
        self.commit("Target")

    def reads(self, path: str = "agents/code-reviewer.md") -> str:
        return (self.definitions / path).read_text()

    def theirs(self) -> dict[str, str]:
        """Return what is left of what no release is made of."""
        listed = (path for path in THEIRS.get(self.form, {}) if path not in REPLACED)
        return {path: (self.live / path).read_text() for path in listed}


@pytest.fixture(params=FORMS)
def world(request: pytest.FixtureRequest, bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    return Target(bare, tmp_path, request.param, monkeypatch)


@pytest.fixture
def checkout(bare: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    return Target(bare, tmp_path, "worktree", monkeypatch)


def test_from_init_to_a_promotion_and_back(world: Target) -> None:
    theirs = world.theirs()
    assert world.data("status", "--env", "production")["separation"] == "target"
    settled = () if world.form == "worktree" else ("--adopt",)
    if settled:  # what is there is somebody else's
        world.edit("first")
        world.ready()
        before = theirs, world.reads("agents/mine.md") if world.form in THEIRS else ""
        assert "drift" in world.must("promote", "--yes", code=5).err
        assert (world.theirs(), world.reads("agents/mine.md") if world.form in THEIRS else "") == before
    first = world.promoted("first", *settled)
    assert world.reads() == "first"
    assert "live already" in world.must("promote", "--yes").out
    second = world.promoted("second")
    assert world.reads() == "second"
    world.must("release", "verify")
    (world.definitions / "agents/code-reviewer.md").write_text("by hand")
    world.must("release", "verify", code=5)
    world.edit("third")
    world.ready()
    world.must("promote", "--yes", code=5)
    world.must("promote", "--yes", "--discard")
    assert world.reads() == "third"
    world.must("rollback", "--level", "2", "--reason", "a trial", "--yes", code=3)  # there is no suite to run
    assert world.reads() == "second"
    world.must("release", "verify")
    current = history.read(world.project).current
    assert current is not None
    assert (current.release, first != second) == (second, True)
    assert world.theirs() == theirs


@pytest.mark.parametrize("world", ["home", "plugin"], indirect=True)
def test_what_a_folder_of_definitions_held_is_shown_replaced_and_given_back(world: Target) -> None:
    world.edit("bad")
    world.ready()
    planned = world.must("promote", "--dry-run", "--discard").out
    assert "  gone agents/mine.md" in planned
    sides = open_sides(world.project, {})
    bad = proof.Proof(14, 1, ("a check: it fails",))
    done = promote.promote(sides, promote.Options(discard=True), lambda _: None, lambda: bad)
    assert done.settled is not None
    assert done.settled.returned_to
    assert world.reads("agents/mine.md") == "mine\n"
    if world.form == "home":
        assert json.loads(world.reads("settings.json")) == {"model": "opus"}
    world.promoted("good")
    assert not (world.definitions / "agents/mine.md").exists()
    before = next(one["before"] for one in history.read(world.project).records if one.get("before"))
    store = Store(world.project)
    assert store.read(store.manifest(before)["agents/mine.md"].sha256) == b"mine\n"


@pytest.mark.parametrize("world", ["home", "plugin"], indirect=True)
def test_a_folder_of_definitions_leaves_data_and_the_projects_own_file_with_the_checkout(world: Target) -> None:
    world.studio.write("CLAUDE.md", "of the project")
    world.studio.write(".claude/CLAUDE.md", "of the definitions")
    written = (world.project.path / ".claude/config.yaml").read_text()
    assert ("~/.claude" if world.form == "home" else "../plugin") in written
    world.promoted("first", "--discard")
    assert world.reads("CLAUDE.md") == "of the definitions"
    assert "of the project" not in "".join(
        place.read_text() for place in world.live.rglob("*.md")
    )  # fmt: skip
    assert not (world.live / ".agent-studio").exists()
    assert not (world.live / "metrics").exists()
    assert world.data("flags", "rollout", "--env", "production") == {"environment": "production", "rollouts": []}


@pytest.mark.parametrize("world", ["plugin"], indirect=True)
def test_a_folder_of_definitions_gets_no_flags_and_no_rollout_and_is_told_so(world: Target) -> None:
    world.ready()
    before = world.studio.snapshot(), (world.live / "settings.json").exists()
    refused = world.studio.run("promote", "--gradual", "--yes", "--discard")
    assert (refused.code, "definitions alone" in refused.err) == (2, True)
    assert (world.studio.snapshot(), (world.live / "settings.json").exists()) == before
    planned = world.must("promote", "--discard", "--dry-run")
    assert "a folder of definitions alone has no flags of its own: advancedElicitation" in planned.out
    done = world.data("promote", "--yes", "--discard")
    assert (done["flags"], done["flagsLeft"], done["release"]) == (
        {}, {"advancedElicitation": True}, done["candidate"]
    )  # fmt: skip
    assert not (world.live / "config.production.yaml").exists()
    assert not world.data("flags", "explain", "advancedElicitation", "--env", "production")["value"]
    assert "live already" in world.must("promote", "--yes").out


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("..", 2, "is, holds or lies in the checkout"),
        (".claude", 2, "is, holds or lies in the checkout"),
        ("../notes", 2, "is there and has no .claude/"),
        ("../a-file", 2, "is a file"),
    ],
)
def test_a_folder_that_cannot_be_production_is_refused(bare: Studio, name: str, code: int, said: str) -> None:
    git(bare.path, "init", "-q")
    bare.write("../notes/todo.txt", "x")
    bare.write("../a-file", "x")
    before = bare.snapshot("..")
    done = bare.run("init", "--env", "production", "--target", name)
    assert (done.code, said in done.err) == (code, True), done.err
    assert bare.snapshot("..") == before


@pytest.mark.parametrize("world", ["worktree", "home"], indirect=True)
def test_bytes_modes_and_names_arrive_as_they_are(world: Target) -> None:
    decomposed, composed = "agents/cafe\u0301.md", "agents/caf\u00e9.md"
    world.studio.write(f".claude/{decomposed}", b"one\r\ntwo\r\n\xff\xfe")
    world.studio.write(".claude/hooks/guard.sh", b"#!/bin/sh\r\nexit 0\r\n").chmod(0o755)
    world.studio.write(".claude/hooks/notes.txt", b"").chmod(0o444)
    (world.project.path / ".claude/skills/empty").mkdir()
    world.promoted("first", *([] if world.form == "worktree" else ["--discard"]))
    assert (world.definitions / composed).read_bytes() == b"one\r\ntwo\r\n\xff\xfe"
    guard, notes = (world.definitions / f"hooks/{name}" for name in ("guard.sh", "notes.txt"))
    assert guard.read_bytes() == b"#!/bin/sh\r\nexit 0\r\n"
    assert guard.stat().st_mode & stat.S_IXUSR
    assert not notes.stat().st_mode & stat.S_IXUSR
    assert not (world.definitions / "skills/empty").exists()  # a release has files, not folders
    world.studio.write(".claude/hooks/guard.sh", b"#!/bin/sh\n").chmod(0o644)
    world.studio.write(f".claude/{decomposed}", b"three\n")
    notes.chmod(0o444)
    (world.definitions / "hooks").chmod(0o755)
    world.promoted("second")
    assert not guard.stat().st_mode & stat.S_IXUSR
    assert (world.definitions / composed).read_bytes() == b"three\n"
    world.must("release", "verify")
    world.must("rollback", "--level", "2", "--reason", "a trial", "--yes", code=3)
    assert guard.stat().st_mode & stat.S_IXUSR
    assert (world.definitions / composed).read_bytes() == b"one\r\ntwo\r\n\xff\xfe"


@pytest.mark.skipif(os.name == "nt", reason="names of both forms are one there")
def test_a_name_in_the_decomposed_form_in_production_itself_stays_as_it_is_there(checkout: Target) -> None:
    decomposed, composed = "agents/cafe\u0301.md", "agents/caf\u00e9.md"
    (checkout.definitions / decomposed).write_text("theirs")
    checkout.studio.write(f".claude/{composed}", "ours")
    checkout.edit("first")
    checkout.ready()
    assert "drift: agents/caf\u00e9.md" in checkout.must("promote", "--yes", code=5).err
    checkout.must("promote", "--yes", "--discard")
    assert [place.read_text() for place in (checkout.definitions / "agents").glob("caf*")] == ["ours"]
    checkout.must("release", "verify")


def test_files_and_folders_that_may_only_be_read_are_switched_or_leave_all_as_it_was(checkout: Target) -> None:
    checkout.promoted("first")
    place = checkout.definitions / "agents/code-reviewer.md"
    place.chmod(0o444)
    checkout.promoted("second")
    assert checkout.reads() == "second"
    if not os.geteuid():
        return  # whoever may do anything is not stopped by a mode
    place.parent.chmod(0o555)
    checkout.edit("third")
    checkout.ready()
    try:
        checkout.must("promote", "--yes", code=1)
        assert checkout.reads() == "second"
    finally:
        place.parent.chmod(0o755)
    checkout.must("promote", "--yes")


@pytest.mark.parametrize("what", ["changed", "new", "gone"])
def test_a_live_edit_while_a_promotion_is_agreed_on_is_refused_and_kept(checkout: Target, what: str) -> None:
    checkout.promoted("first")
    checkout.edit("second")
    checkout.ready()
    place = checkout.definitions / "agents" / ("new.md" if what == "new" else "code-reviewer.md")

    def agree(_: Plan) -> None:
        if what == "gone":
            place.unlink()
        else:
            place.write_text("a live edit")

    with pytest.raises(whose.DriftError, match=r"agents/.* changed"):
        promote.promote(open_sides(checkout.project, {}), promote.Options(), agree)
    assert (place.read_text() if place.exists() else None) == (None if what == "gone" else "a live edit")
    assert len(history.read(checkout.project).releases) == 1
    assert switch.pending(checkout.project) is None
    checkout.must("promote", "--yes", code=5)  # by now it is drift
    checkout.must("promote", "--yes", "--discard")
    assert checkout.reads() == "second"


def test_in_place_a_live_edit_while_a_promotion_is_agreed_on_is_refused(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path, in_place=True)
    world.promoted("first")
    world.edit("second")
    world.ready()
    sides = open_sides(world.project, {})
    with pytest.raises(whose.DriftError):
        promote.promote(sides, promote.Options(), lambda _: world.edit("third"))
    assert world.reads() == "third"


def test_an_edit_of_the_checkout_while_a_promotion_is_agreed_on_does_not_go_live(checkout: Target) -> None:
    checkout.edit("second")
    checkout.ready()
    sides = open_sides(checkout.project, {})
    done = promote.promote(sides, promote.Options(), lambda _: checkout.edit("never signed"))
    assert done.settled is not None
    assert checkout.reads() == "second"


@contextmanager
def full(folder: Path, at: int) -> Iterator[list[int]]:
    """Let the disk that holds a folder be full from the n-th write to it on; yield how many there were."""
    real, seen = os.write, [0]

    def write(descriptor: int, data: bytes) -> int:
        place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if place.startswith(str(folder)) and not place.endswith("log.jsonl"):
            seen[0] += 1
            if seen[0] >= at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    with mock.patch.object(os, "write", write):
        yield seen


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are followed by /proc")
def test_a_disk_that_is_full_at_any_write_of_a_promotion_leaves_old_or_recovers_to_new(checkout: Target) -> None:
    checkout.promoted("first")
    checkout.edit("second")
    checkout.ready()
    was_decided = False
    for at in range(1, 60):
        with full(checkout.folder, at) as seen:
            done = checkout.studio.run("promote", "--yes")
        if seen[0] < at:
            break
        stopped = switch.pending(checkout.project) is not None
        assert (done.code, "No space left" in done.err) == (6 if stopped else 1, True), done.err
        if not stopped:
            assert checkout.reads() in {"first", "second"}
        else:
            was_decided = True
        checkout.must("recover")
        if was_decided or checkout.reads() == "second":
            break
        assert checkout.reads() == "first"
    assert checkout.reads() == "second"
    assert at > 1
    checkout.must("release", "verify")


@pytest.mark.parametrize(
    "arguments",
    [
        ("release", "verify"), ("release", "list"), ("gate",), ("candidate", "create"), ("burnin", "status"),
        ("smoke", "--env", "staging"), ("rollback", "--level", "2", "--reason", "x", "--yes"),
        ("promote", "--yes"), ("checklist", "pre"),
    ],
)  # fmt: skip
def test_a_verb_of_releases_in_production_itself_names_whose_it_is(
    checkout: Target, arguments: tuple[str, ...]
) -> None:  # fmt: skip
    there = Studio(checkout.live)
    before = there.snapshot()
    refused = there.run(*arguments)
    assert refused.code == 2
    assert f"production of {checkout.project.path}" in refused.err
    assert f"--project {checkout.project.path}" in refused.err
    assert there.snapshot() == before
    assert there.run("smoke", "--env", "production").code == 0


def test_json_names_the_side_of_a_promotion_that_a_verb_acts_on(checkout: Target) -> None:
    checkout.promoted("first")
    for verb in (("promote", "--dry-run"), ("release", "verify"), ("recover",), ("flags", "rollout")):
        assert checkout.studio.run(*verb, "--json").envelope["environment"] == "production", verb
    assert checkout.studio.run("candidate", "create", "--json").envelope["environment"] == "staging"
    for level, name in ((1, "staging"), (2, "production"), (3, "staging")):
        told = checkout.studio.run("rollback", "--level", str(level), "--reason", "x", "--dry-run", "--json")
        assert told.envelope["environment"] == name
