"""The table of what transcripts tell, kept up to date by reading only what was appended since.

A response that several files tell of, as resumed and forked sessions do, is one row of the file that was read first;
the other files are remembered as holding copies, so that it stays when that file goes away.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from agent_studio.cost import places, table
from agent_studio.cost.counting import SIDE_CHAIN, Tokens, identity
from agent_studio.cost.table import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.cost.places import Transcript
    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.cost.responses import Reader, Response
    from agent_studio.cost.table import Table
    from agent_studio.storage.folder import Folder

_TABLES = """
CREATE TABLE file (
  id INTEGER PRIMARY KEY, path TEXT UNIQUE, size INTEGER, mtime_ns INTEGER, inode INTEGER, position INTEGER, mark BLOB,
  last_ms INTEGER, refused INTEGER, damaged INTEGER, torn INTEGER, session TEXT, agent TEXT, is_main INTEGER,
  closing TEXT, is_taken INTEGER DEFAULT 0
);
CREATE TABLE copy (file INTEGER, id BLOB, PRIMARY KEY (file, id)) WITHOUT ROWID;
CREATE INDEX copy_of ON copy (id);
"""
_WINDOW_BYTES = 1 << 20
_LINE_MAX_BYTES = 512 << 20
_MARK_BYTES = 256
_COMMIT_FILES = 200
_PRICES = "prices"
_COLUMNS = (
    "id", "at_ms", "session", "model", "agent", "skill", "project", *COUNTS, "pico_usd", "price", "tier", "speed",
    "region", "message", "request", "origin",
)  # fmt: skip
_INSERT = f"INSERT OR IGNORE INTO usage ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Reading:
    """What one look at the transcripts found."""

    def __init__(self) -> None:
        self.files = 0
        self.changed = 0
        """Files that were new or had grown."""
        self.unreadable: list[str] = []
        self.refused = 0
        """Lines whose figures cannot be: negative, absurd, no whole numbers."""
        self.damaged = 0
        """Lines with usage that are no JSON."""
        self.torn = 0
        """Files that end in the middle of a line."""


@contextmanager
def opened(
    folder: Folder, folders: Sequence[str], project: str | None, *, wait_s: float = table.WAIT_S
) -> Iterator[Table]:  # fmt: skip
    """Open the table of these configuration folders; each choice of them has its own."""
    choice = hashlib.sha256("\0".join((*sorted(folders), project or "")).encode("utf-8", "surrogateescape"))
    with table.opened(folder, f"transcripts-{choice.hexdigest()[:12]}.sqlite3", more=_TABLES, wait_s=wait_s) as found:
        yield found


def update(
    found: Table, transcripts: Iterable[Transcript], prices: PriceTable, *, forget_before_ns: int | None = None
) -> Reading:  # fmt: skip
    """Read what is new in the transcripts and forget those that are gone, or only those not changed since a time."""
    listed = sorted(transcripts, key=lambda item: (item.mtime_ns, item.path))
    return _Update(found, prices, forget_before_ns).run(listed)


class _Update:
    def __init__(self, found: Table, prices: PriceTable, forget_before_ns: int | None) -> None:
        self._table, self._db, self._prices = found, found.db, prices
        self._forget_before_ns = forget_before_ns
        self._forgotten = 0
        self._reading = Reading()
        self._window = bytearray()

    def run(self, transcripts: Sequence[Transcript]) -> Reading:
        known = {row[1]: row for row in self._db.execute("SELECT id, path, size, mtime_ns, inode FROM file")}
        if self._table.note(_PRICES) != self._prices.fingerprint:
            self._reprice()
        enabled = gc.isenabled()
        gc.disable()  # hundreds of thousands of rows, and no cycle among them
        try:
            self._all(transcripts, known)
        finally:
            if enabled:
                gc.enable()
        self._reading.files = len(transcripts)
        if self._reading.changed or self._forgotten:
            self._table.changed()
        sums = "SELECT TOTAL(refused), TOTAL(damaged), TOTAL(torn) FROM file"
        refused, damaged, torn = map(int, self._db.execute(sums).fetchone())
        self._reading.refused, self._reading.damaged, self._reading.torn = refused, damaged, torn
        self._table.commit()
        return self._reading

    def _all(self, transcripts: Sequence[Transcript], known: dict[str, Any]) -> None:
        for item in transcripts:
            row = known.pop(item.path, None)
            if row is None or row[2:] != (item.size, item.mtime_ns, item.inode):
                self._changed(item)
                if self._reading.changed % _COMMIT_FILES == 0:
                    self._table.commit()
        for row in known.values():
            if self._forget_before_ns is None or row[3] < self._forget_before_ns:
                self._forget(row[0])
                self._forgotten += 1

    def _changed(self, item: Transcript) -> None:
        try:
            descriptor = os.open(item.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except OSError:
            self._reading.unreadable.append(item.path)
            return
        try:
            self._reading.changed += 1
            self._read(item, descriptor)
        except OSError:
            self._reading.unreadable.append(item.path)
        finally:
            os.close(descriptor)

    def _read(self, item: Transcript, descriptor: int) -> None:
        from agent_studio.cost.responses import Reader  # noqa: PLC0415 - not where nothing is new

        row = self._db.execute(
            "SELECT id, position, mark, inode, last_ms, refused, damaged, closing, session FROM file WHERE path = ?",
            (item.path,),
        ).fetchone()
        if row is not None and (row[3] != item.inode or row[2] != _mark(descriptor, row[1])):
            self._forget(row[0])
            row = None
        file_id, position, _, _, last_ms, refused, damaged, closing, session = row or (
            self._added(item), 0, None, None,
            item.mtime_ns // 1_000_000, 0, 0, None, "",
        )  # fmt: skip
        reader = Reader(last_ms)
        end, torn = self._windows(descriptor, position, reader)
        session = session or next((found.session for found in reader.responses.values()), "") or _stem(item)
        agent = None
        if item.agent_id:
            agent = places.agent_type(item, session)
        if reader.responses:
            self._store(file_id, item.project, agent, session, reader.responses.values())
        if reader.is_open or reader.closing is not None:
            closing = reader.closing and json.dumps(reader.closing)
        self._db.execute(
            "UPDATE file SET size = ?, mtime_ns = ?, inode = ?, position = ?, mark = ?, last_ms = ?, refused = ?, "
            "damaged = ?, torn = ?, session = ?, agent = ?, is_main = ?, closing = ?, is_taken = 0 WHERE id = ?",
            (item.size, item.mtime_ns, item.inode, end, _mark(descriptor, end), reader.last_ms,
             refused + reader.refused, damaged + reader.damaged, torn, session, agent, item.agent_id is None, closing,
             file_id),
        )  # fmt: skip

    def _windows(self, descriptor: int, position: int, reader: Reader) -> tuple[int, bool]:
        """Read a file from a position on; return where its last whole line ends and whether it ends in half of one.

        A last line that is not ended but whole counts; it is read again when there is more, which changes nothing.
        """
        os.lseek(descriptor, position, os.SEEK_SET)
        left = os.fstat(descriptor).st_size - position
        window = self._window = self._window or bytearray(_WINDOW_BYTES)  # one for all files: new memory costs as much
        rest = 0
        while left > 0 and (count := _read_into(descriptor, window, rest, left)):
            left -= count
            end = rest + count
            cut = window.rfind(b"\n", rest, end) + 1
            if cut:
                reader.read(window, cut)
                position += cut
            rest = end - cut
            if rest == len(window):
                if rest > _LINE_MAX_BYTES:
                    raise OSError("a line too long to be read")
                window = window + bytes(rest)
            elif cut:
                window[:rest] = window[cut:end]
        tail = bytes(window[:rest])
        torn = bool(tail.strip(b" \t\r\n\0"))
        if torn and _is_json(tail):
            reader.read(tail, rest)
            torn = False
        return position, torn

    def _added(self, item: Transcript) -> int:
        return int(self._db.execute("INSERT INTO file (path) VALUES (?)", (item.path,)).lastrowid or 0)

    def _store(
        self, file_id: int, project: str, agent: str | None, session: str, responses: Iterable[Response]
    ) -> None:
        from agent_studio.cost.responses import named  # noqa: PLC0415 - not where nothing is new

        prices = self._prices.cost

        @cache
        def name(text: str | None) -> int | None:
            return self._table.name(text and named(text))

        agent_id, side_id, project_id = name(agent), name(SIDE_CHAIN), name(project)
        rows = []
        for told in responses:
            model, at_ms, message, request = (
                told.model or "unknown",
                told.at_ms,
                named(told.message),
                named(told.request),
            )
            cost = prices(
                model, at_ms * 1_000_000, told.tokens, service_tier=told.tier, speed=told.speed, region=told.region
            )
            pico, price = (None, None) if cost is None else (cost.pico_usd, name(cost.source))
            rows.append((
                identity(message, request), at_ms, name(told.session or session), name(model),
                side_id if agent is None and told.is_side else agent_id,
                name(told.skill), project_id, *told.tokens, pico, price, told.tier, told.speed, told.region, message,
                request, file_id,
            ))  # fmt: skip
        before = self._db.total_changes
        self._db.executemany(_INSERT, rows)
        if self._db.total_changes - before < len(rows):
            for row in rows:
                self._merge(row, file_id)

    def _merge(self, row: tuple[Any, ...], file_id: int) -> None:
        """Bring together what this file says of a response and what is known of it."""
        told = dict(zip(_COLUMNS, row, strict=True))
        cursor = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM usage WHERE id = ?", (row[0],))
        known = dict(zip(_COLUMNS, cursor.fetchone(), strict=True))
        if known["origin"] != file_id:
            self._db.execute("INSERT OR IGNORE INTO copy VALUES (?, ?)", (file_id, row[0]))
        counts = Tokens(*(known[name] for name in COUNTS)).grown(Tokens(*(told[name] for name in COUNTS)))
        grown = {
            "at_ms": min(known["at_ms"], told["at_ms"]), **dict(zip(COUNTS, counts, strict=True)),
            **{name: told[name] or known[name] for name in ("skill", "tier", "speed", "region")},
        }  # fmt: skip
        if grown != {name: known[name] for name in grown}:
            changes = ", ".join(f"{name} = ?" for name in grown)
            self._db.execute(f"UPDATE usage SET {changes} WHERE id = ?", (*grown.values(), row[0]))
            self._price("id = ?", row[0])

    def _reprice(self) -> None:
        self._price("1")
        self._table.changed()
        self._table.put_note(_PRICES, self._prices.fingerprint)

    def _price(self, where: str, *values: Any) -> None:
        texts = self._table.texts()
        rows = self._db.execute(
            "SELECT id, model, at_ms, input, output, cache_read, cache_write5m, cache_write1h, web_searches, tier, "
            f"speed, region FROM usage WHERE {where}",
            values,
        ).fetchall()
        priced = []
        for unique, model, at_ms, *rest in rows:
            tier, speed, region = rest[6:]
            cost = self._prices.cost(
                texts[model] or "", at_ms * 1_000_000, Tokens(*rest[:6]), service_tier=tier, speed=speed, region=region
            )
            pico, price = (None, None) if cost is None else (cost.pico_usd, self._table.name(cost.source))
            priced.append((pico, price, unique))
        self._db.executemany("UPDATE usage SET pico_usd = ?, price = ? WHERE id = ?", priced)

    def _forget(self, file_id: int) -> None:
        """Drop a file, and the responses that only it told of."""
        self._db.execute("DELETE FROM copy WHERE file = ?", (file_id,))
        self._db.execute(
            "UPDATE usage SET origin = (SELECT MIN(file) FROM copy WHERE copy.id = usage.id) "
            "WHERE origin = ? AND id IN (SELECT id FROM copy)",
            (file_id,),
        )
        self._db.execute(
            "DELETE FROM copy WHERE EXISTS (SELECT 1 FROM usage WHERE id = copy.id AND origin = copy.file)"
        )
        self._db.execute("DELETE FROM usage WHERE origin = ?", (file_id,))
        self._db.execute("DELETE FROM file WHERE id = ?", (file_id,))


def _stem(item: Transcript) -> str:
    return os.path.basename(item.path).removesuffix(".jsonl")  # noqa: PTH119 - it stays text


def _read_into(descriptor: int, window: bytearray, start: int, most: int) -> int:
    """Read into a window from a place on, at most so many bytes; return how many."""
    with memoryview(window) as view, view[start : start + most] as free:
        return io.FileIO(descriptor, closefd=False).readinto(free) or 0


def _mark(descriptor: int, position: int) -> bytes:
    """Return what tells whether a file still holds, up to a position, what it held."""
    start = max(position - _MARK_BYTES, 0)
    os.lseek(descriptor, start, os.SEEK_SET)
    return hashlib.sha256(os.read(descriptor, position - start)).digest()[:16]


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
