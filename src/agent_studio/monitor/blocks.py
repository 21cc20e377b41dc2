"""Where in a file which time is, so that a reader of one day need not read a month.

A file is nearly in order of time, but a record may come hours or days late, and a clock may be wrong. So of every block
of about 256 KiB its oldest and newest record are kept, and a reader skips just the blocks that hold nothing of its
stretch. What is kept is derived: it grows with the file, is checked against it, and begun anew when it does not fit.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from agent_studio.errors import StorageError
from agent_studio.monitor.lines import MARK, instant_ms, record_of
from agent_studio.monitor.segments import live_name
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.monitor.segments import Segment
    from agent_studio.storage.folder import Folder

_BLOCK_BYTES = 256 << 10
_ANCHOR_BYTES = 1 << 10
_VERSION = 1
_LEADING = b'{"timestamp":"'
"""How our own lines begin."""
_LEADING_AT = slice(len(_LEADING), len(_LEADING) + 24)
_EVER = (0, 1 << 62)
"""Of a block without a single record."""


class Block(NamedTuple):
    """A run of whole lines."""

    end: int
    """Where it ends; it starts where the one before ends. Of a gzipped file: in what it holds."""
    oldest_ms: int
    newest_ms: int
    last_ms: int | None
    """The time of the last record up to its end."""


class Stretch(NamedTuple):
    """A part of a file that has to be read."""

    start: int
    end: int | None
    """None: to the file's end."""
    before_ms: int | None
    """The time of the last record before it."""


class Skipped(NamedTuple):
    """A block that need not be read."""

    newest_ms: int
    segment: Segment
    part: Stretch


class Index:
    """The blocks of all files of one journal, kept in a file of the state folder."""

    def __init__(self, state: Folder, folder: Folder, kind: str) -> None:
        """`folder` is where the journal's files are."""
        self._state, self._folder, self._kind = state, folder, kind
        self._name = f"blocks-{kind}.json"
        self._held = self._read()
        self._used: dict[str, Any] = {}
        self._is_changed = False
        self.skipped: list[Skipped] = []
        """What `stretches` left out."""

    def stretches(self, segment: Segment, since_ms: int, until_ms: int, now_ms: int) -> list[Stretch]:
        """Return what has to be read of a file for a stretch of time and for what claims to be from the future.

        What stands behind the last whole block of the live file is always read.
        """
        found: list[Stretch] = []
        start, before, blocks = 0, None, self._blocks(segment)
        for block in blocks:
            if block.newest_ms >= since_ms and (block.oldest_ms < until_ms or block.newest_ms > now_ms):
                found.append(Stretch(start, block.end, before))
            else:
                self.skipped.append(Skipped(block.newest_ms, segment, Stretch(start, block.end, before)))
            start, before = block.end, block.last_ms
        if segment.is_live:
            found.append(Stretch(start, None, before))
        elif found and found[-1].end == start:
            found[-1] = found[-1]._replace(end=None)
        return _joined(found)

    def newest_ms(self, segment: Segment) -> list[int]:
        """Return the newest time in each block of a file that has records; each claims what it likes."""
        return [block.newest_ms for block in self._blocks(segment) if block.newest_ms != _EVER[1]]

    def _blocks(self, segment: Segment) -> list[Block]:
        entry = self._held.get(segment.name)
        if not segment.is_live and isinstance(entry, dict) and entry.get("size") == segment.size:
            with suppress(TypeError, KeyError):
                blocks = [Block(*one) for one in entry["blocks"]]
                self._used[segment.name] = entry
                return blocks
        return self._followed(segment)

    def _followed(self, segment: Segment) -> list[Block]:
        """Read on where the file was read last, under this name or while it was the live one."""
        names = (segment.name, segment.name.removesuffix(".gz"), live_name(self._kind))
        with opened(self._folder, segment) as file:
            known = next((kept for name in names if (kept := _kept(self._held.get(name), file)) is not None), [])
            blocks = [*known, *_further(file, known, to_end=not segment.is_live)]
            if blocks:
                size = None if segment.is_live else segment.size
                entry = {"size": size, "anchor": _anchor(file, blocks[-1].end), "blocks": blocks}
                self._is_changed |= len(blocks) != len(known) or segment.name not in self._held
                self._used[segment.name] = entry
        return blocks

    def keep(self) -> None:
        """Write what has been learnt; a disk that refuses costs time, no more."""
        if not self._is_changed:
            return
        live = live_name(self._kind)
        if live in self._held:
            self._used.setdefault(live, self._held[live])  # who looks at closed files alone need not know it
        with suppress(StorageError):
            self._state.make()
            text = json.dumps({"version": _VERSION, "files": self._used}, separators=(",", ":"))
            self._state.replace(self._name, text.encode())

    def _read(self) -> dict[str, Any]:
        try:
            held = json.loads(self._state.read(self._name))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        files = held.get("files") if isinstance(held, dict) and held.get("version") == _VERSION else None
        return files if isinstance(files, dict) else {}


