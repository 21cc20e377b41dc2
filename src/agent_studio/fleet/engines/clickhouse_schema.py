"""What ClickHouse holds: a table for each kind of record, and how an older schema becomes this one.

A row that arrives again is kept once: of rows with the same key the first to arrive stays, whatever another of its key
says (`ReplacingMergeTree`, read with FINAL). A partition is a day of the record's own time; what is of no plausible day
goes into partition 0. `precedence` is made by the server and cannot be written.

With `?cluster=NAME` in the address every statement is `ON CLUSTER`, and the tables are replicated; the macros `{shard}`
and `{replica}` of the servers are used. One shard with replicas is what this is for: with more shards, a table that is
`Distributed` over them has to be put before each (not tried here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.fleet.tables import SCHEMA, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.fleet.tables import Form

MADE_BY = "agent-studio"
"""Our mark, in `agent_studio.meta`."""
FIRST_MS, _LAST_MS = 1_577_836_800_000, 4_102_444_800_000
"""Plausible times: the years 2020 to 2099."""
PARTITION = f"if(at_ms >= {FIRST_MS} AND at_ms < {_LAST_MS}, toYYYYMMDD(fromUnixTimestamp64Milli(at_ms, 'UTC')), 0)"
_TYPES: Mapping[Form, str] = {
    "id": "UUID", "moment": "Int64 CODEC(DoubleDelta, ZSTD(1))", "name": "LowCardinality(String)",
    "text": "LowCardinality(Nullable(String))", "figure": "Nullable(Float64) CODEC(ZSTD(1))",
    "whole": "Nullable(Int64) CODEC(ZSTD(1))", "flag": "Bool",
}  # fmt: skip
_LARGEST = 2**64 - 1
_OF_MANY_VALUES = frozenset(
    ("session_id", "agent_id", "task_id", "event_id", "error_message", "message", "metadata", "response")
)
"""Texts that hardly repeat: a dictionary of them would be as large as they are."""


class Step(NamedTuple):
    """A few statements, and what they do."""

    does: str
    statements: tuple[str, ...]


def migrations(since: int, cluster: str = "") -> Iterator[Step]:
    """Yield what brings a schema of a version to this one, in order; what was done half is done again without harm."""
    for version, make in enumerate(_MIGRATIONS, start=1):
        if version > since:
            yield from make(cluster)
            yield Step(f"set version {version}", (_marked(version),))


def mark(cluster: str = "") -> Step:
    """Return what makes a database with our mark, of version 0."""
    return Step(
        f"create the database {SCHEMA}",
        (
            f"CREATE DATABASE IF NOT EXISTS {SCHEMA}{on_cluster(cluster)}",
            f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.meta{on_cluster(cluster)} (
  version UInt32, made_by String, at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = {_engine("MergeTree", cluster)} ORDER BY version""",
            _marked(0),
        ),
    )


def script(cluster: str = "") -> str:
    """Return the whole of a fresh schema, for people who run statements themselves."""
    steps = [mark(cluster), *migrations(0, cluster)]
    parts = [f"-- {step.does}\n" + "\n".join(f"{statement};" for statement in step.statements) for step in steps]
    return f"-- agent-studio, schema version {SCHEMA_VERSION}\n\n" + "\n\n".join(parts) + "\n"


def on_cluster(cluster: str) -> str:
    """Return what has a statement run on every server of a cluster, nothing for one server."""
    return f" ON CLUSTER `{cluster}`" if cluster else ""


def _engine(kind: str, cluster: str, version: str = "") -> str:
    if not cluster:
        return f"{kind}({version})"
    place = ["'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'", *filter(None, (version,))]
    return f"Replicated{kind}({', '.join(place)})"


def _marked(version: int) -> str:
    return f"INSERT INTO {SCHEMA}.meta (version, made_by) VALUES ({version}, '{MADE_BY}')"


def _type(column: str, form: Form) -> str:
    if column in _OF_MANY_VALUES:
        return "String CODEC(ZSTD(1))" if form == "name" else "Nullable(String) CODEC(ZSTD(1))"
    return _TYPES[form]


def written_types(table: str) -> list[str]:
    """Return the types of the columns that are written, so that the server need not be asked for them."""
    return [_type(column, form).partition(" CODEC")[0] for column, form in TABLES[table].items()]


def since(micros: int) -> int:
    """Return the largest `precedence` of rows that arrived at a moment or later."""
    return _LARGEST - micros


def _table(name: str, cluster: str) -> Step:
    listed = "".join(f"  {column} {_type(column, form)},\n" for column, form in TABLES[name].items())
    return Step(
        f"create the table {name}",
        (
            f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.{name}{on_cluster(cluster)} (
{listed}  precedence UInt64 MATERIALIZED toUInt64(-1) - toUnixTimestamp64Micro(now64(6)) CODEC(DoubleDelta, ZSTD(1)),
  inserted_at DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(toInt64(toUInt64(-1) - precedence), 'UTC'),
  CONSTRAINT own CHECK position(currentUser(), '/') = 0 OR currentUser() = concat(project, '/', machine)
) ENGINE = {_engine("ReplacingMergeTree", cluster, "precedence")}
PARTITION BY {PARTITION}
ORDER BY (project, environment, at_ms, machine, id)""",
        ),
    )


def _first(cluster: str) -> Iterator[Step]:
    for name in TABLES:
        yield _table(name, cluster)


_MIGRATIONS = (_first,)
"""By the version that they start from."""
