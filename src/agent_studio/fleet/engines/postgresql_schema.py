"""What PostgreSQL holds: tables in partitions of a day, who may do what, and how an older schema becomes this one.

Every table has a partition a day, made when a record of that day comes, and one named `_rest` for records of days that
are out of bounds. Who only writes must not create tables: the function `ensure_day` does it for them, within bounds, so
that wrong times cannot make partitions without end. A text is compared by its bytes (`COLLATE "C"`), as elsewhere.

To spread the tables over many servers, run this after `fleet init` and before the first record (not tried here):
Citus: `SELECT create_distributed_table('agent_studio.hooks', 'project')`, and so for each table; the primary key holds
the project. Timescale is not needed: its hypertables would stand in for the partitions, and `ensure_day` with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.fleet.tables import SCHEMA, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.fleet.tables import Form

MADE_BY = "agent-studio"
"""Our mark, in `agent_studio.meta`."""
DAYS_AHEAD = 2
"""How far in the future a record's day may be and have a partition of its own."""
_TYPES: Mapping[Form, str] = {
    "id": "uuid NOT NULL", "moment": "bigint NOT NULL", "name": 'text COLLATE "C" NOT NULL', "text": 'text COLLATE "C"',
    "figure": "double precision", "whole": "bigint", "flag": "boolean NOT NULL",
}  # fmt: skip


class Step(NamedTuple):
    """A few statements, and what they do."""

    does: str
    sql: str


def columns(table: str) -> str:
    """Return the columns that may be written and read, as SQL lists them; not when the server took the row."""
    return ", ".join(TABLES[table])


def typed(table: str) -> str:
    """Return the same columns with their types."""
    return ", ".join(f"{column} {_TYPES[form]}" for column, form in TABLES[table].items())


def mark(retention_days: int) -> Step:
    """Return what makes an empty schema with our mark, of version 0."""
    return Step(
        f"create the schema {SCHEMA}",
        f"""CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.meta (
  version integer NOT NULL,
  made_by text COLLATE "C" NOT NULL,
  retention_days integer NOT NULL,
  one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO {SCHEMA}.meta (version, made_by, retention_days) VALUES (0, '{MADE_BY}', {retention_days});""",
    )


def migrations(since: int) -> Iterator[Step]:
    """Yield what brings a schema of a version to this one, in order; each sets the version that it leads to."""
    for version, steps in enumerate(_MIGRATIONS, start=1):
        if version > since:
            yield from steps
            yield Step(f"set version {version}", f"UPDATE {SCHEMA}.meta SET version = {version};")


def script(retention_days: int) -> str:
    """Return the whole of a fresh schema, for people who run statements themselves."""
    steps = [mark(retention_days), *migrations(0)]
    text = "\n\n".join(f"-- {step.does}\n{step.sql}" for step in steps)
    return f"-- agent-studio, schema version {SCHEMA_VERSION}\nBEGIN;\n\n{text}\n\nCOMMIT;\n"


def _table(name: str) -> Step:
    listed = "".join(f"  {column} {_TYPES[form]},\n" for column, form in TABLES[name].items())
    return Step(
        f"create the table {name}",
        f"""CREATE TABLE {SCHEMA}.{name} (
{listed}  inserted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (project, machine, id, at_ms)
) PARTITION BY RANGE (at_ms);
CREATE TABLE {SCHEMA}.{name}_rest PARTITION OF {SCHEMA}.{name} DEFAULT;
CREATE INDEX {name}_of_project ON {SCHEMA}.{name} (project, environment, at_ms);
ALTER TABLE {SCHEMA}.{name} ENABLE ROW LEVEL SECURITY;
CREATE POLICY writes ON {SCHEMA}.{name} FOR INSERT WITH CHECK (
  (project, machine) IN (SELECT one.project, one.machine FROM {SCHEMA}.mine AS one WHERE one.may = 'write')
  OR (SELECT count(*) > 0 FROM {SCHEMA}.mine AS one WHERE one.may = 'drain')
);
CREATE POLICY reads ON {SCHEMA}.{name} FOR SELECT USING (
  project = ANY (ARRAY(SELECT one.project FROM {SCHEMA}.mine AS one WHERE one.may = 'read'))
);""",
    )


_ACCESS = Step(
    "create the table access",
    f"""CREATE TABLE {SCHEMA}.access (
  role text COLLATE "C" NOT NULL,
  may text COLLATE "C" NOT NULL CHECK (may IN ('read', 'write', 'drain')),
  project text COLLATE "C" NOT NULL,
  machine text COLLATE "C" NOT NULL CHECK ((machine <> '') = (may = 'write')),
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (role, may, project, machine)
);
CREATE VIEW {SCHEMA}.mine WITH (security_barrier) AS
  SELECT project, machine, may FROM {SCHEMA}.access WHERE role = current_user::text COLLATE "C";""",
)
_NAMES = ", ".join(f"'{name}'" for name in TABLES)
_ENSURE_DAY = Step(
    "create the function ensure_day",
    f"""CREATE FUNCTION {SCHEMA}.ensure_day(kind text, day integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
  today integer := floor(extract(epoch FROM clock_timestamp()) / 86400);
  begins bigint := day::bigint * 86400000;
  ends bigint := begins + 86400000;
  part text;
BEGIN
  IF kind IS NULL OR day IS NULL OR kind NOT IN ({_NAMES}) THEN
    RAISE EXCEPTION 'no table %, day %', kind, day USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF day > today + {DAYS_AHEAD} OR day < today - (SELECT retention_days FROM {SCHEMA}.meta) THEN
    RETURN false;
  END IF;
  part := kind || to_char(to_timestamp(begins / 1000) AT TIME ZONE 'UTC', '_YYYYMMDD');
  IF to_regclass(format('{SCHEMA}.%I', part)) IS NULL THEN
    LOCK TABLE {SCHEMA}.meta IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(format('{SCHEMA}.%I', part)) IS NULL THEN
      EXECUTE format('LOCK TABLE {SCHEMA}.%I IN ACCESS EXCLUSIVE MODE', kind || '_rest');
      EXECUTE format('CREATE TABLE {SCHEMA}.%I (LIKE {SCHEMA}.%I INCLUDING DEFAULTS)', part, kind);
      EXECUTE format('WITH late AS (DELETE FROM {SCHEMA}.%I WHERE at_ms >= %s AND at_ms < %s RETURNING *) '
                     'INSERT INTO {SCHEMA}.%I SELECT * FROM late', kind || '_rest', begins, ends, part);
      EXECUTE format('ALTER TABLE {SCHEMA}.%I ATTACH PARTITION {SCHEMA}.%I FOR VALUES FROM (%s) TO (%s)',
                     kind, part, begins, ends);
    END IF;
  END IF;
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION {SCHEMA}.ensure_day(text, integer) FROM PUBLIC;""",
)
_MIGRATIONS: tuple[tuple[Step, ...], ...] = ((_ACCESS, *map(_table, TABLES), _ENSURE_DAY),)
"""By the version that they start from."""
