"""A restore on a disk that fails: power lost at any moment, no space, bytes that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import disk_model
from tests.backup_world import World
from tests.test_restore import _opened
from tests.test_switch_faults import failing

from agent_studio.errors import AgentStudioError
from agent_studio.release.backups import backup, places, verifying
from agent_studio.storage import flush

if TYPE_CHECKING:
    from tests.backup_world import Tree

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are followed by /proc"),
]
EVERY = int(os.environ.get("RESTORE_FAULTS_EVERY", "12"))
"""Of the states and steps: all of them take minutes."""
FEW = {"memory/learnings.md": b"# Learnt", "memory/gone.md": b"gone later", "agents/r/hot.jsonl": b'{"a":1}\n'}


def _prepared(folder: Path) -> tuple[World, str, Tree]:
    """Return a world, the backup to restore and what it holds; something else is there by now."""
    world = World(folder, FEW, usage=1)
    wanted, made = world.tree(), world.create()
    world.write("memory/learnings.md", b"something else")
    (world.data / "memory/gone.md").unlink()
    world.write("agents/r/new.jsonl", b'{"b":2}\n')
    world.create()
    return world, made.id, wanted


def _bytes(tree: Tree) -> dict[str, bytes]:
    return {name: found[0] for name, found in tree.items() if found is not None}


@pytest.mark.parametrize("archive", ["", "archive/then"])
@pytest.mark.parametrize("at_once", [True, False], ids=["all synced at once", "each synced by itself"])
def test_whatever_a_power_failure_leaves_it_recovers_to_exactly_old_or_new(
    tmp_path: Path,
    at_once: bool,  # noqa: FBT001
    archive: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rights of files and empty folders are not part of the model."""
    if not at_once:
        monkeypatch.setattr(flush, "is_available", lambda: False)
    world, own, tree = _prepared(tmp_path)
    wanted, there = _bytes(tree), _bytes(world.tree())
    root = Path(os.path.realpath(tmp_path))
    start, recorder = disk_model.image(root), disk_model.Recorder(Path(os.path.realpath(tmp_path)))
    with recorder.recording():
        world.restore(own, archive=archive)
    assert _bytes(world.tree()) == wanted
    ends, states = set(), 0
    for number, found in disk_model.crashes(start, recorder.events):
        states += 1
        if states % EVERY:
            continue
        disk_model.restore(root, found)
        _opened(tmp_path).recover()
        live = _bytes(world.tree())
        assert live in (wanted, there), (number, recorder.events[max(number - 3, 0) : number + 1])
        ends.add(live == wanted)
        assert not (world.backups / "restore.json").exists()
        if not states % (10 * EVERY):
            for one in backup.listed(world.root):
                assert verifying.verify(world.root, str(one["id"])).passed, number
    assert ends == {True, False}
    assert states > 100


@pytest.mark.parametrize("archive", ["", "archive/then"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["no space", "input/output"])
def test_a_disk_that_fails_at_any_step_leaves_old_or_what_recovers_to_new(
    tmp_path: Path, number: int, archive: str
) -> None:
    first, own, tree = _prepared(tmp_path / "count")
    with failing(1 << 30, number) as seen:
        first.restore(own, archive=archive)
    assert len(seen) > 40
    faults = set()
    for at in range(1 + number % EVERY, len(seen) + 1, EVERY):
        world, own, tree = _prepared(tmp_path / f"failed-{at}")
        there = world.tree()
        with failing(at, number):
            try:
                world.restore(own, archive=archive)
            except AgentStudioError as error:
                faults.add(error.code)
        decided = (world.backups / "restore.json").exists()
        if decided:
            assert world.recover() == own
            assert world.tree() == tree
        else:
            assert world.tree() in (there, tree)
        with places.alone(world.root, "a test"):
            assert verifying.look(world.root, own).passed
        world.restore(own)
        assert world.tree() == tree
    assert faults <= {"storage", "busy"}
    assert "storage" in faults


def test_a_backup_on_a_disk_that_fails_at_any_step_is_whole_or_none(tmp_path: Path) -> None:
    first = World(tmp_path / "count", FEW, usage=1)
    with failing(1 << 30, errno.ENOSPC) as seen:
        first.create()
    for at in range(1, len(seen) + 1):
        world = World(tmp_path / f"failed-{at}", FEW, usage=1)
        there = world.tree()
        with failing(at, errno.ENOSPC):
            try:
                world.create()
            except AgentStudioError as error:
                assert error.code == "storage"  # noqa: PT017 - it may also pass
        assert world.tree() == there
        for one in backup.listed(world.root):
            assert verifying.verify(world.root, str(one["id"])).passed, at
        assert verifying.verify(world.root, world.create().id).passed
