"""What PostgreSQL holds, told without reading it: partitions, rows, bytes, the first and last moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.detect import Environment
from agent_studio.fleet.engines import Store
from agent_studio.fleet.tables import SCHEMA, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Connection

DAY_MS = 86_400_000
_COUNTED_BYTES = 64 << 20
"""Tables up to this size are counted; of larger ones the server's own estimate is told."""
_PARTS = f"""SELECT main.relname, nullif(substring(part.relname FROM '_([0-9]{{8}})$'), '')::date - date '1970-01-01',
  greatest(pg_stat_get_live_tuples(part.oid), part.reltuples::bigint, 0), pg_total_relation_size(part.oid),
  pg_relation_size(part.oid) = 0
FROM pg_inherits JOIN pg_class AS main ON main.oid = inhparent JOIN pg_class AS part ON part.oid = inhrelid
WHERE main.relnamespace = to_regnamespace('{SCHEMA}') AND main.relkind = 'p'"""


class Part(NamedTuple):
    """One partition of a table."""

    table: str
    day: int | None
    """Since 1970; None for what is of no day with a partition of its own."""
    rows: int
    """As the server has counted them by the way."""
    bytes: int
    is_empty: bool


def parts(db: Connection[Any]) -> list[Part]:
    """Return the partitions of all tables."""
    return [Part(*row) for row in db.execute(_PARTS)]


def store(db: Connection[Any], version: int | None, project: str) -> Store:
    """Return what is there; the first and last moment are of the project that is asked for, where one is."""
    name = f"PostgreSQL {one(db, 'SHOW server_version').split()[0]}"
    if not version:
        return Store(name, version, {}, 0, None, None)
    found = parts(db)
    may_read = one(db, "SELECT has_column_privilege(%s, 'at_ms', 'SELECT')", (f"{SCHEMA}.hooks",))
    rows = {table: _rows(db, table, [part for part in found if part.table == table], may_read) for table in TABLES}
    days = sorted({part.day for part in found if part.day is not None and not part.is_empty}) if may_read else []
    oldest, newest = _edge(db, days, "min", project), _edge(db, days[::-1], "max", project)
    return Store(name, version, rows, sum(part.bytes for part in found), oldest, newest)


def _rows(db: Connection[Any], table: str, found: Sequence[Part], may_read: bool) -> int:  # noqa: FBT001 - of this module
    if may_read and sum(part.bytes for part in found) <= _COUNTED_BYTES:
        counted: int = one(db, f"SELECT count(*) FROM {SCHEMA}.{table}")
        return counted
    return sum(part.rows for part in found)


def _edge(db: Connection[Any], days: Iterable[int], which: str, project: str) -> int | None:
    """Return the first or last moment of the first of some days that has one."""
    where, environments = "at_ms >= %(since)s AND at_ms < %(until)s", [str(one) for one in Environment]
    if project:  # an environment each, so that an index has the answer
        where += " AND project = %(project)s AND environment = %(environment)s"
    pick = min if which == "min" else max
    for day in days:
        bound = {"since": day * DAY_MS, "until": (day + 1) * DAY_MS, "project": project}
        asked = [
            one(db, f"SELECT {which}(at_ms) FROM {SCHEMA}.{table} WHERE {where}", {**bound, "environment": name})
            for table in TABLES
            for name in (environments if project else [""])
        ]
        if known := [at_ms for at_ms in asked if at_ms is not None]:
            found: int = pick(known)
            return found
    return None


def one(db: Connection[Any], statement: str, parameters: Any = None) -> Any:
    """Return the one value that a statement asks for."""
    row = db.execute(statement, parameters).fetchone()
    return row[0] if row else None
