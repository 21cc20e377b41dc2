"""The files of one sidecar: `hot.jsonl`, never over 51,200 bytes, and `archive/`, a file a month.

What leaves the hot file is in the archive before; a process that dies between the two leaves an entry in both, and it
counts once. A line that is no entry, because a hand or a crash tore it, is moved to the archive as it is.
"""

from __future__ import annotations

import base64
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.memory import index
from agent_studio.memory.index import Piece, Source
from agent_studio.memory.sidecars.entry import Entry, encoded, parsed
from agent_studio.storage import journal
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.locks import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from agent_studio.memory.index import Index
    from agent_studio.storage.folder import Folder

HOT, ARCHIVE, LOCK = "hot.jsonl", "archive", ".sidecar.lock"
INDEX_FOLDER = "sidecars"
"""In the environment's state; guarded like the sidecars themselves."""
CAP_BYTES = 51_200
ROOM_BYTES = CAP_BYTES * 4 // 5
"""What is left in the hot file once it was full."""
PINNED_MAX_BYTES = CAP_BYTES // 2
DAMAGED = "damaged.jsonl"
"""Lines that are no entries: `{at, line}`, or `{at, base64}` where they are no text."""
_MONTH = re.compile(r"\d{4,}-\d{2}\.jsonl")


class Line(NamedTuple):
    """A line of a file and the entry on it, if it is one."""

    raw: bytes
    """Without its end."""
    entry: Entry | None


