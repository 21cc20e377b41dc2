"""Reads what an agent left: regular files only, no more than a bound, and never waiting for anybody to write."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 20_000_000
_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def opened(place: Path) -> int | None:
    """Open a regular file and return its descriptor; None for a link, a pipe, a folder or nothing at all."""
    try:
        descriptor = os.open(place, _FLAGS | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def regular(place: Path, most: int = MOST_BYTES) -> bytes | None:
    """Return the first bytes of a regular file, None where there is none that can be read."""
    descriptor = opened(place)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(most)
        except OSError:
            return None


def within(folder: Path, name: str, most: int = MOST_BYTES) -> bytes | None:
    """Return the same of a file below a folder; links are followed as long as they stay in it."""
    try:
        place = (folder / name).resolve()
        is_inside = place.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return None
    return regular(place, most) if is_inside else None
