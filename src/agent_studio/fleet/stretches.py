"""A journal's file as stretches of rows, each as much as is sent at once, with the cursor's entry behind it.

Damage has the time of the record before it; at the start of a file that of the first one after it, for which it waits
while the file grows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.fleet.journals import anchor, lines
from agent_studio.monitor.blocks import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.fleet.batch import Row
    from agent_studio.fleet.cursor import Entry
    from agent_studio.fleet.journals import Line, Piece
    from agent_studio.fleet.rows import Rows

BATCH_BYTES = 4 << 20
"""Of lines in one batch."""
_WAITING_MOST = 10_000
_DAMAGE = "damage"


class Stretch(NamedTuple):
    """Rows on their way, and how far the file was shipped once they have arrived."""

    rows: dict[str, list[Row]]
    """By table."""
    entry: Entry
    records: int
    bytes: int

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))


class _Growing:
    """A stretch while it is filled."""

    def __init__(self, piece: Piece, rows: Rows) -> None:
        self.entry = piece.entry
        self._kind, self._rows = rows.kind, rows
        self._begun = piece.entry.offset
        self._held: dict[str, list[Row]] = {}
        self._waiting: list[tuple[bytes, bytes]] = []
        self.records = 0

    def add(self, line: Line) -> None:
        """Take in a line."""
        place = f"{self.entry.head}:{line.start}:".encode()
        found = self._rows.row(line.data, place)
        if found is not None:
            row, at_ms = found
            self.settle(at_ms)
            self._held.setdefault(self._kind, []).append(row)
            self.entry = self.entry._replace(last_ms=at_ms)
        else:
            self._waiting.append((hashlib.sha256(line.data).digest(), place))
            if self.entry.last_ms is not None or len(self._waiting) > _WAITING_MOST:
                self.settle(self.entry.last_ms or 0)
        self.records += 1
        if not self._waiting:
            self.entry = self.entry._replace(offset=line.end, anchor=anchor(line))

    def settle(self, at_ms: int) -> None:
        """Give damage that waits its time."""
        for digest, place in self._waiting:
            self._held.setdefault(_DAMAGE, []).extend(self._rows.damage(digest, place, at_ms))
        self._waiting.clear()

    def close(self, size: int, *, is_rotten: bool) -> None:
        """Take the file as shipped to its end."""
        if is_rotten:
            self._waiting.append((b"", f"{self.entry.head}:rotten:".encode()))
        self.settle(self.entry.last_ms or 0)
        self.entry = self.entry._replace(offset=size)

    def is_full(self, records_most: int) -> bool:
        """Tell whether it is time to send."""
        return self.records >= records_most or self.entry.offset - self._begun >= BATCH_BYTES

    def taken(self) -> Stretch:
        """Return what was gathered, and begin anew behind it."""
        done = Stretch(self._held, self.entry, self.records - len(self._waiting), self.entry.offset - self._begun)
        self._held, self._begun, self.records = {}, self.entry.offset, len(self._waiting)
        return done


def stretches(piece: Piece, rows: Rows, records_most: int) -> Iterator[Stretch]:
    """Yield what is left of a file; raise `FileNotFoundError` when it was moved before it was opened."""
    growing, is_rotten = _Growing(piece, rows), False
    try:
        for line in lines(piece):
            growing.add(line)
            if growing.is_full(records_most) and growing.entry != piece.entry:
                yield growing.taken()
    except DamagedFileError:
        is_rotten = True
    if not piece.segment.is_live:
        growing.close(piece.entry.size, is_rotten=is_rotten)
    if growing.entry != piece.entry:
        yield growing.taken()
