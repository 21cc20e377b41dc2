"""Our journals, read from where an export of them last ended.

A position is a byte offset and a hash of what stands before it, so that a file that was replaced or renamed since is
noticed: the first is read anew, the second is recognised.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from agent_studio.environment.roots import LOGS
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    segments = [one for one in found if journal == "usage" and _SEGMENT.fullmatch(one)]
    return folder, [*sorted(segments, key=_first_number), *([name] if name in found else [])]


def _first_number(name: str) -> int:
    match = _SEGMENT.fullmatch(name)
    return int(match[1]) if match else 0


def resume(folder: Folder, name: str, known: Mapping[str, Position]) -> Position:
    """Return where to read on: the file's own position, or that of the file it was renamed from; else the start."""
    with disk_faults(folder.path / name), os.fdopen(folder.open(name), "rb") as file:
        candidates = [known[name]] if name in known else []
        candidates += [position for other, position in known.items() if other != name and _SEGMENT.fullmatch(name)]
        return next((one for one in candidates if one.offset and _anchor(file, one.offset) == one.anchor), Position())


def chunks(
    folder: Folder, name: str, position: Position, *, environment: str, since: str | None, size: int
) -> Iterator[Chunk]:
    """Yield the records of one environment after a position, `size` at a time; a last line without an end waits.

    `since` is a timestamp as records have it.
    """
    with disk_faults(folder.path / name), os.fdopen(folder.open(name), "rb") as file:
        end, offset, chunk = os.fstat(file.fileno()).st_size, position.offset, Chunk()
        file.seek(offset)
        while offset < end and (line := file.readline()).endswith(b"\n"):
            offset += len(line)
            _take(chunk, line, environment, since)
            if len(chunk.records) == size:
                chunk.position = Position(offset, _anchor(file, offset))
                yield chunk
                chunk = Chunk()
                file.seek(offset)
        chunk.position = Position(offset, _anchor(file, offset))
        yield chunk


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


def _anchor(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - _ANCHOR_BYTES)
    file.seek(start)
    data = file.read(offset - start)
    return hashlib.sha256(data).hexdigest() if len(data) == offset - start else ""


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
