"""Versions of the schema: which one is meant, and what is said of another."""

from __future__ import annotations

from agent_studio.fleet.engines import SchemaError
from agent_studio.fleet.tables import SCHEMA_VERSION


def refuse_newer(found: int | None) -> None:
    """Raise `SchemaError` for a version that this one does not know."""
    if found is not None and found > SCHEMA_VERSION:
        raise SchemaError(
            f"the engine's tables are of version {found}; this is version {SCHEMA_VERSION}",
            hint="upgrade agent-studio: docs/install.md",
        )


def require(found: int | None) -> None:
    """Raise `SchemaError` unless a version is this one."""
    refuse_newer(found)
    if found != SCHEMA_VERSION:
        had = "no tables of ours" if found is None else f"tables of version {found}"
        raise SchemaError(
            f"the engine has {had}; this is version {SCHEMA_VERSION}",
            hint="agent-studio fleet init creates and migrates them",
        )
