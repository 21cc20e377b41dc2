"""The table that reports, budgets and imports ask: one row a response, whatever told of it, in an SQLite file.

It is derived, from the ledger or from transcripts: a file that is damaged or of another version is begun anew.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agent_studio.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from agent_studio.storage.folder import Folder

NAMES = ("session", "model", "agent", "skill", "project", "environment", "provider", "source")
"""Columns that hold a name; null is a name that is not known."""
COUNTS = ("input", "output", "cache_read", "cache_write5m", "cache_write1h", "web_searches")
MARKS = ",".join("?" * (2 + len(NAMES) + len(COUNTS) + 9))
"""For a whole row of usage."""
QUARTER_MS = 900_000
"""Every time zone of today is a whole number of quarters of an hour away from UTC."""
WAIT_S = 30.0
"""How long to wait for another process that has the table."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_VERSION = 5
_HELD: dict[Path, threading.Lock] = {}
_LOOKING = threading.Lock()
_NEVER_MS = QUARTER_MS << 32
_ROLLED = "rolled"
_ROLLED_BY = ("model", "agent", "skill", "project", "environment")
_USED = "input + output + cache_read + cache_write5m + cache_write1h"
_USAGE_SUMS = ", ".join((
    "COUNT(*)", *(f"SUM({count})" for count in COUNTS), "SUM(pico_usd / 1000000000000)",
    "SUM(pico_usd % 1000000000000)", f"SUM(CASE WHEN pico_usd IS NULL THEN {_USED} ELSE 0 END)",
))  # fmt: skip
_ROLLED_SUMS = ("responses", *COUNTS, "usd", "pico", "unpriced")
_ROLLUP_SUMS = ", ".join(f"SUM({name})" for name in _ROLLED_SUMS)
_TABLES = f"""
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE usage (
  id BLOB PRIMARY KEY, at_ms INTEGER, {", ".join(f"{name} INTEGER" for name in (*NAMES, *COUNTS))},
  pico_usd INTEGER, price INTEGER, tier TEXT, speed TEXT, region TEXT, message TEXT, request TEXT, task TEXT,
  origin INTEGER
) WITHOUT ROWID;
CREATE TABLE rollup (
  quarter INTEGER, {", ".join(f"{name} INTEGER" for name in (*_ROLLED_BY, *_ROLLED_SUMS))}
);
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


class DamagedTableError(StorageError):
    """A table was damaged and has been removed: what was asked of it can be asked again."""


class _OtherVersionError(sqlite3.DatabaseError):
    """A table of another version of the product."""


class Table:
    """An open table; what is changed is kept by `commit`, or not at all."""

    own_sums = _USAGE_SUMS
    """How the rows of `usage` add up."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.db = connection
        self._ids: dict[str, int] = {}

    def commit(self) -> None:
        """Keep all changes since the last commit, at once."""
        self.db.execute("COMMIT")
        self.db.execute("BEGIN IMMEDIATE")

    def name(self, text: str | None) -> int | None:
        """Return the number that stands for a name; null stays null."""
        if text is None:
            return None
        known = self._ids.get(text)
        if known is None:
            found = self.db.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
            known = found[0] if found else self.db.execute("INSERT INTO name (text) VALUES (?)", (text,)).lastrowid
            self._ids[text] = int(known or 0)
        return self._ids[text]

    def texts(self) -> dict[int | None, str | None]:
        """Return every name by its number."""
        return {None: None, **dict(self.db.execute("SELECT id, text FROM name"))}

    def note(self, name: str) -> str | None:
        """Return a small text kept under a name."""
        row = self.db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put_note(self, name: str, value: str) -> None:
        """Keep a small text under a name."""
        self.db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))

    def changed(self) -> None:
        """Say that rows of usage have changed: what was rolled up is no longer so."""
        if self.note(_ROLLED):
            self.db.execute("DELETE FROM rollup")
            self.put_note(_ROLLED, "")

    def roll_up(self) -> None:
        """Keep the sums by what most reports ask for, far fewer than responses, until something changes."""
        if not self.note(_ROLLED):
            self.db.execute(
                f"INSERT INTO rollup SELECT at_ms / {QUARTER_MS}, {', '.join(_ROLLED_BY)}, {_USAGE_SUMS} FROM usage "
                f"GROUP BY {', '.join(map(str, range(1, len(_ROLLED_BY) + 2)))}"
            )
            self.put_note(_ROLLED, "yes")
            self.commit()

    def sums(
        self, columns: Iterable[str], *, since_ms: int | None = None, until_ms: int | None = None,
        where: Mapping[str, Any] | None = None, periods: Mapping[str, Callable[[int], str]] | None = None,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        """Yield sums of responses that agree in all `columns`.

        A row holds the columns, then the number of responses, the counts, whole and rest of the cost (USD and pico-USD,
        so that no sum overflows), and the tokens without a price. A column is one of `NAMES`, `quarter`, or a name of
        `periods`, which give the period that a quarter of an hour is in.
        """
        columns, since, until = list(columns), since_ms or 0, until_ms or _NEVER_MS
        periods = periods or {}
        for period, label in periods.items():
            self.db.create_function(f"period_{period}", 1, label, deterministic=True)
        enough = {*columns, *(where or ())} <= {"quarter", *periods, *_ROLLED_BY} and not (
            since % QUARTER_MS or until % QUARTER_MS
        )
        if enough and self.note(_ROLLED):
            table, quarter, sums, values = "rollup", "quarter", _ROLLUP_SUMS, [since // QUARTER_MS, until // QUARTER_MS]
            terms = ["quarter >= ?", "quarter < ?"]
        else:
            table, quarter, sums, values = "usage", f"at_ms / {QUARTER_MS}", self.own_sums, [since, until]
            terms = ["at_ms >= ?", "at_ms < ?"]
        for name, wanted in (where or {}).items():
            terms.append(f"{name} IS (SELECT id FROM name WHERE text IS ?)")
            values.append(wanted)
        made = {"quarter": quarter, **{period: f"period_{period}({quarter})" for period in periods}}
        keys = [made.get(column, column) for column in columns]
        group = f" GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))}" if keys else ""
        return self.db.execute(
            f"SELECT {', '.join((*keys, sums))} FROM {table} WHERE {' AND '.join(terms)}{group}",
            values,
        )


@contextmanager
def opened(
    folder: Folder, file: str, *, more: str = "", wait_s: float = WAIT_S, begin: Callable[[Table], None] | None = None
) -> Iterator[Table]:
    """Open a table, alone, after at most `wait_s`; `more` are further tables of its owner, `begin` what is done first.

    What is not committed is taken back. A table that is damaged, as opening it or `begin` shows, is begun anew. Raises
    `DamagedTableError` when it proves to be so later: it has been removed, and the next one to open it begins anew.
    Raises `StorageError` when it cannot be used.
    """
    folder.make()
    with _alone_here(folder, file, wait_s), _faults(folder, file):
        connection = _begun(folder, file, _TABLES + more, wait_s, begin)
        try:
            yield Table(connection)
        finally:
            _close(connection)


@contextmanager
def _alone_here(folder: Folder, file: str, wait_s: float) -> Iterator[None]:
    """Let one thread of this process at a time have a table.

    Opening a file and closing it again drops all locks that its process has on it (POSIX): then another process would
    write into a table that one of our threads is changing.
    """
    with _LOOKING:
        held = _HELD.setdefault(folder.path / file, threading.Lock())
    if not held.acquire(timeout=wait_s):
        raise _unusable(folder, file, "another thread has it")
    try:
        yield
    finally:
        held.release()


@contextmanager
def _faults(folder: Folder, file: str) -> Iterator[None]:
    """Remove a table that is damaged; tell what is wrong as the user can mend it."""
    try:
        yield
    except sqlite3.Error as error:
        if not _is_damage(error):
            raise _unusable(folder, file, str(error)) from error
        _remove(folder, file)
        raise DamagedTableError(
            f"{folder.path / file} was damaged and has been removed", hint="run the command again: it is rebuilt"
        ) from error


def _unusable(folder: Folder, file: str, reason: str) -> StorageError:
    return StorageError(
        f"cannot use {folder.path / file}: {reason}",
        hint=f"free space or mend the permissions; {file} can be removed, its contents are rebuilt",
    )


def _begun(
    folder: Folder, file: str, tables: str, wait_s: float, begin: Callable[[Table], None] | None
) -> sqlite3.Connection:
    for is_last in (False, True):
        connection = None
        try:
            connection = _connected(folder, file, tables, wait_s)
            if begin is not None:
                begin(Table(connection))
        except BaseException as error:
            _close(connection)
            if is_last or not isinstance(error, sqlite3.Error) or not _is_damage(error):
                raise
            _remove(folder, file)
        else:
            return connection
    raise AssertionError  # the last time has returned or raised


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.rollback()
        connection.close()


def _is_damage(error: sqlite3.Error) -> bool:
    """Tell whether a table has to be begun anew; extended codes of SQLite carry the code in their lowest byte."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or isinstance(error, _OtherVersionError) or str(error).startswith("no such table")


def _connected(folder: Folder, file: str, tables: str, wait_s: float) -> sqlite3.Connection:
    os.close(folder.open(file, os.O_RDWR | os.O_CREAT))
    connection = sqlite3.connect(folder.path / file, isolation_level=None, timeout=wait_s)
    try:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = OFF")  # what a power failure damages is rebuilt
        connection.execute("PRAGMA cache_size = -64000")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        _require_version(version)
        if not version:
            for statement in tables.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_version(found: int) -> None:
    """Refuse a table of another version, and so have it begun anew; 0 is a new one."""
    if found not in {0, _VERSION}:
        raise _OtherVersionError("of another version")


def _remove(folder: Folder, file: str) -> None:
    for name in (file, f"{file}-journal"):
        with suppress(FileNotFoundError):
            folder.remove(name)
