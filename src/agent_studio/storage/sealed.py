"""A journal's files: the one that grows, and those it was renamed to when they were closed.

`hooks.jsonl` becomes `hooks.<day it was begun>.<number>.jsonl`, later the same with `.gz`, and in the end it moves to
an archive. What is in a sealed file never changes, and it only ever moves on along this way: who looks for it in
that order finds it.
"""

from __future__ import annotations

import os
import re
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder

ARCHIVE = "archive"
"""Folder of an environment's state for what is older than it has to be kept."""
LAKE = "lake"
"""Folder of an environment's state for what is made from sealed files: `<kind>/<day>.<number>.parquet`."""
GZIP = ".gz"
_GZIP_LEAST_BYTES = 18
_NAME = re.compile(r"(?P<stem>[a-z][a-z-]*)\.(?P<day>\d{4}-\d\d-\d\d)\.(?P<number>[1-9]\d{0,8})\.jsonl(?:\.gz)?")
_PARQUET = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)\.(?P<number>[1-9]\d{0,8})\.parquet")


class Sealed(NamedTuple):
    """A closed file of a journal, whether compressed or not."""

    stem: str
    """The journal's name without `.jsonl`."""
    day: str
    """The UTC day on which it was begun, `2026-01-31`."""
    number: int
    """From 1, among the files begun on that day."""

    @property
    def name(self) -> str:
        """Its name while it is not compressed."""
        return f"{self.stem}.{self.day}.{self.number}.jsonl"

    @property
    def parquet(self) -> str:
        """The name of what is made from it."""
        return f"{self.day}.{self.number}.parquet"


def parse(name: str) -> Sealed | None:
    """Return what a file name says, or None when it is not that of a sealed file."""
    match = _NAME.fullmatch(name)
    return Sealed(match["stem"], match["day"], int(match["number"])) if match else None


def found(journal: str, *folders: Folder) -> list[Sealed]:
    """Return the sealed files of `<stem>.jsonl` in some folders, oldest first; name the archive last."""
    stem, held = journal.removesuffix(".jsonl"), set()
    for folder in folders:
        with suppress(FileNotFoundError):
            held |= {one for name in folder.names() if (one := parse(name)) is not None and one.stem == stem}
    return sorted(held)


def next_number(journal: str, day: str, folders: tuple[Folder, ...], made: Folder) -> int:
    """Return a number that no file of that day has, nor had as far as what was `made` from it tells."""
    numbers = {one.number for one in found(journal, *folders) if one.day == day}
    with suppress(FileNotFoundError):
        matches = map(_PARQUET.fullmatch, made.names())
        numbers |= {int(match["number"]) for match in matches if match and match["day"] == day}
    return max(numbers, default=0) + 1


@contextmanager
def opened(segment: Sealed, *folders: Folder) -> Iterator[BinaryIO]:
    """Open a sealed file wherever it is by now, to be read as it was before it was compressed.

    Raises `FileNotFoundError` when it is nowhere. A compressed file that was cut short ends where it was cut: see
    `read_line`.
    """
    for folder in folders:
        for name in (segment.name, segment.name + GZIP):
            try:
                descriptor = folder.open(name)
            except FileNotFoundError:
                continue
            with os.fdopen(descriptor, "rb") as file:
                yield unpacked(file) if name.endswith(GZIP) else file
            return
    raise FileNotFoundError(segment.name)


def unpacked(file: BinaryIO) -> BinaryIO:
    """Return the content of a compressed file."""
    from gzip import GzipFile  # noqa: PLC0415 - only the files of earlier days are compressed

    return cast("BinaryIO", GzipFile(fileobj=file, mode="rb"))


def unpacked_size(file: BinaryIO) -> int | None:
    """Return how long a compressed file says its content is, modulo 4 GiB; None when it is cut short.

    See RFC 1952, section 2.3.1: ISIZE is the last four bytes.
    """
    end = file.seek(0, os.SEEK_END)
    if end < _GZIP_LEAST_BYTES:
        return None
    file.seek(end - 4)
    size = int.from_bytes(file.read(4), "little")
    file.seek(0)
    return size


def read_line(file: BinaryIO) -> bytes:
    """Return the next line with its end; empty at the end, and where a compressed file is damaged."""
    from gzip import BadGzipFile  # noqa: PLC0415 - as above

    try:
        return file.readline()
    except (EOFError, zlib.error, BadGzipFile):
        return b""


def lines(segment: Sealed, *folders: Folder) -> Iterator[bytes]:
    """Yield a sealed file's lines without their ends; one that is gone has none."""
    with suppress(FileNotFoundError), opened(segment, *folders) as file, disk_faults(folders[0].path / segment.name):
        while line := read_line(file):
            yield line.rstrip(b"\n")
