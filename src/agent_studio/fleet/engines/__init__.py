"""The engines that hold the records of a fleet, each behind the same few verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from agent_studio.errors import AgentStudioError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from agent_studio.environment.shared_records import Fetched
    from agent_studio.fleet.address import Address
    from agent_studio.fleet.batch import Batch


class FleetError(AgentStudioError):
    """The shared engine cannot be reached, or refuses."""

    code = "fleet"


class UnreachableError(FleetError):
    """It is down, slow, restarting or out of disk: what was to be sent is sent again later."""

    code = "fleet-unreachable"
    exit_code = ExitCode.BUSY


class RefusedError(FleetError):
    """It took a batch for wrong: to send the same again is of no use."""

    code = "fleet-refused"


class SchemaError(FleetError):
    """The tables are not there, not ours, or of another version."""

    code = "fleet-schema"
    exit_code = ExitCode.USAGE


class Store(NamedTuple):
    """What an engine holds, as far as the asker may see."""

    engine: str
    """Name and version of the server."""
    version: int | None
    """Of the schema; None where there is none."""
    rows: Mapping[str, int]
    """By table; estimates where counting is dear."""
    bytes: int
    oldest_ms: int | None
    """Of the project that is asked for, where one is."""
    newest_ms: int | None


class Engine(Protocol):
    """A connection to one engine, made anew when it was lost; not for use by two threads at once."""

    dialect: str
    address: Address
    project: str
    _open: Any = None

    def __init__(self, address: Address, project: str) -> None:
        """Take where it is and which project is asked for; connect to nothing yet."""
        self.address, self.project = address, project

    def __enter__(self) -> Self:
        """Connect."""
        with self.connection():
            return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def connection(self) -> AbstractContextManager[Any]:
        """Give the library's own connection, opened where it is not; raise its faults as ours."""
        ...

    def init(self, retention_days: int, *, dry_run: bool = False) -> list[str]:
        """Create or migrate the schema; return what was done, nothing when it was there; dry, what would be done.

        Raises `SchemaError` for one that we did not make or that is newer.
        """
        ...

    def require(self) -> None:
        """Raise `SchemaError` unless the schema is of this version."""
        ...

    def insert(self, batch: Batch) -> int:
        """Keep the rows that are not there yet, all or none; return how many these were (-1: the engine does not say).

        Raises `UnreachableError` when it is not known whether they were kept, `RefusedError` when they never will be.
        """
        ...

    def fetch(self, statement: str, parameters: Mapping[str, Any]) -> Fetched:
        """Run a statement that reads, over tables named `agent_studio.<table>`."""
        ...

    def store(self) -> Store:
        """Return what is there."""
        ...

    def prune(self, before_ms: int, *, dry_run: bool = False) -> int:
        """Remove what is older, partition by partition; return how many partitions went, or would go."""
        ...