class Store:
    """One agent's files; every change is made with the lock held."""

    def __init__(self, folder: Folder, state: Folder) -> None:
        """`state` is where the derived index lies."""
        self._folder = folder
        self._state = state
        self._index = f"{folder.path.name}.sqlite3"

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, on files that are in order."""
        self._folder.make(ARCHIVE)
        with in_turn(self._folder, LOCK):
            self._fit()
            yield

    def hot(self) -> list[Entry]:
        """Return the entries of the hot file, oldest first; a file that somebody made too large is cut to size."""
        status = self._folder.status(HOT)
        if status is not None and status.st_size > CAP_BYTES:
            with self.changing():
                pass
        return list(_entries(line.entry for line in self._lines(HOT)))

    def lines(self) -> list[Line]:
        """Return the lines of the hot file; the lock is held."""
        return list(self._lines(HOT))

    def archived(self) -> Iterator[Entry]:
        """Yield what is in the archive and not in the hot file, oldest file first."""
        seen = {entry.id for entry in self.hot()}
        for name in self._months():
            for line in self._lines(name):
                if line.entry is not None and line.entry.id not in seen:
                    seen.add(line.entry.id)
                    yield line.entry

    def append(self, entry: Entry) -> None:
        """Add an entry at the end, making room first; the lock is held."""
        line = encoded(entry)
        status = self._folder.status(HOT)
        if status is not None and status.st_size + len(line) + 1 > CAP_BYTES:  # one for the end of a torn line
            self.write([*self._lines(HOT), Line(line[:-1], entry)])
        else:
            journal.append(self._folder, HOT, [entry.told()])

    def write(self, lines: Iterable[Line]) -> None:
        """Put lines in the place of the hot file; what does not fit goes to the archive first. The lock is held."""
        now = clock.timestamp(clock.now())
        kept, moved, damaged = divided(lines, now)
        if damaged:
            self._add(DAMAGED, [_kept_raw(now, line.raw) for line in damaged])
        self.archive([line.entry for line in moved if line.entry is not None])
        self._folder.replace(HOT, b"".join(line.raw + b"\n" for line in kept))

    def archive(self, entries: Sequence[Entry]) -> None:
        """Add entries to the archive of this month, durably; the lock is held."""
        now = clock.timestamp(clock.now())
        if entries:
            self._add(f"{now[:7]}.jsonl", [{**entry.told(), "archivedAt": now} for entry in entries])

    def forget(self, ids: frozenset[str]) -> int:
        """Take entries out of all files, the index included, for good; return how many there were. The lock is held.

        So goes what is left of a line that a crash tore, if it names one of them.
        """
        gone = 0
        named = [one.encode() for one in ids]
        for name in (HOT, *self._months(), f"{ARCHIVE}/{DAMAGED}"):
            lines = list(self._lines(name))
            kept = [
                line for line in lines
                if (not any(one in line.raw for one in named) if line.entry is None else line.entry.id not in ids)
            ]  # fmt: skip
            if len(kept) < len(lines):
                self._folder.replace(name, b"".join(line.raw + b"\n" for line in kept if line.raw))
                gone += len(lines) - len(kept)
        place = self._state.at(INDEX_FOLDER)
        for name in (f"{self._index}-journal", self._index):
            with suppress(FileNotFoundError):
                place.remove(name)
        return gone

    def searching(self) -> AbstractContextManager[Index]:
        """Open the index over the hot file and the archive."""
        sources = [Source(name, self._folder, name, _pieces, by_line=True) for name in (HOT, *self._months())]
        return index.opened(self._state.at(INDEX_FOLDER), self._index, sources)

    @staticmethod
    def entry_of(data: bytes) -> Entry | None:
        """Return the entry that a place of the index holds."""
        return parsed(data)

    @property
    def damaged_lines(self) -> int:
        """How many lines of the hot file are no entries."""
        return sum(line.entry is None and bool(line.raw.strip()) for line in self._lines(HOT))

    def _fit(self) -> None:
        status = self._folder.status(HOT)
        if status is not None and (status.st_size > CAP_BYTES or self.damaged_lines):
            self.write(self._lines(HOT))

    def _add(self, name: str, records: Sequence[dict[str, Any]]) -> None:
        journal.append(self._folder, f"{ARCHIVE}/{name}", records)
        descriptor = self._folder.open(f"{ARCHIVE}/{name}", os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _months(self) -> list[str]:
        try:
            names = self._folder.names(ARCHIVE)
        except FileNotFoundError:
            return []
        return [f"{ARCHIVE}/{name}" for name in names if _MONTH.fullmatch(name)]

    def _lines(self, name: str) -> Iterator[Line]:
        try:
            descriptor = self._folder.open(name)
        except FileNotFoundError:
            return
        try:
            rest = b""
            for chunk in read_chunks(descriptor):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (Line(raw, parsed(raw)) for raw in whole)
            if rest:
                yield Line(rest, parsed(rest))
        finally:
            os.close(descriptor)


def divided(lines: Iterable[Line], now: str) -> tuple[list[Line], list[Line], list[Line]]:
    """Return which lines stay hot, which go to the archive, and which are no entries.

    First go those that no longer hold, then the oldest that are not pinned, and pinned ones only where nothing else
    is left.
    """
    given = [line for line in lines if line.raw.strip()]
    damaged = [line for line in given if line.entry is None]
    entries = _newest({}, given)
    size = sum(len(line.raw) + 1 for line in entries)
    going: set[int] = set()
    if size > CAP_BYTES:
        for at in sorted(range(len(entries)), key=lambda at: (_rank(entries[at].entry, now), at)):
            if size <= ROOM_BYTES:
                break
            going.add(at)
            size -= len(entries[at].raw) + 1
    kept = [line for at, line in enumerate(entries) if at not in going]
    return kept, [line for at, line in enumerate(entries) if at in going], damaged


def _newest(seen: dict[str, int], lines: Iterable[Line]) -> list[Line]:
    """Return the lines that hold entries; of two with one id the later stands in the place of the first."""
    found: list[Line] = []
    for line in lines:
        if line.entry is None:
            continue
        if line.entry.id in seen:
            found[seen[line.entry.id]] = line
        else:
            seen[line.entry.id] = len(found)
            found.append(line)
    return found


def _rank(entry: Entry | None, now: str) -> int:
    if entry is None or not entry.holds(now):
        return 0
    return 2 if entry.pinned else 1


def _entries(entries: Iterable[Entry | None]) -> Iterator[Entry]:
    """Return entries in their order, of each id the last."""
    return iter({entry.id: entry for entry in entries if entry is not None}.values())


def _kept_raw(now: str, raw: bytes) -> dict[str, Any]:
    try:
        return {"at": now, "line": raw.decode()}
    except UnicodeDecodeError:
        return {"at": now, "base64": base64.b64encode(raw).decode()}


def _pieces(data: bytes, _: bool) -> Iterator[Piece]:  # noqa: FBT001 - as the index calls it
    at = 0
    for raw in data.split(b"\n"):
        if (entry := parsed(raw)) is not None:
            yield Piece(entry.id, at, len(raw), entry.text, " ".join((entry.kind, *entry.tags)))
        at += len(raw) + 1
