"""What ingest remembers between runs, in one SQLite file: every batch is one transaction of it.

It holds cursors, what is open (sessions, agents) and what was counted once and must not be again. All of it can be
rebuilt from the journals but what is open; losing it loses no event.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agent_studio.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder

FILE = "ingest.sqlite3"
_VERSION = 1
_TABLES = """
CREATE TABLE segment (name TEXT PRIMARY KEY, position INTEGER, generation INTEGER, mark TEXT) WITHOUT ROWID;
CREATE TABLE output (place TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE session (id TEXT PRIMARY KEY, open INTEGER, due INTEGER, started INTEGER, doc TEXT) WITHOUT ROWID;
CREATE INDEX session_work ON session (id) WHERE open OR due;
CREATE TABLE agent (session TEXT, id TEXT, open INTEGER, doc TEXT, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE TABLE transcript (path TEXT PRIMARY KEY, session TEXT, doc TEXT) WITHOUT ROWID;
CREATE TABLE waiting (id BLOB PRIMARY KEY, doc TEXT) WITHOUT ROWID;
CREATE TABLE note (name TEXT PRIMARY KEY, doc TEXT) WITHOUT ROWID;
"""


class State:
    """An open state file; nothing is kept before `commit`."""

    def __init__(self, connection: sqlite3.Connection, *, fresh: bool) -> None:
        self._db = connection
        self.fresh = fresh
        """Whether there was no state: what was counted before has to be learnt from the journals."""

    def commit(self, *, durable: bool = False) -> None:
        """Keep all that was put since the last commit, at once; `durable`: even if the power fails after that."""
        self._db.execute("COMMIT")
        if durable:
            self._db.execute("PRAGMA wal_checkpoint(FULL)")
        self._db.execute("BEGIN IMMEDIATE")

    def segment(self, name: str) -> tuple[int, int, str] | None:
        """Return offset, generation and check of a segment."""
        row: tuple[int, int, str] | None = self._row(
            "SELECT position, generation, mark FROM segment WHERE name = ?", name
        )
        return row

    def put_segment(self, name: str, offset: int, generation: int, check: str) -> None:
        """Remember up to where a segment was taken."""
        self._db.execute("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)", (name, offset, generation, check))

    def outputs(self) -> dict[str, int]:
        """Return how large each journal was at the last commit, by its path in the project."""
        return dict(self._db.execute("SELECT place, size FROM output"))

    def put_output(self, place: str, size: int) -> None:
        """Remember a journal's size."""
        self._db.execute(
            "INSERT INTO output VALUES (?, ?) ON CONFLICT (place) DO UPDATE SET size = excluded.size "
            "WHERE size IS NOT excluded.size",
            (place, size),
        )

    def has_seen(self, event_id: str) -> bool:
        """Tell whether something was counted before."""
        return self._row("SELECT 1 FROM seen WHERE id = ?", bytes.fromhex(event_id)) is not None

    def see(self, event_id: str) -> bool:
        """Remember that something was counted; return whether it is the first time."""
        done = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (bytes.fromhex(event_id),))
        return done.rowcount > 0

    def session(self, session_id: str) -> dict[str, Any] | None:
        """Return what is known about a session."""
        doc: dict[str, Any] | None = self._doc("SELECT doc FROM session WHERE id = ?", session_id)
        return doc

    def put_session(self, session_id: str, doc: dict[str, Any], *, is_open: bool, due: bool) -> None:
        """Remember a session; `due` when its transcript has to be looked at."""
        row = (session_id, is_open, due, doc.get("started_ns") or 0, json.dumps(doc))
        self._db.execute(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET open = excluded.open, "
            "due = excluded.due, started = excluded.started, doc = excluded.doc "
            "WHERE (open, due, doc) IS NOT (excluded.open, excluded.due, excluded.doc)",
            row,
        )

    def sessions_at_work(self) -> list[str]:
        """Return the sessions that are open or due, oldest first: one that was forked off comes after its original."""
        return [row[0] for row in self._db.execute("SELECT id FROM session WHERE open OR due ORDER BY started, id")]

    def sessions_due(self) -> list[str]:
        """Return the sessions whose transcript has to be looked at."""
        return [row[0] for row in self._db.execute("SELECT id FROM session WHERE (open OR due) AND due")]

    def agent(self, session_id: str, agent_id: str) -> dict[str, Any] | None:
        """Return what is known about an agent of a session."""
        doc: dict[str, Any] | None = self._doc(
            "SELECT doc FROM agent WHERE session = ? AND id = ?", session_id, agent_id
        )
        return doc

    def put_agent(self, session_id: str, agent_id: str, doc: dict[str, Any], *, is_open: bool) -> None:
        """Remember an agent."""
        row = (session_id, agent_id, is_open, json.dumps(doc))
        self._db.execute("INSERT OR REPLACE INTO agent VALUES (?, ?, ?, ?)", row)

    def open_agents(self, session_id: str) -> list[dict[str, Any]]:
        """Return the agents of a session that have no record yet."""
        rows = self._db.execute("SELECT doc FROM agent WHERE session = ? AND open ORDER BY id", (session_id,))
        return [json.loads(row[0]) for row in rows]

    def transcript(self, path: str) -> dict[str, Any] | None:
        """Return the cursor of a transcript and what was open at it."""
        doc: dict[str, Any] | None = self._doc("SELECT doc FROM transcript WHERE path = ?", path)
        return doc

    def put_transcript(self, path: str, session_id: str, doc: dict[str, Any]) -> None:
        """Remember a transcript's cursor."""
        self._db.execute(
            "INSERT INTO transcript VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET session = excluded.session, "
            "doc = excluded.doc WHERE doc IS NOT excluded.doc",
            (path, session_id, json.dumps(doc)),
        )

    def wait(self, event_id: str, doc: dict[str, Any]) -> None:
        """Keep something until more is known about its session."""
        self._db.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?)", (bytes.fromhex(event_id), json.dumps(doc)))

    def waiting(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield all that waits, with its id; what is yielded may be dropped."""
        last = b""
        while rows := self._db.execute(
            "SELECT id, doc FROM waiting WHERE id > ? ORDER BY id LIMIT 500", (last,)
        ).fetchall():
            for unique, doc in rows:
                yield unique.hex(), json.loads(doc)
            last = rows[-1][0]

    def forget_waiting(self, event_id: str) -> None:
        """Drop what waited."""
        self._db.execute("DELETE FROM waiting WHERE id = ?", (bytes.fromhex(event_id),))

    def note(self, name: str) -> Any:
        """Return a small thing kept under a name, or None."""
        return self._doc("SELECT doc FROM note WHERE name = ?", name)

    def put_note(self, name: str, value: Any) -> None:
        """Keep a small thing under a name."""
        self._db.execute(
            "INSERT INTO note VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc "
            "WHERE doc IS NOT excluded.doc",
            (name, json.dumps(value)),
        )

    def _row(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()

    def _doc(self, query: str, *values: Any) -> Any:
        row = self._row(query, *values)
        return None if row is None else json.loads(row[0])


@contextmanager
def opened(folder: Folder) -> Iterator[State]:
    """Open the state; one that is damaged is moved aside and begun anew. What is not committed is taken back."""
    folder.make()
    place = folder.path / FILE
    connection = None
    try:
        os.close(folder.open(FILE, os.O_RDWR | os.O_CREAT))
        try:
            connection, fresh = _connect(folder)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _put_aside(folder)
            os.close(folder.open(FILE, os.O_RDWR | os.O_CREAT))
            connection, fresh = _connect(folder)
        yield State(connection, fresh=fresh)
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot use {place}: {error}",
            hint=f"free space or mend the permissions; {FILE} can be removed, its contents are rebuilt",
        ) from error
    finally:
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.rollback()
            connection.close()


def _connect(folder: Folder) -> tuple[sqlite3.Connection, bool]:
    connection = sqlite3.connect(folder.path / FILE, isolation_level=None, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        _refuse_newer(version, folder)
        if version < _VERSION:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")  # kept with what is learnt, or not at all
    except BaseException:
        connection.close()
        raise
    return connection, version < _VERSION


def _refuse_newer(version: int, folder: Folder) -> None:
    if version > _VERSION:
        raise StorageError(f"{folder.path / FILE} is of a newer version", hint="update agent-studio")


def _put_aside(folder: Folder) -> None:
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        with suppress(FileNotFoundError):
            folder.move(name, folder, f"{name}.damaged")
