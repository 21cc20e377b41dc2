"""One holder at a time, by a lock the operating system drops when its holder dies."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_studio.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder


@contextmanager
def exclusive(folder: Folder, name: str, *, doing: str) -> Iterator[None]:
    """Hold the lock file `name` in `folder`; raise `BusyError` at once when someone else does."""
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        if not _try_lock(descriptor):
            raise BusyError(
                f"another process is at work here ({doing})",
                hint="wait until it is done, then run the command again",
            )
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Return whether the lock was free; it is released when the descriptor is closed."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        return _try_lock_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_windows(descriptor: int) -> bool:
    import msvcrt  # noqa: PLC0415 - Windows only

    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
