"""What is planted in protected places to be reached, and what became of it; no file of anybody else is changed.

Everything planted has a name of its own, `.canary-` and a random number, and is removed again; what a killed probe left
is removed by the next one.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import struct
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError
from agent_studio.isolation.routes.attempt import PLANTED
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE, FOLDER, DATABASE = "file", "folder", "database"
"""What is planted: a file, one with a folder beside it, a SQLite database."""
INNER = "inner"
_STALE_S = 60
_FIEMAP = 0xC020660B
"""`FS_IOC_FIEMAP`: https://docs.kernel.org/filesystems/fiemap.html"""
_FIEMAP_HEAD, _FIEMAP_EXTENT, _FIEMAP_SYNC = "=QQLLLL", "=QQQQQLLLL", 1
_FIEMAP_UNKNOWN = 0x2 | 0x4 | 0x8 | 0x200 | 0x400
"""Extents whose place is unknown, delayed, encoded, or inside other data."""


@dataclass(frozen=True)
class Victim:
    """One planted file, and a folder beside it where a route is about folders."""

    folder: Folder
    name: str
    content: bytes
    inner: str = ""
    before: tuple[object, ...] = field(default=(), compare=False)
    """What the file system said of it once it was planted."""

    @property
    def file(self) -> Path:
        """The planted file."""
        return self.folder.path / self.name

    @property
    def inner_path(self) -> Path:
        """The planted folder; the planted file's own where there is none."""
        return self.folder.path / (self.inner or self.name)

    def changed(self) -> str:
        """Return what became of it since it was planted; empty when nothing did."""
        here = _state(self.file)
        if here is None:
            return "it is gone"
        if here != self.before:
            return "it was changed"
        made = [name for name in self.folder.names() if name.startswith(f"{self.name}-")]
        if made:
            return "something was made beside it"
        inner = self.inner_path / INNER
        return "" if not self.inner or _bytes(inner) == self.content else "its folder was changed"


@contextmanager
def planted(place: Path, kinds: Sequence[str], nonce: bytes) -> Iterator[list[Victim]]:
    """Plant files of the given kinds that hold the nonce, and remove them and what was made beside them afterwards.

    Raises `AgentStudioError` where nothing can be planted.
    """
    folder = Folder(place)
    names = [f"{PLANTED}{secrets.token_hex(8)}" for _ in kinds]
    contents = [_database(nonce) if kind == DATABASE else _content(nonce) for kind in kinds]
    inner = [f"{PLANTED}{secrets.token_hex(8)}" if kind == FOLDER else "" for kind in kinds]
    try:
        folder.create_many("", zip(names, contents, strict=True))
        for name, content in zip(inner, contents, strict=True):
            if name:
                folder.make(name)
                folder.at(name).create(INNER, content)
        yield [
            Victim(folder, name, content, within, _state(folder.path / name) or ())
            for name, content, within in zip(names, contents, inner, strict=True)
        ]
    finally:
        there = folder.names()
        for planted_name in filter(None, (*names, *inner)):  # in this order: a killed run is repeated call by call
            for name in sorted(name for name in there if name.startswith(planted_name)):
                _remove(folder, name)


def sweep(place: Path) -> None:
    """Remove what killed probes have left in a place."""
    folder = Folder(place)
    with suppress(AgentStudioError, OSError):
        for name in folder.names():
            status = folder.status(name) if name.startswith(PLANTED) else None
            if status and time.time() - status.st_ctime > _STALE_S:
                _remove(folder, name)


def on_disk(path: Path, size: int) -> dict[str, Any]:
    """Return device and offset of a file's first bytes; empty where the file system does not say."""
    if sys.platform != "linux":
        return {}
    import fcntl  # noqa: PLC0415 - not there on every system

    request = bytearray(
        struct.pack(_FIEMAP_HEAD, 0, size, _FIEMAP_SYNC, 0, 1, 0) + bytes(struct.calcsize(_FIEMAP_EXTENT))
    )
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            fcntl.ioctl(file, _FIEMAP, request)
            device = os.fstat(file.fileno()).st_dev
    except OSError:
        return {}
    head = struct.unpack_from(_FIEMAP_HEAD, request)
    extent = struct.unpack_from(_FIEMAP_EXTENT, request, struct.calcsize(_FIEMAP_HEAD))
    if not head[3] or extent[5] & _FIEMAP_UNKNOWN or not os.major(device):
        return {}
    return {"device": [os.major(device), os.minor(device)], "offset": extent[1], "size": size}


def _content(nonce: bytes) -> bytes:
    """Return content whose size says something as well."""
    return nonce + b"\n" + secrets.token_bytes(64 + secrets.randbelow(2048))


def _database(nonce: bytes) -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.execute("INSERT INTO words VALUES (?)", (nonce.decode(),))
        connection.commit()
        data = bytes(connection.serialize())
    connection.close()
    return data


def _state(path: Path) -> tuple[object, ...] | None:
    try:
        status = path.lstat()
        content = _bytes(path)
    except OSError:
        return None
    names = os.listxattr(path, follow_symlinks=False) if hasattr(os, "listxattr") else []
    return (
        status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns, content,
        *names,
    )  # fmt: skip


def _bytes(path: Path) -> bytes | None:
    """Return a file's bytes; None when it cannot be read, as after a change of its rights."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _remove(folder: Folder, name: str) -> None:
    with suppress(AgentStudioError, OSError):
        status = folder.status(name)
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        (folder.remove_tree if is_folder else folder.remove)(name)
