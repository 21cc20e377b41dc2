"""One holder at a time, whatever happens to it."""

# ruff: noqa: PTH208 - a listing of names is what is compared

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from agent_studio.errors import BusyError, UnsafePathError
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLDER = """
import pathlib, sys
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive
with exclusive(Folder(pathlib.Path(sys.argv[1])), "lock", doing="a test"):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def holder(folder: Folder) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, folder.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_is_where(folder: Folder, holder: subprocess.Popen[bytes]) -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(BusyError, match="at work here") as busy, exclusive(folder, "lock", doing="promote"):
        pytest.fail("two holders")
    assert str(folder.path / "lock") in busy.value.message
    assert "promote" in busy.value.message
    assert holder.poll() is None
    assert len(os.listdir("/dev/fd")) == before


def test_sigkill_releases_the_lock(folder: Folder, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    with exclusive(folder, "lock", doing="x"):
        pass


def test_the_same_process_cannot_hold_it_twice_and_may_again_afterwards(folder: Folder) -> None:
    for _ in range(2):
        with exclusive(folder, "lock", doing="x"), pytest.raises(BusyError), exclusive(folder, "lock", doing="x"):
            pytest.fail("two holders")


def test_an_error_inside_releases_the_lock(folder: Folder) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(folder, "lock", doing="x"):
        raise KeyboardInterrupt
    with exclusive(folder, "lock", doing="x"):
        pass


def test_a_child_that_inherited_the_descriptor_does_not_keep_the_lock(folder: Folder) -> None:
    with exclusive(folder, "lock", doing="x"):
        inherited = [int(fd) for fd in os.listdir("/proc/self/fd") if _is_lock(folder, int(fd))]
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=inherited)
    try:
        assert inherited
        with exclusive(folder, "lock", doing="x"):
            pass
    finally:
        child.communicate(b"\n")


def _is_lock(folder: Folder, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), (folder.path / "lock").stat())
    except OSError:
        return False


def test_a_lock_on_a_file_that_was_removed_meanwhile_lets_nobody_in(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = folder.open

    def open_then_lose(name: str, flags: int = os.O_RDONLY) -> int:
        descriptor = opened(name, flags)
        (folder.path / name).unlink()
        (folder.path / name).touch()
        return descriptor

    monkeypatch.setattr(folder, "open", open_then_lose)
    with pytest.raises(BusyError), exclusive(folder, "lock", doing="x"):
        pytest.fail("held a file without a name")


def test_a_linked_lock_file_is_refused(folder: Folder) -> None:
    (folder.path / "other").touch()
    (folder.path / "lock").symlink_to("other")
    with pytest.raises(UnsafePathError), exclusive(folder, "lock", doing="x"):
        pytest.fail("went through a link")


@pytest.mark.slow
def test_who_waits_a_moment_is_next(folder: Folder, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(BusyError), exclusive(folder, "lock", doing="a session", wait_s=0.1):
        pytest.fail("two holders")
    timer = threading.Timer(0.2, holder.kill)
    timer.start()
    with exclusive(folder, "lock", doing="a session", wait_s=10):
        assert holder.poll() is not None or holder.wait(5) is not None
    timer.join()
