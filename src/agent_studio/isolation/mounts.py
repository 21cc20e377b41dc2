"""Other paths to the same files: a folder that is mounted in a second place is reached there as well.

Format: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TABLE = Path("/proc/self/mountinfo")
_DEVICE, _ROOT, _POINT = 2, 3, 4
"""Fields of a line."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A place where a file system, or a folder of one, is mounted."""

    device: bytes
    root: Path
    """The folder inside the file system."""
    point: Path


def read() -> bytes:
    """Return this process's table of mounts, empty where the system has none."""
    try:
        return TABLE.read_bytes()
    except OSError:
        return b""


def parse(table: bytes) -> list[Mount]:
    """Return the mounts of a table, in its order; lines in another form are left out."""
    found = []
    for line in table.splitlines():
        fields = line.split(b" ")
        if len(fields) > _POINT:
            found.append(Mount(fields[_DEVICE], _path(fields[_ROOT]), _path(fields[_POINT])))
    return found


def aliases(paths: Iterable[Path], mounts: list[Mount]) -> Iterator[tuple[Path, Path]]:
    """Yield each path with another one to the same files, or to some of them, as far as mounts tell."""
    for path in paths:
        around = (mount for mount in reversed(mounts) if path.is_relative_to(mount.point))
        holder = max(around, key=lambda mount: len(mount.point.parts), default=None)  # the innermost, the last made
        if holder is None:
            continue
        place = holder.root / path.relative_to(holder.point)
        for mount in mounts:
            if mount.device != holder.device:
                continue
            if place.is_relative_to(mount.root):
                other = mount.point / place.relative_to(mount.root)
                if other != path and _is_same(other, path):
                    yield path, other
            elif mount.root.is_relative_to(place) and not mount.point.is_relative_to(path):
                inner = path / mount.root.relative_to(place)
                if _is_same(mount.point, inner):
                    yield path, mount.point


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False


def _path(field: bytes) -> Path:
    return Path(os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)))
