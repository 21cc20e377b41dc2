"""What a reader of records needs of a shared engine, so that it does not have to know which one it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Fetched(NamedTuple):
    """The answer to a statement."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


class SharedRecords(Protocol):
    """The records of many machines in one engine, read in place of this machine's journals."""

    dialect: str
    """How the engine writes SQL: postgresql, clickhouse."""
    project: str
    """The project whose records are asked for."""

    def fetch(self, statement: str, parameters: Mapping[str, Any]) -> Fetched:
        """Run a statement that reads; raise `FleetError` when the engine cannot answer."""
        ...