class DamagedFileError(Exception):
    """A gzipped file was cut short or is rotten."""


@contextmanager
def opened(folder: Folder, segment: Segment) -> Iterator[IO[bytes]]:
    """Open a segment for reading what it holds; `DamagedFileError` comes when that turns out to be damaged."""
    with disk_faults(folder.path / segment.name), os.fdopen(folder.open(segment.name), "rb") as file:
        if not segment.is_gzip:
            yield file
            return
        import gzip  # noqa: PLC0415 - only files of earlier days are packed
        import zlib  # noqa: PLC0415 - as above

        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield cast("IO[bytes]", unpacked)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFileError(segment.name) from error


def is_whole(folder: Folder, segment: Segment) -> bool:
    """Tell whether all of a gzipped file can be unpacked."""
    try:
        with opened(folder, segment) as file:
            while file.read(_BLOCK_BYTES):
                pass
    except DamagedFileError:
        return False
    return True


def _joined(parts: list[Stretch]) -> list[Stretch]:
    joined = parts[:1]
    for part in parts[1:]:
        if joined[-1].end == part.start:
            joined[-1] = joined[-1]._replace(end=part.end)
        else:
            joined.append(part)
    return joined


def _kept(entry: Any, file: IO[bytes]) -> list[Block] | None:
    """Return the blocks that were kept, if they are of this file."""
    try:
        blocks = [Block(*one) for one in entry["blocks"]]
        return blocks if entry["anchor"] == _anchor(file, blocks[-1].end) else None
    except (TypeError, KeyError, ValueError, IndexError):
        return None


def _anchor(file: IO[bytes], end: int) -> str:
    start = max(end - _ANCHOR_BYTES, 0)
    file.seek(start)
    data = file.read(end - start)
    return hashlib.sha256(data).hexdigest() if len(data) == end - start else ""


def _further(file: IO[bytes], known: list[Block], *, to_end: bool) -> Iterator[Block]:
    """Yield the blocks behind those that are known."""
    end, last = (known[-1].end, known[-1].last_ms) if known else (0, None)
    file.seek(end)
    while data := file.read(_BLOCK_BYTES):
        is_short = len(data) < _BLOCK_BYTES
        data += b"" if data.endswith(b"\n") else file.readline()
        if not to_end and (is_short or not data.endswith(b"\n")):
            return  # it may still grow
        end += len(data)
        block = _block(data, end, last)
        last = block.last_ms
        yield block


def _block(data: bytes, end: int, before: int | None) -> Block:
    lines = data.removesuffix(b"\n").split(b"\n")
    if end == len(data):
        lines[0] = lines[0].removeprefix(MARK)
    times = _times(lines)
    head = record_of(lines[0])
    if head is None and before is not None:
        times.append(before)  # damage at the start is of the time of the record before
    last = next((found[1] for line in reversed(lines) if (found := record_of(line)) is not None), before)
    oldest, newest = (min(times), max(times)) if times else _EVER
    return Block(end, oldest, newest, last)


def _times(lines: list[bytes]) -> list[int]:
    """Return at least the oldest and the newest time of the records in a block."""
    leading = [line[_LEADING_AT] for line in lines if line.startswith(_LEADING)]  # times sort as they are written
    if len(leading) == len(lines):
        ends = [instant_ms(one.decode("latin-1")) for one in (min(leading), max(leading))]
        if None not in ends:
            return [one for one in ends if one is not None]
    return [found[1] for line in lines if (found := record_of(line)) is not None]
