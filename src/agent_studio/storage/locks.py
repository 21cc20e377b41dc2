"""One holder at a time, by a lock the operating system drops when its holder dies."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_studio.errors import BusyError
from agent_studio.storage.descriptors import try_lock, unlock
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder


@contextmanager
def exclusive(folder: Folder, name: str, *, doing: str) -> Iterator[None]:
    """Hold the lock file `name` in `folder`; raise `BusyError` at once when someone else does.

    The lock file stays behind: removing it while another process waits to open it would let both in.
    """
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        with disk_faults(folder.path / name):
            held = try_lock(descriptor)
        if not held or not _is_current(folder, name, descriptor):
            raise BusyError(
                f"another process is at work here ({doing}): it holds {folder.path / name}",
                hint="wait until it is done, then run the command again",
            )
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


def _is_current(folder: Folder, name: str, descriptor: int) -> bool:
    """Tell whether the locked file still has its name: a lock on a removed file keeps nobody out."""
    status = folder.status(name)
    return status is not None and os.path.samestat(status, os.fstat(descriptor))
