"""A switch on a disk that fails: power lost at any moment, no space, bytes that cannot be written."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from tests import disk_model
from tests.test_switch import NEW, OLD, Pair

from agent_studio.errors import AgentStudioError
from agent_studio.release.production import history, switch
from agent_studio.storage import flush

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are followed by /proc"),
]


@pytest.mark.parametrize("many", [1, 1_000], ids=["all synced at once", "each synced by itself"])
def test_whatever_a_power_failure_leaves_it_recovers_to_exactly_old_or_new(
    tmp_path: Path, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right to run files is not part of the model: all are plain here."""
    monkeypatch.setattr(flush, "MANY", many)
    pair = Pair(tmp_path)
    plain = [{path: (data, False) for path, (data, _) in files.items()} for files in (OLD, NEW)]
    pair.write(plain[0])
    old, new = pair.live(), pair.entries(plain[1])
    with switch.alone(pair.project, "a test"):
        pass
    root = Path(os.path.realpath(tmp_path))
    start = disk_model.image(root)
    recorder = disk_model.Recorder(root)
    with recorder.recording():
        pair.to(plain[1])
    assert {"create", "rename", "unlink", "mkdir", "fsync"} <= {event.kind for event in recorder.events}
    assert ("syncfs" in {event.kind for event in recorder.events}) == (many == 1)
    assert pair.live() == new
    ends, states = set(), 0
    for number, found in disk_model.crashes(start, recorder.events):
        states += 1
        disk_model.restore(root, found)
        pair.recover()
        live = pair.live()
        assert live in (old, new), (number, recorder.events[max(number - 3, 0) : number + 1])
        assert bool(history.read(pair.project).releases) == (live == new), number
        assert switch.pending(pair.project) is None
        ends.add(live == new)
    assert ends == {True, False}
    assert states > 100


_CALLS = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir", "ftruncate")


@contextmanager
def failing(at: int, number: int) -> Iterator[list[str]]:
    """Let the n-th call that changes the disk fail, and every one like it after that; yield the calls seen."""
    seen: list[str] = []

    def wrapped(name: str) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real(*arguments, **options)
            seen.append(name)
            if len(seen) >= at and name == seen[at - 1] and name not in {"unlink", "rmdir"}:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)

        return call

    calls = {name: wrapped(name) for name in _CALLS}
    dir_fd = {calls[name] for name in ("open", "replace", "rename", "unlink", "mkdir", "rmdir")}
    with (
        mock.patch.object(os, "supports_dir_fd", os.supports_dir_fd | dir_fd),
        mock.patch.multiple(os, **calls),
    ):
        yield seen


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=["no space", "input/output", "read-only"]
)
def test_a_disk_that_fails_at_any_step_leaves_old_or_what_recovers_to_new(tmp_path: Path, number: int) -> None:
    first = Pair(tmp_path / "count")
    first.write(OLD)
    first.entries(NEW)
    with failing(1 << 30, number) as seen:
        first.to(NEW)
    assert len(seen) > 40
    faults = set()
    for at in range(1, len(seen) + 1):
        pair = Pair(tmp_path / f"failed-{at}")
        pair.write(OLD)
        old, new = pair.live(), pair.entries(NEW)
        fault = ""
        with failing(at, number):
            try:
                pair.to(NEW)
            except AgentStudioError as error:
                fault = error.code
        faults.add(fault)
        decided = switch.pending(pair.project) is not None
        assert not decided or fault == "recovery-needed"
        assert decided or pair.live() in (old, new)
        if not decided and pair.live() == old:
            assert history.read(pair.project).releases == []
        pair.recover()
        assert pair.live() == (new if decided else pair.live())
        pair.to(NEW)
        assert pair.live() == new
        assert decided or pair.debris() == []  # what was prepared for a switch goes once its process is gone
    assert faults - {""} == {"storage", "recovery-needed"}
