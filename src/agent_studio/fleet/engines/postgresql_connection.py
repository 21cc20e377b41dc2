"""How PostgreSQL is reached: the library, what it is told of TLS and time, and where the schema stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.fleet.engines import FleetError, SchemaError
from agent_studio.fleet.engines.postgresql_schema import MADE_BY
from agent_studio.fleet.tables import SCHEMA

if TYPE_CHECKING:
    from psycopg import Connection

    from agent_studio.fleet.address import Address

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 120
_OPTIONS = ("sslmode",)
_SESSION = (
    f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'; SET idle_in_transaction_session_timeout = '60s'; "
    "SET lock_timeout = '30s'; SET timezone = 'UTC'; SET jit = off; SET search_path = pg_catalog, pg_temp"
)
"""Nothing hangs for ever; compiling a query costs more than it saves on partitions."""
_MARK = f"""SELECT (
  SELECT count(*) = 3 FROM pg_attribute
  WHERE attrelid = meta.oid AND attname IN ('version', 'made_by', 'retention_days')
) FROM pg_namespace AS space LEFT JOIN pg_class AS meta ON meta.relnamespace = space.oid AND meta.relname = 'meta'
WHERE space.nspname = '{SCHEMA}'"""


def library() -> Any:
    """Return psycopg; raise `FleetError` where it is not installed."""
    try:
        import psycopg  # noqa: PLC0415 - an extra, imported only for this engine
    except ImportError as error:
        raise FleetError(f"PostgreSQL needs psycopg: {error}", hint="pip install 'agent-studio[postgresql]'") from error
    return psycopg


def connected(address: Address) -> Connection[Any]:
    """Return a new connection whose statements are committed one by one; raise psycopg's own faults."""
    db: Connection[Any] = library().connect(**_parameters(address), autocommit=True, prepare_threshold=None)
    db.execute(_SESSION)
    return db


def _parameters(address: Address) -> dict[str, Any]:
    """Return what the library takes; without another word a host elsewhere has to prove who it is."""
    address.refuse_unknown(_OPTIONS)
    given = {
        "host": ",".join(host for host, _ in address.hosts),
        "port": ",".join(str(port or "") for _, port in address.hosts),
        "dbname": address.path.strip("/"), "user": address.user, "password": address.password,
        "sslmode": address.options.get("sslmode", "prefer" if address.is_local else "verify-full"),
        "sslrootcert": address.ca or (None if address.is_local else "system"),
        "sslcert": address.certificate, "sslkey": address.key,
    }  # fmt: skip
    if given["sslrootcert"] == "system" and given["sslmode"] != "verify-full":
        given["sslrootcert"] = None
    return {
        **{name: value for name, value in given.items() if value}, "application_name": "agent-studio",
        "connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 30_000, "target_session_attrs": "any",
    }  # fmt: skip


def version(db: Connection[Any]) -> int | None:
    """Return the schema's version, None where there is none; raise `SchemaError` for one that has not our mark."""
    found = db.execute(_MARK).fetchone()
    if found is None:
        return None
    marked = db.execute(f"SELECT version, made_by FROM {SCHEMA}.meta").fetchone() if found[0] else None
    if marked is None or marked[1] != MADE_BY:
        raise SchemaError(
            f"the database has a schema {SCHEMA} that is not ours", hint="name another database in fleet.engine"
        )
    number: int = marked[0]
    return number
