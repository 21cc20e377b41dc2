"""What this user's compiler has made before, so that a second project costs a copy: `~/.cache/agent-studio`.

The folder is the user's alone, else it is not used; every program is checked against the hash kept with it. Whatever is
wrong with the cache is passed over: it only saves time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = "agent-studio"
_OTHERS = 0o077
_DIGEST_BYTES = 32
_PROGRAM_MAX_BYTES = 8 << 20


def key(source: bytes, compiler: str, *options: str) -> str | None:
    """Return the name of what a compiler, as it is now, makes of a source here; None when it cannot be told."""
    try:
        real = os.path.realpath(compiler)
        status = os.stat(real)  # noqa: PTH116 - beside realpath
    except OSError:
        return None
    words = (
        hashlib.sha256(source).hexdigest(), real, str(status.st_mtime_ns), str(status.st_size), sys.platform,
        platform.machine(), *options,
    )  # fmt: skip
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()


def load(name: str | None) -> bytes | None:
    """Return a program kept before, or None."""
    folder = _folder()
    if name is None or folder is None:
        return None
    with suppress(OSError):
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            if not _is_private(os.fstat(file.fileno()), stat.S_ISREG):
                return None
            kept = file.read(_PROGRAM_MAX_BYTES)
        digest, program = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        if program and hashlib.sha256(program).digest() == digest:
            return program
    return None


def store(name: str | None, program: bytes) -> None:
    """Keep a program that was proved to work, if it can be kept."""
    folder = _folder()
    if name is None or folder is None:
        return
    with suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(program).digest() + program)
            Path(temporary).replace(folder / name)
        except OSError:
            Path(temporary).unlink()


def _folder() -> Path | None:
    """Return the folder, made when it is missing; None where it is not the user's alone."""
    if os.name == "nt":  # programs are compiled on POSIX systems only
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
