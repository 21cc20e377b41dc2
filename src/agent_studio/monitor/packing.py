"""A file of a closed day is compressed, and in the end moves to the archive.

What is new is written beside its place and read back, and only then gets its name; what it was made from goes last. So
a step that was killed, or found the disk full, has changed nothing, and can be done again.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from contextlib import contextmanager, suppress
from gzip import GzipFile
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from agent_studio.errors import StorageError
from agent_studio.storage import temporaries
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.sealed import ARCHIVE, GZIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.segments import Segment
    from agent_studio.storage.folder import Folder

_CHUNK_BYTES = 1 << 20
_LEVEL = 6
_HEADER_BYTES = 8


class Content(NamedTuple):
    """What a file holds once it is unpacked."""

    size: int
    sha256: str
    lines: int
    """Lines that are not blank."""


def last_written_s(folder: Folder, segment: Segment) -> float:
    """Return when something was last written to a segment, seconds since 1970, before it was compressed."""
    with disk_faults(folder.path / segment.name), os.fdopen(folder.open(segment.name), "rb") as file:
        if segment.is_gzip:  # RFC 1952: four bytes behind magic, method and flags
            noted = int.from_bytes(file.read(_HEADER_BYTES)[4:], "little")
            if noted:
                return noted
        return os.fstat(file.fileno()).st_mtime


def content(folder: Folder, name: str, *, is_gzip: bool) -> Content:
    """Return what a file holds; raise `StorageError` when it cannot be read to its end."""
    digest, size, lines, rest = hashlib.sha256(), 0, 0, b""
    with _opened(folder, name, is_gzip=is_gzip) as file:
        while data := file.read(_CHUNK_BYTES):
            size += len(data)
            digest.update(data)
            *whole, rest = (rest + data).split(b"\n")
            lines += sum(1 for line in whole if line and not line.isspace())
    return Content(size, digest.hexdigest(), lines + bool(rest.strip()))


@contextmanager
def _opened(folder: Folder, name: str, *, is_gzip: bool) -> Iterator[IO[bytes]]:
    place = folder.path / name
    with disk_faults(place), os.fdopen(folder.open(name), "rb") as file:
        try:
            yield cast("IO[bytes]", GzipFile(fileobj=file, mode="rb")) if is_gzip else file
        except (EOFError, zlib.error) as error:
            raise StorageError(f"{place} is damaged: {error}", hint="restore it from a backup") from error


def compress(folder: Folder, segment: Segment) -> str:
    """Compress a segment's file and return its new name; one that is compressed keeps its own."""
    if segment.is_gzip:
        return segment.name
    name = segment.name + GZIP
    temporary = temporaries.name_for(name)
    try:
        _pack(folder, segment.name, temporary)
        if content(folder, temporary, is_gzip=True) != content(folder, segment.name, is_gzip=False):
            raise StorageError(f"{folder.path / name} did not come back as it was written", hint="check the disk")
        folder.move(temporary, folder, name)
    finally:
        drop(folder, temporary)
    folder.sync()
    folder.remove(segment.name)
    return name


def archive(owner: EnvironmentRoot, folder: Folder, segment: Segment) -> None:
    """Move a segment to the archive, compressed: no view has it any more."""
    owner.state.make(ARCHIVE)
    target = owner.state.at(ARCHIVE)
    name = compress(folder, segment)
    if target.status(name) is None:
        folder.move(name, target, name)
        target.sync()
        folder.sync()
    elif content(folder, name, is_gzip=True) == content(target, name, is_gzip=True):
        folder.remove(name)
    else:
        raise StorageError(
            f"{target.path / name} is there and differs from {folder.path / name}", hint="move one of the two away"
        )


def _pack(folder: Folder, name: str, target: str) -> None:
    """Write a file's bytes compressed; the same file always gives the same bytes."""
    with (
        disk_faults(folder.path / name),
        os.fdopen(folder.open(name), "rb") as source,
        os.fdopen(folder.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file,
    ):
        written_s = int(os.fstat(source.fileno()).st_mtime) & 0xFFFF_FFFF
        with GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=written_s) as packed:
            while data := source.read(_CHUNK_BYTES):
                packed.write(data)
        file.flush()
        os.fsync(file.fileno())


def drop(folder: Folder, temporary: str) -> None:
    """Remove a file that has not got its name."""
    with suppress(FileNotFoundError):
        folder.remove(temporary)
