"""A switch is all or nothing: killed anywhere, refused anywhere, found by readers and by the next process."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError, StorageError, UnsafePathError
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Tree
from agent_studio.release.production import history, switch

if TYPE_CHECKING:
    from collections.abc import Callable

POSIX = pytest.mark.skipif(os.name == "nt", reason="forks, modes and links")
OLD = {
    "agents/reader.md": (b"old reader", False), "agents/gone.md": (b"gone", False),
    "hooks/guard.sh": (b"#!/bin/sh\r\nexit 0\n", True), "skills/a/SKILL.md": (b"old a", False),
    "skills/turns/SKILL.md": (b"a folder now, a file later", False), "CLAUDE.md": (b"old", False),
}  # fmt: skip
NEW = {
    "agents/reader.md": (b"new reader", False), "agents/new.md": (b"", False), "skills/a/SKILL.md": (b"old a", True),
    "hooks/guard.sh": (b"#!/bin/sh\n", False), "skills/turns": (b"a file", False),
    "skills/b/c/SKILL.md": (b"deep", False), "CLAUDE.md": (b"old", False),
    "@project/CLAUDE.md": (b"of the project", False),
}  # fmt: skip
Files = dict[str, tuple[bytes, bool]]


class Pair:
    """A project that decides, and the production that it changes."""

    def __init__(self, folder: Path) -> None:
        (folder / "work/.claude").mkdir(parents=True)
        (folder / "live/.claude").mkdir(parents=True)
        self.project = Project(Path(os.path.realpath(folder / "work")))
        live = Path(os.path.realpath(folder / "live"))
        self.tree = Tree(live / ".claude", live)
        self.store = Store(self.project)

    def write(self, files: Files) -> None:
        for path, (data, executable) in files.items():
            place = self.place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            place.chmod(0o755 if executable else 0o644)

    def place(self, path: str) -> Path:
        around = self.tree.around
        assert around is not None
        return around / "CLAUDE.md" if path == manifest.OF_PROJECT else self.tree.definitions / path

    def entries(self, files: Files) -> dict[str, manifest.Entry]:
        return {
            path: manifest.Entry(manifest.EXECUTABLE if executable else manifest.PLAIN, self.store.put(data))
            for path, (data, executable) in files.items()
        }

    def live(self) -> dict[str, manifest.Entry]:
        return self.tree.read().entries

    def to(self, new: Files, step: str = history.PROMOTE) -> str:
        entries = self.entries(new)
        release = manifest.name_of(manifest.render(entries))
        record = {"step": step, "release": release, "candidate": release}
        with switch.alone(self.project, "a test"):
            return switch.switch(self.project, self.tree, self.live(), entries, record)

    def recover(self) -> switch.Journal | None:
        with switch.alone(self.project, "a test"):
            return switch.recover(self.project)

    def debris(self) -> list[str]:
        return [str(place) for place in self.tree.definitions.parent.rglob(".*.tmp")]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.write(OLD)
    return made


def test_every_file_becomes_what_the_release_says_and_the_history_names_it(pair: Pair) -> None:
    own = pair.to(NEW)
    assert pair.live() == pair.entries(NEW)
    assert pair.place("agents/new.md").read_bytes() == b""
    current = history.read(pair.project).current
    assert current is not None
    assert (current.id, current.step, current.healthy) == (own, "promote", None)
    assert switch.pending(pair.project) is None
    assert pair.debris() == []


def test_back_and_forth_leaves_the_bytes_as_they_were(pair: Pair) -> None:
    before = pair.live()
    pair.entries(OLD)
    pair.to(NEW)
    pair.to(OLD, history.ROLLBACK)
    assert pair.live() == before
    assert not (pair.tree.definitions / "skills/b").exists()


def _points(kill_at: int, act: Callable[[], object]) -> int:
    """Act in a child that dies before the n-th change of a file; return how many changes it made."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
            if event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"} or flags & (
                os.O_WRONLY | os.O_RDWR
            ):
                seen += 1
                if seen == kill_at:
                    os.write(write_end, seen.to_bytes(4))
                    os._exit(9)

        try:
            sys.dont_write_bytecode = True  # or a module's first import here counts as a change
            sys.addaudithook(hook)
            act()
            os.write(write_end, seen.to_bytes(4))
        finally:
            os._exit(0)  # whatever happened, the child is not pytest
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as pipe:
        return int.from_bytes(pipe.read(4))


@POSIX
def test_killed_at_any_change_of_a_file_it_recovers_to_exactly_old_or_new(tmp_path: Path) -> None:
    first = Pair(tmp_path / "count")
    first.write(OLD)
    first.entries(NEW)
    points = _points(0, partial(first.to, NEW))
    assert points > 20
    ends = []
    for point in range(1, points + 1):
        pair = Pair(tmp_path / f"killed-{point}")
        pair.write(OLD)
        old, new = pair.live(), pair.entries(NEW)
        assert _points(point, partial(pair.to, NEW)) == point
        interrupted = switch.pending(pair.project) is not None
        if interrupted:
            with pytest.raises(switch.RecoveryNeededError):
                switch.refuse_pending(pair.project)
        pair.recover()
        live = pair.live()
        assert live == (new if interrupted or live == new else old), point
        ends.append(live == new)
        assert bool(history.read(pair.project).releases) == (live == new)
        pair.to(NEW)  # the next try succeeds and leaves nothing behind
        assert pair.live() == new
    assert {True, False} == set(ends)
    assert ends == sorted(ends)  # once decided, never back


