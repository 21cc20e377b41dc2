"""Who may do what with the shared engine: a machine writes its own records, a reader reads one project.

A machine's credential may only add: it reads nothing, changes nothing, and writes in no other's name. PostgreSQL holds
this by privileges and row-level security, ClickHouse by grants, row policies and a constraint of its tables.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.fleet.address import Address

May = Literal["write", "read", "drain"]
"""write: add records of one machine of a project. read: read one project. drain: add records of any machine."""
WHO: Mapping[str, May] = {"machine": "write", "reader": "read", "drain": "drain"}
"""What is granted to whom, by the word for it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PASSWORD_BYTES = 24
_SHORTEST_PASSWORD = 12


class Grant(NamedTuple):
    """One thing that somebody may do."""

    name: str
    """As whom one connects."""
    may: May
    project: str
    """Empty for a drain."""
    machine: str
    """Empty for who does not write."""
    since: str | None = None
    """When it was granted, where the engine knows."""


class Done(NamedTuple):
    """What was granted."""

    grant: Grant
    steps: Sequence[str]
    """What was done; nothing where it was granted before."""
    is_password_set: bool


class Revoked(NamedTuple):
    """What was taken."""

    grants: Sequence[Grant]
    steps: Sequence[str]
    rows: Mapping[str, int]
    """By table: rows that were removed, or would be."""


class Doors(Protocol):
    """How an engine lets people in."""

    def plan(self, grant: Grant) -> list[str]:
        """Return the statements that a grant consists of, without a password."""
        ...

    def grant(self, grant: Grant, password: str | None, *, anew: bool) -> Done:
        """Let somebody in who is not in yet; a password is set for a new name alone, unless `anew`."""
        ...

    def grants(self, name: str | None = None) -> list[Grant]:
        """Return who may do what."""
        ...

    def revoke(self, name: str, since_ms: int | None, *, dry_run: bool) -> Revoked:
        """Let nobody in by a name any more, and remove what it can have written from a moment of the server's on."""
        ...


@contextmanager
def doors(address: Address) -> Iterator[Doors]:
    """Hand out who keeps the doors of the engine at an address, connected; raise `UsageError` where nobody does."""
    if address.scheme == "postgresql":
        from agent_studio.fleet.engines.postgresql import PostgreSQL  # noqa: PLC0415 - only the engine that is meant
        from agent_studio.fleet.engines.postgresql_access import PostgreSQLDoors  # noqa: PLC0415 - as above

        with PostgreSQL(address, "") as engine:
            yield PostgreSQLDoors(engine)
    elif address.scheme == "clickhouse":
        from agent_studio.fleet.engines.clickhouse import ClickHouse  # noqa: PLC0415 - as above
        from agent_studio.fleet.engines.clickhouse_access import ClickHouseDoors  # noqa: PLC0415 - as above

        with ClickHouse(address, "") as engine:
            yield ClickHouseDoors(engine)
    else:
        raise UsageError(
            f"{address.shown} has no users: whoever may read its files may do everything",
            hint="fleet.engine: postgresql://HOST/DB or clickhouse://HOST",
        )


def wanted(who: str, name: str, project: str, machine: str | None) -> Grant:
    """Return what is to be granted; raise `UsageError` for names that cannot be."""
    if not _NAME.fullmatch(name) or name.startswith("pg_"):
        raise UsageError(f"{name!r} cannot be a name", hint="letters, digits, '.', '_' and '-', 63 at most")
    may = WHO[who]
    if may == "drain":
        return Grant(name, may, "", "")
    own = (machine or name) if may == "write" else ""
    for what, text in (("project", project), ("machine", own)):
        if not text.isprintable() or "/" in text or (what == "project" and not text):
            raise UsageError(f"{text!r} cannot be the name of a {what}", hint="printable, without '/'")
    return Grant(name, may, project, own)


def new_password() -> str:
    """Return a password that nobody can guess."""
    return secrets.token_hex(_PASSWORD_BYTES)


def refuse_weak(password: str) -> None:
    """Raise `UsageError` for a password that is too short, or that a connection could not be given."""
    if len(password) < _SHORTEST_PASSWORD or not (password.isascii() and password.isprintable()):
        raise UsageError(
            f"the password has fewer than {_SHORTEST_PASSWORD} characters, or others than ASCII",
            hint="leave --password-stdin out, and one is made",
        )
