"""What this user's commands have worked out before, to save the time of doing it again: `~/.cache/agent-studio`.

The folder is the user's alone, else it is not used; everything in it is checked against the hash kept with it, or by
who kept it. Whatever is wrong with the cache is passed over: it only saves time.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = "agent-studio"
_OTHERS = 0o077
_DIGEST_BYTES = 32
_MAX_BYTES = 8 << 20


def load(name: str | None, *, hashed: bool = True) -> bytes | None:
    """Return what was kept under a name, or None; what was not `hashed` is for the caller to check."""
    folder = _folder()
    if name is None or folder is None:
        return None
    with suppress(OSError):
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            if not _is_private(os.fstat(file.fileno()), stat.S_ISREG):
                return None
            kept = file.read(_MAX_BYTES)
        if not hashed:
            return kept
        digest, data = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        if data and _digest(data) == digest:
            return data
    return None


def store(name: str | None, data: bytes, *, most: int | None = None, hashed: bool = True) -> None:
    """Keep something under a name, if it can be kept; of names with the same start at most `most` stay."""
    folder = _folder()
    if name is None or folder is None:
        return
    import tempfile  # noqa: PLC0415 - it costs more than what is kept saves, where nothing is new

    with suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write((_digest(data) if hashed else b"") + data)
            Path(temporary).replace(folder / name)
        except OSError:
            Path(temporary).unlink()
        if most is not None:
            _prune(folder, name.partition("-")[0], most)


def _digest(data: bytes) -> bytes:
    import hashlib  # noqa: PLC0415 - 3 ms that a command which reads only its configuration need not pay

    return hashlib.sha256(data).digest()


def _prune(folder: Path, start: str, most: int) -> None:
    """Remove the oldest of the names with one start, up to its first dash."""
    alike = sorted(folder.glob(f"{start}-*"), key=lambda place: place.stat().st_mtime_ns)
    for place in alike[: max(len(alike) - most, 0)]:
        place.unlink(missing_ok=True)


def _folder() -> Path | None:
    """Return the folder, made when it is missing; None where it is not the user's alone."""
    if os.name == "nt":  # there is no telling there whose a folder is
        return None
    written = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(OSError, RuntimeError):
        base = Path(written) if os.path.isabs(written) else Path.home() / ".cache"  # noqa: PTH117 - beside the text
        folder = base / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(folder.lstat(), stat.S_ISDIR):
            return folder
    return None


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS
