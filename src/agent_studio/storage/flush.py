"""Makes many files durable at once: a disk that is asked thousands of times answers far slower than once."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANY = 32
"""Files from which on it pays: what other programs have written is waited for as well."""


def is_available() -> bool:
    """Tell whether the system can be asked; where it cannot, every file is made durable by itself."""
    return _syncfs() is not None


def flush(places: Iterable[Path]) -> None:
    """Wait until all that was written to the file systems of some folders is on the disk; missing folders have none.

    Raises `StorageError` when the disk could not take it.
    """
    syncfs = _syncfs()
    seen: set[int] = set()
    for place in places:
        with suppress(FileNotFoundError, NotADirectoryError), disk_faults(place):
            device = os.lstat(place).st_dev
            if device in seen:
                continue
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if syncfs(descriptor):
                    number = _errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(descriptor)
            seen.add(device)


def _errno() -> int:
    import ctypes  # noqa: PLC0415 - as below

    return ctypes.get_errno()


@cache
def _syncfs() -> Any:
    """Return the system's own call, None where there is none that waits and tells of faults."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - only for a promotion

    try:
        return ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None
