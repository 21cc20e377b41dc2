"""The one place that knows which class is an engine of which address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from agent_studio.fleet.address import Address
    from agent_studio.fleet.engines import Engine


def opened(address: Address, project: str) -> Engine:
    """Return the engine at an address, connected when it is entered; statements that read are about one project.

    Raises `ConfigurationError` for an address that is no engine's.
    """
    if address.scheme == "postgresql":
        from agent_studio.fleet.engines.postgresql import PostgreSQL  # noqa: PLC0415 - only the engine that is meant

        return PostgreSQL(address, project)
    if address.scheme in {"clickhouse", "chdb"}:
        from agent_studio.fleet.engines.clickhouse import ClickHouse  # noqa: PLC0415 - as above

        return ClickHouse(address, project)
    raise _no_engine(address)


def script(address: Address, retention_days: int) -> str:
    """Return the statements that make the tables in an empty engine; raise `ConfigurationError` as `opened`."""
    if address.scheme == "postgresql":
        from agent_studio.fleet.engines import postgresql_schema  # noqa: PLC0415 - as above

        return postgresql_schema.script(retention_days)
    if address.scheme in {"clickhouse", "chdb"}:
        from agent_studio.fleet.engines import clickhouse_schema  # noqa: PLC0415 - as above

        return clickhouse_schema.script(address.options.get("cluster", ""))
    raise _no_engine(address)


def _no_engine(address: Address) -> ConfigurationError:
    return ConfigurationError(
        f"{address.shown} holds no records", hint="fleet.engine: postgresql://HOST/DB or clickhouse://HOST/DB"
    )
