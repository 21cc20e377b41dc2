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
    raise ConfigurationError(
        f"{address.shown} holds no records", hint="fleet.engine: postgresql://HOST/DB or clickhouse://HOST/DB"
    )
