"""ClickHouse as the engine of a fleet: a server, a cluster, or in process (chDB), by the same client and code."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent_studio.environment.shared_records import Fetched
from agent_studio.fleet.engines import Engine, RefusedError, SchemaError, Store, versions
from agent_studio.fleet.engines.clickhouse_connection import client, faults_as_ours
from agent_studio.fleet.engines.clickhouse_schema import FIRST_MS, MADE_BY, mark, migrations, on_cluster, written_types
from agent_studio.fleet.tables import SCHEMA, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.fleet.batch import Batch, Row

_MARKED_BY = ("version", "made_by")
WAITED_FOR = {"mutations_sync": 2, "alter_sync": 2}
"""What removes rows returns when they are gone, on every replica."""


class ClickHouse(Engine):
    """A connection to ClickHouse."""

    dialect = "clickhouse"

    @property
    def cluster(self) -> str:
        """The cluster that statements are run on, empty for one server."""
        return self.address.options.get("cluster", "")

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Give the client; raise faults as ours."""
        with faults_as_ours(self.address.shown):
            if self._open is None:
                self._open = client(self.address)
            yield self._open

    def init(self, retention_days: int, *, dry_run: bool = False) -> list[str]:  # noqa: ARG002 - kept by who prunes
        """Create or migrate the schema, each statement harmless twice; return what was done, or would be."""
        with self.connection() as db:
            version = self._version(db)
            versions.refuse_newer(version)
            steps = [*([mark(self.cluster)] if version is None else ()), *migrations(version or 0, self.cluster)]
            for step in () if dry_run else steps:
                for statement in step.statements:
                    db.command(statement)
        return [step.does for step in steps]

    def require(self) -> None:
        """Raise `SchemaError` unless the schema is of this version."""
        with self.connection() as db:
            versions.require(self._version(db))

    def insert(self, batch: Batch) -> int:
        """Keep the rows, each table's whole or not at all; return -1: of rows that are there already nothing is said.

        A run that was cut short is repeated with the same rows, and what was kept by the first is kept once.
        """
        for table, rows in batch.rows.items():
            _refuse_no_flags(table, rows, self.address.shown)
        with self.connection() as db:
            for table, rows in batch.rows.items():
                if rows:
                    self._insert(db, table, rows)
        return -1

    def fetch(self, statement: str, parameters: Mapping[str, Any]) -> Fetched:
        """Run a statement that reads."""
        with self.connection() as db:
            done = db.query(statement, parameters=dict(parameters))
            return Fetched(tuple(done.column_names), [tuple(row) for row in done.result_rows])

    def store(self) -> Store:
        """Return what is there; copies of a row that are not merged yet are counted."""
        with self.connection() as db:
            version, name = self._version(db), f"ClickHouse {db.server_version}"
            if not version:
                return Store(name, version, {}, 0, None, None)
            found = db.query(
                f"SELECT name, total_rows, total_bytes FROM system.tables WHERE database = '{SCHEMA}' "
                "AND name != 'meta'"
            ).result_rows
            rows = {table: int(count or 0) for table, count, _ in found}
            edges = [self._edges(db, table) for table, count in rows.items() if count]
            oldest = min((edge[0] for edge in edges if edge), default=None)
            newest = max((edge[1] for edge in edges if edge), default=None)
            return Store(name, version, rows, sum(int(size or 0) for *_, size in found), oldest, newest)

    def prune(self, before_ms: int, *, dry_run: bool = False) -> int:
        """Remove what is older, partition by partition; return how many partitions went, or would go."""
        before = int(datetime.fromtimestamp(before_ms / 1000, UTC).strftime("%Y%m%d"))
        on = on_cluster(self.cluster)
        with self.connection() as db:
            found = db.query(
                f"SELECT DISTINCT table, toUInt32(partition_id) AS day FROM system.parts WHERE database = '{SCHEMA}' "
                f"AND active AND table != 'meta' AND day < {before} ORDER BY table, day"
            ).result_rows
            for table, day in () if dry_run else found:
                if day:
                    db.command(f"ALTER TABLE {SCHEMA}.{table}{on} DROP PARTITION ID '{day}'", settings=WAITED_FOR)
                else:
                    db.command(
                        f"ALTER TABLE {SCHEMA}.{table}{on} DELETE IN PARTITION ID '0' WHERE at_ms < {int(before_ms)}",
                        settings=WAITED_FOR,
                    )
        return sum(1 for _, day in found if day)

    def _version(self, db: Any) -> int | None:
        """Return the schema's version, None where there is none; raise `SchemaError` for one that has not our mark."""
        found = db.query(f"SELECT name FROM system.tables WHERE database = '{SCHEMA}'").result_rows
        if not found:
            return None
        mine = db.query(
            f"SELECT count() FROM system.columns WHERE database = '{SCHEMA}' AND table = 'meta' "
            "AND name IN ('version', 'made_by')"
        ).result_rows[0][0]
        marks = db.query(f"SELECT version, made_by FROM {SCHEMA}.meta").result_rows if mine == len(_MARKED_BY) else ()
        if not marks and [name for (name,) in found] == ["meta"] and mine == len(_MARKED_BY):
            return None
        if not marks or any(made_by != MADE_BY for _, made_by in marks):
            raise SchemaError(
                f"{self.address.shown} has a database {SCHEMA} that is not ours", hint="name another server"
            )
        return max(int(version) for version, _ in marks)

    def _insert(self, db: Any, table: str, rows: Sequence[Row]) -> None:
        try:
            db.insert(
                table, rows, column_names=list(TABLES[table]), database=SCHEMA,
                column_type_names=written_types(table),
                settings={"max_partitions_per_insert_block": 0, "async_insert": 0},
            )  # fmt: skip
        except (ValueError, TypeError, AttributeError, OverflowError) as error:  # a value that is none of its column
            raise RefusedError(f"{self.address.shown} refuses a row of {table}: {type(error).__name__}") from error

    def _edges(self, db: Any, table: str) -> tuple[int, int] | None:
        """Return the first and last moment of a table, None where we may see none."""
        where = f"WHERE at_ms >= {FIRST_MS}" + (" AND project = {project:String}" if self.project else "")
        bound = {"project": self.project} if self.project else {}
        found = db.query(f"SELECT count(), min(at_ms), max(at_ms) FROM {SCHEMA}.{table} {where}", parameters=bound)
        count, oldest, newest = found.result_rows[0]
        return (oldest, newest) if count else None


def _refuse_no_flags(table: str, rows: Sequence[Row], where: str) -> None:
    """Raise `RefusedError` for a flag that is none: the client would write a false for a null."""
    flags = [place for place, form in enumerate(TABLES[table].values()) if form == "flag"]
    if any(not isinstance(row[place], bool) for row in rows for place in flags):
        raise RefusedError(f"{where} refuses a row of {table}: neither true nor false")
