"""Roles of PostgreSQL: made with a mark, let in through the table `agent_studio.access`, and out again."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.fleet.access import Done, Grant, Revoked
from agent_studio.fleet.engines import versions
from agent_studio.fleet.engines.postgresql_connection import version
from agent_studio.fleet.engines.postgresql_schema import columns
from agent_studio.fleet.engines.postgresql_store import one
from agent_studio.fleet.tables import SCHEMA, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Connection

    from agent_studio.fleet.engines.postgresql import PostgreSQL

_MARK = "agent-studio fleet"
"""The comment on a role that we made."""
_CONNECTIONS = 10
"""That a writing role may have at a time, so that one who has stolen it keeps nobody else out."""
_ROLE = """SELECT shobj_description(oid, 'pg_authid') IS NOT DISTINCT FROM %s FROM pg_roles WHERE rolname = %s"""
_IS_SHUT = "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = %s"
_HELD = f"""SELECT role, may, project, machine, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM {SCHEMA}.access WHERE %(name)s::text IS NULL OR role = %(name)s ORDER BY role, may, project, machine"""
_WRITTEN = "(project = %(project)s AND machine = %(machine)s OR %(all)s) AND inserted_at >= %(since)s"


class PostgreSQLDoors:
    """Grants and revokes, by a role that may create roles and owns the schema."""

    def __init__(self, engine: PostgreSQL) -> None:
        """Take the engine, connected."""
        self._engine = engine

    def plan(self, grant: Grant) -> list[str]:
        """Return the statements that a grant consists of, without a password."""
        with self._engine.connection() as db:
            _require(db)
            role = _quoted(grant.name)
            new = [f"CREATE ROLE {role} {_rights(grant)} PASSWORD '...'"]
            if _is_ours(db, grant.name):
                new = [f"ALTER ROLE {role} LOGIN PASSWORD '...'"] if one(db, _IS_SHUT, (grant.name,)) else []
            return [*new, *_privileges(db, grant, role), _row_of(grant)]

    def grant(self, grant: Grant, password: str | None, *, anew: bool) -> Done:
        """Let somebody in; a password is set for a name that is not let in at all, or `anew`."""
        with self._engine.connection() as db, db.transaction():
            _require(db)
            db.execute(f"LOCK TABLE {SCHEMA}.access IN SHARE ROW EXCLUSIVE MODE")
            steps, role = [], _quoted(grant.name)
            if is_new := not _is_ours(db, grant.name):
                db.execute(f"CREATE ROLE {role} {_rights(grant)}")
                db.execute(f"COMMENT ON ROLE {role} IS '{_MARK}'")
                steps.append(f"created the role {grant.name}")
            _refuse_mixed(self._held(db, grant.name), grant)
            is_set = password is not None and (is_new or anew or one(db, _IS_SHUT, (grant.name,)))
            if is_set:
                db.execute(f"ALTER ROLE {role} LOGIN PASSWORD {_verifier(db, grant.name, password or '')}")
                steps.append("" if is_new else f"{grant.name} has a new password")
            for statement in _privileges(db, grant, role):
                db.execute(statement)
            if db.execute(_row_of(grant)).rowcount:
                steps.append(_said(grant))
        return Done(grant, [step for step in steps if step], is_set)

    def grants(self, name: str | None = None) -> list[Grant]:
        """Return who may do what."""
        with self._engine.connection() as db:
            _require(db)
            return self._held(db, name)

    def revoke(self, name: str, since_ms: int | None, *, dry_run: bool) -> Revoked:
        """Let nobody in by a name any more, then remove what it can have written from a moment on."""
        with self._engine.connection() as db:
            _require(db)
            held, is_role = self._held(db, name), one(db, _ROLE, (_MARK, name))
            if not held and not is_role:
                raise UsageError(f"nobody is let in as {name!r}", hint="agent-studio fleet access lists who is")
            steps = [] if dry_run else _shut_out(db, name)
            rows = {} if since_ms is None else _removed(db, held, since_ms, dry_run=dry_run)
        return Revoked(held, steps, rows)

    def _held(self, db: Connection[Any], name: str | None) -> list[Grant]:
        rows = db.execute(_HELD, {"name": name})
        return [Grant(*row) for row in rows]


def _require(db: Connection[Any]) -> None:
    versions.require(version(db))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_ours(db: Connection[Any], name: str) -> bool:
    """Return whether there is a role that we made; raise `UsageError` for one that we did not make."""
    found: bool | None = one(db, _ROLE, (_MARK, name))
    if found is False:
        raise UsageError(f"the server has a role {name!r} that is not ours", hint="choose another name")
    return bool(found)


def _rights(grant: Grant) -> str:
    limit = f" CONNECTION LIMIT {_CONNECTIONS}" if grant.may == "write" else ""
    return f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION{limit}"


def _privileges(db: Connection[Any], grant: Grant, role: str) -> list[str]:
    """Return what lets a role do its one thing, and no more."""
    database = _quoted(one(db, "SELECT current_database()"))
    reads = [f"GRANT SELECT ON {SCHEMA}.{table} TO {role}" for table in TABLES]
    writes = [f"GRANT INSERT ({columns(table)}) ON {SCHEMA}.{table} TO {role}" for table in TABLES]
    writes.append(f"GRANT EXECUTE ON FUNCTION {SCHEMA}.ensure_day(text, integer) TO {role}")
    return [
        f"GRANT CONNECT{'' if grant.may == 'read' else ', TEMPORARY'} ON DATABASE {database} TO {role}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}",
        f"GRANT SELECT ON {SCHEMA}.meta, {SCHEMA}.mine TO {role}",
        *(reads if grant.may == "read" else writes),
    ]


def _row_of(grant: Grant) -> str:
    values = ", ".join(map(_literal, grant[:4]))
    return f"INSERT INTO {SCHEMA}.access (role, may, project, machine) VALUES ({values}) ON CONFLICT DO NOTHING"


def _said(grant: Grant) -> str:
    if grant.may == "drain":
        return f"{grant.name} may write records of any machine"
    if grant.may == "read":
        return f"{grant.name} may read {grant.project}"
    return f"{grant.name} may write records of machine {grant.machine} of {grant.project}"


def _refuse_mixed(held: Sequence[Grant], wanted: Grant) -> None:
    other = next((one.may for one in held if one.may != wanted.may), None)
    if other:
        raise UsageError(
            f"{wanted.name} has another duty: {other}", hint="who reads does not write; choose another name"
        )


def _verifier(db: Connection[Any], name: str, password: str) -> str:
    """Return what the server keeps in place of a password, which it never sees."""
    made = db.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    return _literal(made.decode())


def _shut_out(db: Connection[Any], name: str) -> list[str]:
    """Take everything from a role, end its connections, and drop it where nothing else holds it."""
    from psycopg import errors  # noqa: PLC0415 - an extra

    role, database, steps = _quoted(name), _quoted(one(db, "SELECT current_database()")), []
    with db.transaction():
        db.execute(f"DELETE FROM {SCHEMA}.access WHERE role = %s", (name,))
        if one(db, _ROLE, (_MARK, name)):
            db.execute(f"ALTER ROLE {role} NOLOGIN PASSWORD NULL")
            for held in (f"ALL TABLES IN SCHEMA {SCHEMA}", f"FUNCTION {SCHEMA}.ensure_day(text, integer)",
                         f"SCHEMA {SCHEMA}", f"DATABASE {database}"):  # fmt: skip
                db.execute(f"REVOKE ALL ON {held} FROM {role}")
            steps.append(f"took every right from {name}")
    with suppress(errors.InsufficientPrivilege):
        ended = db.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s", (name,))
        steps += [f"ended {count} of its connections" for (count,) in ended if count]
    try:
        db.execute(f"DROP ROLE IF EXISTS {role}")
    except (errors.DependentObjectsStillExist, errors.InsufficientPrivilege):
        return [*steps, f"the role {name} stays, without a login: something else in the server holds it"]
    return [*steps, f"dropped the role {name}"]


def _removed(db: Connection[Any], held: Iterable[Grant], since_ms: int, *, dry_run: bool) -> dict[str, int]:
    """Remove what grants allowed to write from a moment on; return how many rows of each table."""
    rows = dict.fromkeys(TABLES, 0)
    since = datetime.fromtimestamp(since_ms / 1000, UTC)
    verb = "SELECT count(*)" if dry_run else "DELETE"
    for grant in held:
        if grant.may == "read":
            continue
        bound = {"project": grant.project, "machine": grant.machine, "all": grant.may == "drain", "since": since}
        for table in TABLES:
            with db.transaction():
                if not dry_run:  # whoever is still writing has ended once this is held
                    db.execute(f"LOCK TABLE ONLY {SCHEMA}.{table} IN SHARE ROW EXCLUSIVE MODE")
                done = db.execute(f"{verb} FROM {SCHEMA}.{table} WHERE {_WRITTEN}", bound)
                rows[table] += one_of(done) if dry_run else done.rowcount
    return rows


def one_of(done: Any) -> int:
    """Return the one figure of an answer."""
    (count,) = done.fetchone()
    return int(count)
