"""Our journals, read from where an export of them last ended.

A position is a byte offset and a hash of what stands before it, kept under what names the file for good. So a file
that was renamed or compressed since is recognised, and one that was replaced is read anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO

from agent_studio.environment.roots import LOGS
from agent_studio.storage import sealed
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

JOURNALS: Mapping[str, tuple[str, str]] = {
    "hooks": ("metrics", "hooks.jsonl"),
    "agents": ("metrics", "agents.jsonl"),
    "errors": ("metrics", "errors.jsonl"),
    "usage": ("metrics", "llm-usage.log"),
    "sessions": ("sessions", "session-log.jsonl"),
}
assert all(name in LOGS[kind] for kind, name in JOURNALS.values())  # noqa: S101 - two tables that must agree
_SEGMENT = re.compile(r"llm-usage\.([0-9]+)\.log")
_ANCHOR_BYTES = 256


@dataclass(frozen=True)
class Position:
    """How far a file was read."""

    offset: int = 0
    anchor: str = ""
    """SHA-256 of the last bytes before the offset."""


@dataclass
class Chunk:
    """Some records of a file, and where the next ones start."""

    records: list[dict[str, Any]] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    damaged: int = 0
    older: int = 0
    """Records from before the time asked for."""


def files(root: EnvironmentRoot, journal: str) -> tuple[Folder, list[str]]:
    """Return the folder of a journal and the names of its files, oldest first."""
    kind, name = JOURNALS[journal]
    folder = root.folder(kind)
    if not folder.has_folder():
        return folder, []
    found = folder.names()
    if journal == "usage":
        older = sorted((one for one in found if _SEGMENT.fullmatch(one)), key=_first_number)
    else:
        older = [one.name for one in sealed.found(name, folder)]
    return folder, [*older, *([name] if name in found else [])]


def _first_number(name: str) -> int:
    match = _SEGMENT.fullmatch(name)
    return int(match[1]) if match else 0


class Source:
    """A file of a journal that is being read.

    It is known by its first line, which stays the same whatever the file is called by now, compressed or not.
    """

    def __init__(self, file: BinaryIO, journal: str, place: Path) -> None:
        self._file, self._place = file, place
        with disk_faults(place):
            self._is_packed = not isinstance(file, BufferedReader)
            self._size = _size(file)
            first = sealed.read_line(file)
        self.key = f"{journal}:{hashlib.sha256(first).hexdigest()[:16]}" if first.endswith(b"\n") else ""
        """What its position is kept under; empty while it has no whole line."""

    def resume(self, known: Mapping[str, Position]) -> Position:
        """Return where to read on: where the last reading of it ended, if it is as it was then; else the start.

        What is compressed is as it was: it never changes, and looking would mean unpacking it.
        """
        own = known.get(self.key)
        if self._is_packed:
            return own or Position()
        named = [position for key, position in known.items() if ":" not in key]  # as earlier versions kept them
        candidates = named if own is None else [own]
        return next((one for one in candidates if one.offset and self._anchor(one.offset) == one.anchor), Position())

    def chunks(self, position: Position, *, environment: str, since: str | None, size: int) -> Iterator[Chunk]:
        """Yield the records of one environment after a position, `size` at a time; a last line without an end waits.

        `since` is a timestamp as records have it.
        """
        if not self.key or (self._is_packed and position.offset == self._size):
            return
        offset, chunk = position.offset, Chunk()
        for line in self._lines(offset):
            offset += len(line)
            _take(chunk, line, environment, since)
            if len(chunk.records) == size:
                chunk.position = Position(offset, self._anchor(offset))
                yield chunk
                chunk = Chunk()
        chunk.position = Position(offset, self._anchor(offset))
        yield chunk

    def _lines(self, offset: int) -> Iterator[bytes]:
        """Yield the whole lines from an offset on that were there when the file was opened."""
        with disk_faults(self._place):
            with suppress(EOFError, zlib.error):  # cut short: there are no lines then
                self._file.seek(offset)
            while self._is_packed or offset < self._size:
                line = sealed.read_line(self._file)
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield line

    def _anchor(self, offset: int) -> str:
        """Return a hash of what stands before an offset; the file is read on from there."""
        if self._is_packed:
            return ""
        start = max(0, offset - _ANCHOR_BYTES)
        with disk_faults(self._place):
            self._file.seek(start)
            data = self._file.read(offset - start)
        return hashlib.sha256(data).hexdigest() if len(data) == offset - start else ""


def _size(file: BinaryIO) -> int:
    """Return the length of a file's content; -1 when it is compressed and cut short."""
    raw = getattr(file, "fileobj", None)
    if raw is None:
        return os.fstat(file.fileno()).st_size
    size = sealed.unpacked_size(raw)
    return -1 if size is None else size


@contextmanager
def opened(folder: Folder, name: str, journal: str) -> Iterator[Source | None]:
    """Open a file of a journal; None when it has moved on since it was listed: the next listing has it."""
    segment = sealed.parse(name)
    with ExitStack() as stack:
        try:
            if segment is None:
                file: BinaryIO = stack.enter_context(os.fdopen(folder.open(name), "rb"))
            else:
                file = stack.enter_context(sealed.opened(segment, folder))
        except FileNotFoundError:
            yield None
            return
        yield Source(file, journal, folder.path / name)


def _take(chunk: Chunk, line: bytes, environment: str, since: str | None) -> None:
    if not line.strip():
        return
    try:
        record = json.loads(line)
        if record.get("type") == "torn":  # the ledger's own note of a torn write
            return
        mine, late = record["environment"] == environment, since is None or record["timestamp"] >= since
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        chunk.damaged += 1
        return
    if mine and late:
        chunk.records.append(record)
    elif mine:
        chunk.older += 1


def responses(root: EnvironmentRoot, numbers: set[int]) -> Iterator[dict[str, Any]]:
    """Yield the ledger's records of some numbers, and what amends them, in order."""
    folder, names = files(root, "usage")
    for name in names:
        with disk_faults(folder.path / name), os.fdopen(folder.open(name), "rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                    if record["_seq"] in numbers or record.get("amends") in numbers:
                        yield record
                except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
                    continue
