"""Append-only files of JSON objects, one a line, one write a record."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.errors import StorageError
from agent_studio.storage.folder import disk_faults, read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.storage.folder import Folder


def encode(record: Mapping[str, Any]) -> bytes:
    """Return the record as one line of compact UTF-8 JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def append(folder: Folder, name: str, records: Iterable[Mapping[str, Any]]) -> int:
    """Append records by one write, creating the file when missing; return how many.

    A write cut short by a full disk leaves a damaged last line, which readers count; it raises `StorageError`.
    """
    lines = [encode(record) for record in records]
    data = b"".join(lines)
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        with disk_faults(folder.path / name):
            if data and not ends_whole(descriptor):
                data = b"\n" + data
            if os.write(descriptor, data) != len(data):
                raise StorageError(f"{folder.path / name}: only part of a record could be written")
    finally:
        os.close(descriptor)
    return len(lines)


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
        for line in _lines(descriptor):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                reading.records.append(record)
            elif line.strip():
                reading.damaged_lines += 1
    finally:
        os.close(descriptor)
    return reading


def _lines(descriptor: int) -> Iterator[bytes]:
    rest = b""
    for chunk in read_chunks(descriptor):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
