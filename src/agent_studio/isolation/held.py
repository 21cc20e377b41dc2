"""Folders and files held by handle, so that what was checked is what is used, and folders that runs have in use."""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.isolation.backends import NotIsolatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.02


def opened(path: Path) -> int:
    """Return a handle of a path that is free of links.

    Raises `NotIsolatedError` when a link has been put somewhere on the way, `OSError` when nothing is there.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = Path(f"/proc/self/fd/{descriptor}").readlink()
    if found == path and not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotIsolatedError(
        f"{path} has become a link (it is {found}) while the run was prepared: nothing was started",
        hint="see what puts links there, and start again",
    )


@contextmanager
def in_use(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold a folder as one that a run uses; yields what tells whether no other does, and keeps it so.

    Raises `NotIsolatedError` when somebody keeps it locked.
    """
    import fcntl  # noqa: PLC0415 - not on Windows

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _locked(lambda: fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)):
            raise NotIsolatedError(f"{folder} is kept locked by another process", hint="see which: fuser")

        def alone() -> bool:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        yield alone
    finally:
        os.close(descriptor)


def _locked(lock: Callable[[], None]) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            lock()
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
