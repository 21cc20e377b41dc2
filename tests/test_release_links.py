"""Links among production's definitions: each counts as what it leads to, until a release has other bytes there."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.release_world import NEEDS_KEYS, World
from tests.test_switch import Files, Pair, _points

from agent_studio.errors import AgentStudioError
from agent_studio.release.content import manifest
from agent_studio.release.production import history, switch

if TYPE_CHECKING:
    from tests.conftest import Studio

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links")
V1, V2 = (b"one", False), (b"two", False)
LINKED: Files = {
    "agents/reader.md": V1, "agents/linked.md": V1, "agents/chain.md": V1, "skills/own/SKILL.md": V1,
    "skills/shared/SKILL.md": V1, "skills/shared/more.md": V1, "agents/far.md": V1, "@project/CLAUDE.md": V1,
    "CLAUDE.md": V1,
}  # fmt: skip
"""What `linked` reads as."""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    linked(made)
    return made


def linked(pair: Pair) -> None:
    root, inner = pair.tree.definitions.parent, pair.tree.definitions
    pair.write({path: LINKED[path] for path in ("agents/reader.md", "skills/own/SKILL.md")})
    (root / "AGENTS.md").write_bytes(b"one")
    (root / "CLAUDE.md").symlink_to("AGENTS.md")
    (inner / "CLAUDE.md").symlink_to("../CLAUDE.md")
    (root / "shared").mkdir()
    for name in ("SKILL.md", "more.md"):
        (root / "shared" / name).write_bytes(b"one")
    (inner / "skills/shared").symlink_to("../../shared")
    (inner / "agents/linked.md").symlink_to("reader.md")
    (inner / "agents/chain.md").symlink_to("linked.md")
    (inner / "agents/far.md").symlink_to("../skills/shared/SKILL.md")


def links(pair: Pair) -> set[str]:
    root = pair.tree.definitions.parent
    return {str(place.relative_to(root)) for place in root.rglob("*") if place.is_symlink()}


ALL = {
    "CLAUDE.md", ".claude/CLAUDE.md", ".claude/skills/shared", ".claude/agents/linked.md", ".claude/agents/chain.md",
    ".claude/agents/far.md",
}  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "replaced"),
    [
        ({"skills/own/SKILL.md": V2}, set()),
        ({"agents/chain.md": V2}, {".claude/agents/chain.md"}),
        ({"agents/linked.md": V2}, {".claude/agents/linked.md", ".claude/agents/chain.md"}),
        ({"agents/reader.md": V2}, {".claude/agents/linked.md", ".claude/agents/chain.md"}),
        ({"skills/shared/more.md": V2}, {".claude/skills/shared", ".claude/agents/far.md"}),
        ({"skills/shared/new.md": V1}, {".claude/skills/shared", ".claude/agents/far.md"}),
        ({"@project/CLAUDE.md": V2}, {"CLAUDE.md", ".claude/CLAUDE.md"}),
        ({"CLAUDE.md": V2}, {".claude/CLAUDE.md"}),
        ({"agents/linked.md": None}, {".claude/agents/linked.md", ".claude/agents/chain.md"}),
        (
            {"skills/shared/SKILL.md": None, "skills/shared/more.md": None},
            {".claude/skills/shared", ".claude/agents/far.md"},
        ),
        ({"agents/chain.md": (b"one", True)}, {".claude/agents/chain.md"}),
        ({"agents/chain.md": None, "agents/chain.md/a.md": V1}, {".claude/agents/chain.md"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_link_stays_while_it_shows_what_the_release_has_and_becomes_a_file_when_not(
    pair: Pair, edits: dict[str, tuple[bytes, bool] | None], replaced: set[str]
) -> None:
    assert pair.live() == pair.entries(LINKED)
    new = {path: content for path, content in {**LINKED, **edits}.items() if content is not None}
    pair.to(new)
    assert pair.live() == pair.entries(new)
    assert links(pair) == ALL - replaced
    root = pair.tree.definitions.parent
    assert [(root / name).read_bytes() for name in ("AGENTS.md", "shared/SKILL.md", "shared/more.md")] == [b"one"] * 3
    current = history.read(pair.project).current
    assert current is not None
    assert len(current.record.get("links", {})) == len(replaced)  # the history says what they were
    pair.to(LINKED, history.ROLLBACK)
    assert pair.live() == pair.entries(LINKED)
    assert pair.debris() == []


def test_killed_at_any_change_of_a_file_links_and_all_it_recovers_to_old_or_new(tmp_path: Path) -> None:
    new = {**LINKED, "agents/reader.md": V2, "skills/shared/more.md": V2, "@project/CLAUDE.md": V2}
    del new["agents/far.md"]
    first = Pair(tmp_path / "count")
    linked(first)
    first.entries(new)
    points = _points(0, partial(first.to, new))
    assert points > 20
    ends = []
    for point in range(1, points + 1):
        pair = Pair(tmp_path / f"killed-{point}")
        linked(pair)
        old, wanted = pair.live(), pair.entries(new)
        assert _points(point, partial(pair.to, new)) == point
        interrupted = switch.pending(pair.project) is not None
        pair.recover()
        live = pair.live()
        assert live == (wanted if interrupted or live == wanted else old), point
        ends.append(live == wanted)
    assert ends == sorted(ends)
    assert {True, False} == set(ends)


def test_a_link_out_that_came_while_a_switch_was_interrupted_is_refused_until_it_is_gone(
    pair: Pair, tmp_path: Path
) -> None:
    new = {**LINKED, "skills/own/SKILL.md": V2}
    interrupt(pair, new)
    own = pair.tree.definitions / "skills/own"
    shutil.rmtree(own)
    own.symlink_to(tmp_path)
    with pytest.raises(switch.RecoveryNeededError, match="symbolic link") as refused:
        pair.recover()
    assert "agent-studio recover" in refused.value.hint
    assert not (tmp_path / "SKILL.md").exists()
    own.unlink()
    pair.recover()
    assert pair.live() == pair.entries(new)


def interrupt(pair: Pair, new: Files) -> None:
    pair.entries(new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switch, "_finish", lambda *_: None)
        pair.to(new)


_PATHS = ("agents/a.md", "agents/b.md", "agents/c.md", "skills/x/a.md", "skills/x/b.md", "skills/y/a.md", "CLAUDE.md")
_files = st.dictionaries(st.sampled_from(_PATHS), st.sampled_from([V1, V2]), max_size=7)
_targets = st.sampled_from([*_PATHS, "agents", "skills/x", "skills/y", "../notes.md", "../shared", "../shared/s.md"])
_links = st.dictionaries(
    st.sampled_from(["agents/a.md", "agents/l.md", "agents/m.md", "agents/d", "skills/x", "skills/z", "CLAUDE.md"]),
    _targets, max_size=4,
)  # fmt: skip


@settings(max_examples=30)
@given(_files, _links, _files, st.integers(0, 40))
def test_whatever_the_links_a_switch_gives_the_release_or_changes_nothing(
    files: Files, to: dict[str, str], new: Files, kill_at: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder))
        root, inner = pair.tree.definitions.parent, pair.tree.definitions
        pair.write(files)
        (root / "shared").mkdir()
        outside = [root / "notes.md", root / "shared/s.md"]
        for place in outside:
            place.write_bytes(b"one")
        for path, target in to.items():
            place = inner / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(place):
                place.symlink_to(os.path.relpath(inner / target, place.parent))
        before, wanted = pair.live(), pair.entries(new)
        refused = ""
        try:
            if kill_at < 20:
                pair.to(new)
            else:
                _points(kill_at - 20, partial(pair.to, new))
        except AgentStudioError as error:
            refused = error.code
        assert refused in {"", "unsafe-path", "storage"}
        pair.recover()
        assert pair.live() == (before if refused else wanted) or kill_at >= 20
        assert pair.live() in (before, wanted)
        assert [place.read_bytes() for place in outside] == [b"one", b"one"]


@NEEDS_KEYS
@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "with a target"])
def test_a_linked_memory_file_goes_live_changes_and_comes_back(bare: Studio, tmp_path: Path, *, in_place: bool) -> None:
    bare.write("AGENTS.md", "v1\n")
    (bare.path / "CLAUDE.md").symlink_to("AGENTS.md")
    bare.write("shared/SKILL.md", "v1\n")
    (bare.path / ".claude/skills/shared").symlink_to("../../shared")
    world = World(bare, tmp_path, in_place=in_place)
    world.promoted("one")
    if not in_place:
        (world.live / "CLAUDE.md").unlink()  # as a checkout of the same commit has it
        (world.live / "CLAUDE.md").symlink_to("AGENTS.md")
        (world.live / "AGENTS.md").write_text("v1\n")
    world.must("release", "verify")
    bare.write("AGENTS.md", "v2\n")
    bare.write("shared/SKILL.md", "v2\n")
    world.promoted("two")
    assert (world.live / "CLAUDE.md").read_text() == "v2\n"
    world.must("release", "verify")
    world.must("rollback", "--level", "2", "--reason", "trial", "--yes", code=3)
    world.must("release", "verify")
    assert [(world.live / name).read_text() for name in ("CLAUDE.md", ".claude/skills/shared/SKILL.md")] == ["v1\n"] * 2
    assert not (world.live / "CLAUDE.md").is_symlink()
    assert (world.live / "AGENTS.md").read_text() == ("v2\n" if in_place else "v1\n")
    assert manifest.OF_PROJECT in {one["path"] for one in world.data("release", "show")["files"]}


@NEEDS_KEYS
def test_a_link_out_of_production_and_a_bad_name_there_are_drift_until_they_are_gone(
    bare: Studio, tmp_path: Path
) -> None:
    world = World(bare, tmp_path)
    world.promoted("one")
    world.promoted("two")
    (tmp_path / "theirs.md").write_text("theirs")
    agents = world.live / ".claude/agents"
    strange = {"out.md": "leads out", "a:b.md": "cannot be in a release", "Code-Reviewer.md": "only in case"}
    for name, said in strange.items():
        if name == "out.md":
            (agents / name).symlink_to(tmp_path / "theirs.md")
        else:
            (agents / name).write_text("theirs")
        told = world.must("release", "verify", code=5)
        assert said in told.err
        world.edit("three")
        world.ready()
        for options in ((), ("--adopt",), ("--discard",)):
            refused = world.must("promote", "--yes", *options, code=5)
            assert (said in refused.err, world.reads()) == (True, "two")
            assert "--adopt, or" not in refused.err or name == "Code-Reviewer.md"  # may be either of two
        assert any(name.lower() in one.lower() for one in world.data("promote", "--dry-run")["drift"])
        assert "the reason says" in world.must("gate", code=5).err or name == "Code-Reviewer.md"
        (agents / name).unlink()
    (agents / "out.md").symlink_to(tmp_path / "theirs.md")
    (agents / "a:b.md").write_text("theirs")
    world.must("rollback", "--level", "2", "--reason", "x", "--yes", code=3)  # there is no suite to run
    assert (world.reads(), (agents / "a:b.md").read_text()) == ("one", "theirs")
    world.must("release", "verify", code=5)
    for name in ("out.md", "a:b.md"):
        (agents / name).unlink()
    world.must("release", "verify")
    world.ready()
    world.must("promote", "--yes")
    assert (world.reads(), (tmp_path / "theirs.md").read_text()) == ("three", "theirs")
