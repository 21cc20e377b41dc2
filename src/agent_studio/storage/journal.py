"""Append-only files of JSON objects, one a line, one write a record."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.errors import StorageError
from agent_studio.storage.descriptors import locked, read_chunks
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.storage.folder import Folder


def encode(record: Mapping[str, Any]) -> bytes:
    """Return the record as one line of compact UTF-8 JSON; half a surrogate pair becomes `?`."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def append(folder: Folder, name: str, records: Iterable[Mapping[str, Any]]) -> int:
    """Append records by one write, creating the file when missing; return how many.

    A torn last line, left by a killed writer, is ended first. What a full disk cuts short is taken back and
    raises `StorageError`.
    """
    lines = [encode(record) for record in records]
    data = b"".join(lines)
    while _append(folder, name, data) is None:
        pass  # another file has taken the name meanwhile
    return len(lines)


def _append(folder: Folder, name: str, data: bytes) -> int | None:
    """Append to a file; None, with nothing written, where it has lost its name: a restore has read it by then."""
    place = folder.path / name
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        # Between the look at the last byte and the write, and between a short write and taking it back, no other
        # writer of ours may come. The write alone needs no lock on POSIX; Windows has no atomic append.
        with disk_faults(place), locked(descriptor):
            named = folder.status(name)
            if named is None or not os.path.samestat(named, os.fstat(descriptor)):
                return None
            if data and not ends_whole(descriptor):
                data = b"\n" + data
            written = os.write(descriptor, data)
            if written != len(data):
                _take_back(descriptor, written)
                raise StorageError(
                    f"{place}: only part of a record could be written, so none of it was",
                    hint="free space on the disk, then run the command again",
                )
        return written
    finally:
        os.close(descriptor)


def _take_back(descriptor: int, written: int) -> None:
    """Cut off what was just appended, unless a writer that takes no lock has appended after it."""
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    if os.fstat(descriptor).st_size == end:
        os.ftruncate(descriptor, end - written)


def ends_whole(descriptor: int) -> bool:
    """Tell whether a file is empty or ends in a line break."""
    size = os.fstat(descriptor).st_size
    if not size:
        return True
    position = os.lseek(descriptor, -1, os.SEEK_END)
    last = os.read(descriptor, 1)
    return position == size - 1 and last == b"\n"


@dataclass
class Reading:
    """The records of a journal and how many of its lines could not be read."""

    records: list[dict[str, Any]] = field(default_factory=list)
    damaged_lines: int = 0


def read(folder: Folder, name: str) -> Reading:
    """Return every record; a missing file reads as empty, a damaged line is counted and passed over."""
    reading = Reading()
    try:
        descriptor = folder.open(name)
    except FileNotFoundError:
        return reading
    try:
        with disk_faults(folder.path / name):
            for line in _lines(descriptor):
                record = _parse(line)
                if record is not None:
                    reading.records.append(record)
                elif line.strip():
                    reading.damaged_lines += 1
    finally:
        os.close(descriptor)
    return reading


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line, or None; NaN and the infinities, which no other reader takes, are damage."""
    try:
        record = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _lines(descriptor: int) -> Iterator[bytes]:
    rest: list[bytes] = []
    for chunk in read_chunks(descriptor):
        *whole, last = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*rest, line))
            rest.clear()
        rest.append(last)
    yield b"".join(rest)
