"""Users of ClickHouse: a machine's is named PROJECT/MACHINE, and a constraint of the tables holds it to that.

The statements were parsed by the engine, and what removes rows was run; users, grants and row policies need a server,
and were not tried here. A server must let users without a row policy read (`users_without_row_policies_can_read_rows`,
which is its default): the first policy would hide every row from the owner.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.fleet.access import Done, Grant, Revoked
from agent_studio.fleet.engines.clickhouse import WAITED_FOR
from agent_studio.fleet.engines.clickhouse_schema import on_cluster, since
from agent_studio.fleet.tables import SCHEMA, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.fleet.engines.clickhouse import ClickHouse

_HELD = f"""SELECT user_name, groupUniqArray(toString(access_type)) FROM system.grants
WHERE database = '{SCHEMA}' AND table IN ({", ".join(f"'{table}'" for table in TABLES)}) AND user_name IS NOT NULL
GROUP BY user_name ORDER BY user_name"""
_POLICIES = f"""SELECT DISTINCT arrayJoin(apply_to_list) AS name, substring(short_name, length(name) + 3)
FROM system.row_policies WHERE database = '{SCHEMA}' ORDER BY 1, 2"""


class ClickHouseDoors:
    """Grants and revokes, by a user who may create users."""

    def __init__(self, engine: ClickHouse) -> None:
        """Take the engine, connected."""
        self._engine = engine

    def plan(self, grant: Grant) -> list[str]:
        """Return the statements that a grant consists of, without a password."""
        return granting(grant, self._engine.cluster)

    def grant(self, grant: Grant, password: str | None, *, anew: bool) -> Done:
        """Let somebody in; a password is set for a new name alone, unless `anew`."""
        self._engine.require()
        known = {one.name for one in self.grants()}
        name, held = user(grant), self.grants(user(grant))
        if any(one.may != grant.may for one in held):
            raise UsageError(f"{name} has another duty: {held[0].may}", hint="choose another name")
        is_set = password is not None and (name not in known or anew)
        with self._engine.connection() as db:
            creating, *rights = granting(grant, self._engine.cluster, password if is_set else None)
            for statement in rights if name in known else (creating, *rights):
                db.command(statement)
            if is_set and name in known:
                db.command(f"ALTER USER {quoted(name)}{on_cluster(self._engine.cluster)} {_identified(password or '')}")
        same = any(one[:4] == (name, *grant[1:4]) for one in held)
        return Done(grant._replace(name=name), [] if same else [f"granted to {name}: {grant.may}"], is_set)

    def grants(self, name: str | None = None) -> list[Grant]:
        """Return who may do what; who owns the tables is not listed."""
        with self._engine.connection() as db:
            held = {str(user): set(may) for user, may in db.query(_HELD).result_rows}
            projects: dict[str, list[str]] = {}
            for reader, project in db.query(_POLICIES).result_rows:
                projects.setdefault(reader, []).append(project)
        found = [grant for user, may in held.items() for grant in _grants_of(user, may, projects.get(user, []))]
        return [grant for grant in found if name in {None, grant.name}]

    def revoke(self, name: str, since_ms: int | None, *, dry_run: bool) -> Revoked:
        """Let nobody in by a name any more, then remove what it can have written from a moment on."""
        held = self.grants(name)
        if not held:
            raise UsageError(f"nobody is let in as {name!r}", hint="agent-studio fleet access lists who is")
        statements = revoking(held, self._engine.cluster)
        with self._engine.connection() as db:
            for statement in () if dry_run else statements:
                db.command(statement)
            rows = {} if since_ms is None else removed(db, held, since_ms, self._engine.cluster, dry_run=dry_run)
        return Revoked(held, [] if dry_run else [f"dropped the user {name}"], rows)


def user(grant: Grant) -> str:
    """Return the name of a user: of a machine it says what it may write."""
    return f"{grant.project}/{grant.machine}" if grant.may == "write" else grant.name


def quoted(name: str) -> str:
    """Return a name as a statement has it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def granting(grant: Grant, cluster: str, password: str | None = None) -> list[str]:
    """Return the statements of a grant, that which creates the user first; without a password it is not shown."""
    name, on = quoted(user(grant)), on_cluster(cluster)
    made = f"CREATE USER {name}{on} {_identified(password)}"  # refused where somebody else's user has the name
    if grant.may == "read":
        policy, text = quoted(f"{grant.name}: {grant.project}"), _literal(grant.project)
        reads = [
            statement
            for table in TABLES
            for statement in (
                f"CREATE ROW POLICY IF NOT EXISTS {policy}{on} ON {SCHEMA}.{table} USING project = {text} TO {name}",
                f"GRANT{on} SELECT ON {SCHEMA}.{table} TO {name}",
            )
        ]
        return [made, *reads, f"GRANT{on} SELECT ON {SCHEMA}.meta TO {name}"]
    writes = [f"GRANT{on} INSERT({', '.join(TABLES[table])}) ON {SCHEMA}.{table} TO {name}" for table in TABLES]
    return [made, *writes, f"GRANT{on} SELECT ON {SCHEMA}.meta TO {name}"]


def revoking(held: Sequence[Grant], cluster: str) -> list[str]:
    """Return the statements that take all grants of one name."""
    on, name = on_cluster(cluster), held[0].name
    policies = [
        f"DROP ROW POLICY IF EXISTS {quoted(f'{name}: {grant.project}')}{on} ON {SCHEMA}.{table}"
        for grant in held
        if grant.may == "read"
        for table in TABLES
    ]
    return [f"DROP USER IF EXISTS {quoted(name)}{on}", *policies]


def removed(db: Any, held: Iterable[Grant], since_ms: int, cluster: str, *, dry_run: bool) -> dict[str, int]:
    """Remove what grants allowed to write from a moment on; return how many rows of each table."""
    rows, on = dict.fromkeys(TABLES, 0), on_cluster(cluster)
    for grant in held:
        if grant.may == "read":
            continue
        where = f"precedence <= {since(since_ms * 1000)}"
        if grant.may == "write":
            where += f" AND project = {_literal(grant.project)} AND machine = {_literal(grant.machine)}"
        for table in TABLES:
            rows[table] += db.query(f"SELECT count() FROM {SCHEMA}.{table} FINAL WHERE {where}").result_rows[0][0]
            if not dry_run:
                db.command(f"ALTER TABLE {SCHEMA}.{table}{on} DELETE WHERE {where}", settings=WAITED_FOR)
    return rows


def _grants_of(name: str, may: set[str], projects: Sequence[str]) -> list[Grant]:
    if "INSERT" in may:
        project, is_machine, machine = name.partition("/")
        return [Grant(name, "write", project, machine) if is_machine else Grant(name, "drain", "", "")]
    return [Grant(name, "read", project, "") for project in projects]


def _identified(password: str | None) -> str:
    if password is None:
        return "IDENTIFIED WITH sha256_hash BY '...'"
    salt = secrets.token_hex(32).upper()
    digest = hashlib.sha256((password + salt).encode()).hexdigest().upper()
    return f"IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{salt}'"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