def _interrupted(pair: Pair, new: Files) -> dict[str, manifest.Entry]:
    """Leave a switch that is decided on, with none of its files brought; return what it is to bring."""
    pair.write(OLD)
    entries = pair.entries(new)
    record = {"step": history.PROMOTE, "release": "r", "candidate": "r", "id": "x"}
    changes = manifest.differences(pair.live(), entries)
    state = pair.project.path / ".agent-studio/releases"
    state.mkdir(parents=True, exist_ok=True)
    journal = switch.Journal("x", str(pair.tree.definitions), str(pair.tree.around), changes, record)
    (state / "journal.json").write_bytes(switch._written(journal))
    return entries


@POSIX
def test_killed_in_recovery_it_recovers(tmp_path: Path) -> None:
    first = Pair(tmp_path / "count")
    _interrupted(first, NEW)
    points = _points(0, first.recover)
    assert points > 10
    for point in range(1, points + 1):
        pair = Pair(tmp_path / f"killed-{point}")
        new = _interrupted(pair, NEW)
        assert _points(point, pair.recover) == point
        pair.recover()
        assert pair.live() == new
        assert [one.id for one in history.read(pair.project).releases] == ["x"]
        assert pair.recover() is None
        assert pair.debris() == []


def test_a_live_edit_in_the_way_of_a_recovery_is_kept_in_the_store(pair: Pair) -> None:
    new = _interrupted(pair, NEW)
    pair.place("agents/reader.md").write_bytes(b"edited by hand")
    pair.recover()
    assert pair.live() == new
    (kept,) = (one["files"] for one in history.read(pair.project).records if one["step"] == history.KEPT)
    assert [one["path"] for one in kept] == ["agents/reader.md"]
    assert pair.store.read(kept[0]["sha256"]) == b"edited by hand"


@POSIX
@pytest.mark.parametrize("what", ["link", "folder link", "full folder", "read-only"])
def test_what_cannot_be_switched_is_refused_before_anything_changes(pair: Pair, what: str, tmp_path: Path) -> None:
    if what == "read-only" and os.geteuid() == 0:
        pytest.skip("root writes anywhere")
    fault: type[AgentStudioError] = UnsafePathError
    if what == "link":
        pair.place("agents/new.md").symlink_to(tmp_path / "elsewhere")
    elif what == "folder link":
        (pair.tree.definitions / "skills/b").symlink_to(tmp_path)
    elif what == "full folder":
        (pair.place("agents/new.md") / "__pycache__").mkdir(parents=True)  # not a definition, and not ours
        (pair.place("agents/new.md") / "__pycache__/notes.txt").write_text("mine")
        fault = StorageError
    else:
        (pair.tree.definitions / "agents").chmod(0o500)
        fault = StorageError
    before = {place: place.read_bytes() for place in pair.tree.definitions.rglob("*") if place.is_file()}
    with pytest.raises(fault):
        pair.to(NEW)
    assert {place: place.read_bytes() for place in pair.tree.definitions.rglob("*") if place.is_file()} == before
    assert switch.pending(pair.project) is None
    assert history.read(pair.project).releases == []


def test_a_flipped_bit_in_the_store_is_found_before_anything_changes(pair: Pair) -> None:
    entries = pair.entries(NEW)
    damaged = pair.project.path / ".agent-studio/objects" / entries["agents/reader.md"].sha256[:2]
    place = damaged / entries["agents/reader.md"].sha256[2:]
    place.write_bytes(b"new readers")
    before = pair.live()
    assert [fault.sha256 for fault in pair.store.faults()] == [entries["agents/reader.md"].sha256]
    with pytest.raises(AgentStudioError), switch.alone(pair.project, "a test"):
        switch.switch(pair.project, pair.tree, before, entries, {"step": "promote", "release": "r", "candidate": "r"})
    assert pair.live() == before
    assert pair.debris() == []
    pair.entries(NEW)  # making the candidate again mends the store
    assert list(pair.store.faults()) == []


_names = st.sampled_from(["agents/a.md", "agents/b.md", "agents/c", "agents/c/d.md", "skills/x/SKILL.md", "CLAUDE.md"])
_contents = st.tuples(st.sampled_from([b"", b"1", b"2\r\n", "é".encode()]), st.booleans())
_trees = st.dictionaries(_names, _contents, max_size=6).filter(
    lambda files: not {"agents/c", "agents/c/d.md"} <= files.keys()
)


@POSIX
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_trees, st.integers(0, 60)), min_size=1, max_size=5))
def test_any_chain_of_switches_and_kills_is_always_at_one_of_the_releases(steps: list[tuple[Files, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder))
        for new, kill_at in steps:
            before, wanted = pair.live(), pair.entries(new)
            _points(kill_at, partial(pair.to, new))
            pair.recover()
            assert pair.live() in (before, wanted)
            history.read(pair.project)
