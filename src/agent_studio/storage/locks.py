"""One holder at a time, by a lock the operating system drops when its holder dies."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_studio.errors import BusyError
from agent_studio.storage.descriptors import locked, try_lock, unlock
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder


_PAUSE_S = 0.02


@contextmanager
def exclusive(folder: Folder, name: str, *, doing: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file `name` in `folder`; raise `BusyError` when someone else does for longer than is waited.

    The lock file stays behind: removing it while another process waits to open it would let both in.
    """
    until_s = time.monotonic() + wait_s
    while (descriptor := _taken(folder, name)) is None:
        if time.monotonic() >= until_s:
            raise BusyError(
                f"another process is at work here ({doing}): it holds {folder.path / name}",
                hint="wait until it is done, then run the command again",
            )
        time.sleep(_PAUSE_S)
    try:
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def in_turn(folder: Folder, name: str) -> Iterator[None]:
    """Hold the lock file `name`, one after the other in the kernel's own queue, so that none starves behind many."""
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)


def _taken(folder: Folder, name: str) -> int | None:
    """Return the lock file, open and locked, or None when someone else holds it."""
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    held = False
    try:
        with disk_faults(folder.path / name):
            held = try_lock(descriptor) and _is_current(folder, name, descriptor)
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


def _is_current(folder: Folder, name: str, descriptor: int) -> bool:
    """Tell whether the locked file still has its name: a lock on a removed file keeps nobody out."""
    status = folder.status(name)
    return status is not None and os.path.samestat(status, os.fstat(descriptor))
