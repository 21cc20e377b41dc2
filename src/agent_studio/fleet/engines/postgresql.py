"""PostgreSQL as the engine of a fleet."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from datetime import date
from typing import TYPE_CHECKING, Any

from agent_studio.environment.shared_records import Fetched
from agent_studio.fleet.engines import Engine, RefusedError, versions
from agent_studio.fleet.engines.postgresql_connection import connected, library, version
from agent_studio.fleet.engines.postgresql_schema import columns, mark, migrations, typed
from agent_studio.fleet.engines.postgresql_store import DAY_MS, one, parts, store
from agent_studio.fleet.tables import SCHEMA, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from psycopg import Connection

    from agent_studio.fleet.address import Address
    from agent_studio.fleet.batch import Batch, Row
    from agent_studio.fleet.engines import Store

_DAYS_MOST = 100_000
"""Days from 1970 that are worth asking for a partition."""
_EPOCH = date(1970, 1, 1).toordinal()
_TODAY = "SELECT floor(extract(epoch FROM clock_timestamp()) / 86400)::integer"


class PostgreSQL(Engine):
    """A connection to PostgreSQL."""

    dialect = "postgresql"

    def __init__(self, address: Address, project: str) -> None:
        """Take where it is and which project is asked for; connect to nothing yet."""
        super().__init__(address, project)
        self._days: set[tuple[str, int]] = set()
        self._incoming: set[str] = set()

    def interrupt(self) -> None:
        """Cut the connection from another thread, so that whoever waits for an answer waits no longer."""
        db = self._open
        if db is not None and not db.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(db.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """Give the connection, for statements each committed by itself; raise faults as ours."""
        psycopg = library()
        from agent_studio.fleet.engines.postgresql_faults import fault  # noqa: PLC0415 - as psycopg

        try:
            if self._open is None or self._open.closed:
                self._days, self._incoming = set(), set()
                self._open = connected(self.address)
            yield self._open
        except psycopg.Error as error:
            raise fault(error, self.address.shown) from error
        except UnicodeEncodeError as error:
            raise RefusedError(f"{self.address.shown} refuses a text that is no Unicode") from error

    def init(self, retention_days: int, *, dry_run: bool = False) -> list[str]:
        """Create or migrate the schema, all or nothing; return what was done, or would be."""
        with self.connection() as db:
            with db.transaction(force_rollback=dry_run):
                db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{SCHEMA}: init",))
                done = _migrated(db, retention_days)
            if not dry_run:
                today = one(db, _TODAY)
                self._ensure_days(db, {(table, today + ahead) for table in TABLES for ahead in (0, 1)})
        return done

    def require(self) -> None:
        """Raise `SchemaError` unless the schema is of this version."""
        with self.connection() as db:
            versions.require(version(db))

    def insert(self, batch: Batch) -> int:
        """Keep the rows that are not there yet, all or none; return how many these were.

        A table without rows is asked all the same: who may not write there is told so.
        """
        with self.connection() as db:
            self._ensure_days(db, set(_days(batch.rows)))
            self._ensure_incoming(db, batch.rows)
            with db.transaction():
                return sum(self._inserted(db, table, rows) for table, rows in batch.rows.items())

    def fetch(self, statement: str, parameters: Mapping[str, Any]) -> Fetched:
        """Run a statement that reads."""
        with self.connection() as db:
            done = db.execute(statement, parameters)
            return Fetched(tuple(column.name for column in done.description or ()), done.fetchall())

    def store(self) -> Store:
        """Return what is there, by the server's own counts of rows."""
        with self.connection() as db:
            return store(db, version(db), self.project)

    def prune(self, before_ms: int, *, dry_run: bool = False) -> int:
        """Remove what is older, partition by partition; return how many partitions went, or would go."""
        with self.connection() as db:
            gone = [
                (part.table, part.day) for part in parts(db) if part.day is not None and part.day < before_ms // DAY_MS
            ]
            for table, day in () if dry_run else gone:
                place = f"{SCHEMA}.{table}_{date.fromordinal(_EPOCH + day):%Y%m%d}"
                with db.transaction():
                    db.execute(f"LOCK TABLE {SCHEMA}.meta IN SHARE UPDATE EXCLUSIVE MODE")
                    db.execute(f"ALTER TABLE {SCHEMA}.{table} DETACH PARTITION {place}; DROP TABLE {place}")
            for table in () if dry_run else TABLES:
                db.execute(f"DELETE FROM {SCHEMA}.{table}_rest WHERE at_ms < %s", (before_ms,))
            self._days -= set(gone)
        return len(gone)

    def _ensure_days(self, db: Connection[Any], wanted: set[tuple[str, int]]) -> None:
        """See to it that days have partitions; a day that is locked or out of bounds goes into the rest."""
        from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - as psycopg

        for table, day in sorted(wanted - self._days):
            with suppress(LockNotAvailable):
                db.execute(f"SELECT {SCHEMA}.ensure_day(%s, %s)", (table, day))
                self._days.add((table, day))

    def _ensure_incoming(self, db: Connection[Any], tables: Iterable[str]) -> None:
        """See to it that this connection has tables of its own for what arrives."""
        for table in set(tables) - self._incoming:
            db.execute(f"CREATE TEMPORARY TABLE incoming_{table} ({typed(table)}) ON COMMIT DELETE ROWS")
            self._incoming.add(table)

    def _inserted(self, db: Connection[Any], table: str, rows: Sequence[Row]) -> int:
        """Send rows to a table of this connection's own, and from there what is new; return how many were new."""
        listed, incoming = columns(table), f"pg_temp.incoming_{table}"
        with db.cursor() as cursor:
            with cursor.copy(f"COPY {incoming} ({listed}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                f"INSERT INTO {SCHEMA}.{table} ({listed}) SELECT {listed} FROM {incoming} ON CONFLICT DO NOTHING"
            )
            return cursor.rowcount


def _migrated(db: Connection[Any], retention_days: int) -> list[str]:
    """Bring the schema to this version and retention; return what was done."""
    found = version(db)
    versions.refuse_newer(found)
    steps = [*([mark(retention_days)] if found is None else ()), *migrations(found or 0)]
    for step in steps:
        db.execute(step.sql)
    done = [step.does for step in steps]
    changed = db.execute(
        f"UPDATE {SCHEMA}.meta SET retention_days = %(days)s WHERE retention_days <> %(days)s", {"days": retention_days}
    )
    if changed.rowcount:
        done.append(f"keep records for {retention_days} days")
    return done


def _days(rows: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, int]]:
    """Yield the days that rows are of, as far as they can be told; what cannot is refused when it is inserted."""
    for table, found in rows.items():
        place = list(TABLES[table]).index("at_ms")
        for day in {row[place] // DAY_MS for row in found if isinstance(row[place], int)}:
            if abs(day) < _DAYS_MOST:
                yield table, day
