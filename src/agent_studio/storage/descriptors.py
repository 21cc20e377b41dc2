"""What is done with an open file: write all of it, read it in pieces, lock it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1 << 20
_PAUSE_S, _PAUSE_MAX_S = 0.00002, 0.002
_WINDOWS_LOCK_AT = 0x7FFF_0000
"""Windows locks bytes and keeps others from reading them: lock one where no data is."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes; a full disk raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_chunks(descriptor: int) -> Iterator[bytes]:
    """Yield a file's bytes from the current position, a MiB at a time."""
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        yield chunk


def keeps_name(descriptor: int, name: str) -> bool | None:
    """Tell whether an open file still has the name it was opened by, or None where the system cannot say.

    Linux marks a name that was removed while the file is open, even when another link took its place at once.
    """
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{name}")  # noqa: PTH115 - hot
    except OSError:
        return None


def try_lock(descriptor: int) -> bool:
    """Return whether the exclusive lock was free and is now held; the system drops it when its holder dies."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        return _windows_lock(descriptor, "LK_NBLCK")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Release the lock for every process that inherited the descriptor; closing it would only do so for this one."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        _windows_lock(descriptor, "LK_UNLCK")
        return
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class locked:  # noqa: N801 - used as a function; made of a generator it takes as long as the locking
    """Wait for the exclusive lock of an open file or folder; go on without where the file system has none.

    With a patience (seconds) raise `BusyError` when it is over.
    """

    def __init__(self, descriptor: int, patience_s: float | None = None) -> None:
        self._descriptor, self._patience_s = descriptor, patience_s

    def __enter__(self) -> None:
        with suppress(OSError):
            if self._patience_s is None:
                _wait_for_lock(self._descriptor)
            elif not try_lock(self._descriptor):
                _wait_patiently(self._descriptor, self._patience_s)

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            unlock(self._descriptor)


def _wait_patiently(descriptor: int, patience_s: float) -> None:
    until, pause_s = time.monotonic() + patience_s, _PAUSE_S
    while not try_lock(descriptor):
        if time.monotonic() > until:
            raise BusyError(
                f"another process has held a lock for {patience_s:g} s",
                hint="end it, or let it go on if it was stopped, and run the command again",
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def _wait_for_lock(descriptor: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        _windows_lock(descriptor, "LK_LOCK")
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _windows_lock(descriptor: int, mode: str) -> bool:
    import msvcrt  # noqa: PLC0415 - Windows only

    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _WINDOWS_LOCK_AT, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, getattr(msvcrt, mode), 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)
    return True
