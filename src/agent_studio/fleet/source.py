"""The shared engine as readers need it: connected when it is first asked, and asked by one thread at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agent_studio.environment.shared_records import Fetched
from agent_studio.fleet.address import address
from agent_studio.fleet.engines import FleetError, opening
from agent_studio.fleet.identity import identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.fleet.address import Address
    from agent_studio.fleet.engines import Engine

KEY = "fleet.engine"


class Source:
    """The records of one project in the shared engine; after a fault the next question connects anew."""

    def __init__(self, where: Address, project: str) -> None:
        self.project = project
        self.where = where.shown
        """How to name it to people."""
        self._address = where
        self._engine: Engine | None = None
        self._asking = threading.Lock()
        self.dialect = opening.opened(where, project).dialect

    def fetch(self, statement: str, parameters: Mapping[str, Any]) -> Fetched:
        """Run a statement that reads; raise `FleetError` when the engine cannot answer."""
        with self._asking:
            try:
                found = self._connected().fetch(statement, parameters)
                return Fetched(found.columns, list(found.rows))
            except FleetError:
                self._close()
                raise

    def close(self) -> None:
        """End the connection, once nobody is asking."""
        with self._asking:
            self._close()

    def _connected(self) -> Engine:
        if self._engine is None:
            engine = opening.opened(self._address, self.project)
            engine.__enter__()
            self._engine = engine
            engine.require()
        return self._engine

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(FleetError):
                engine.__exit__(None, None, None)


@contextmanager
def opened(context: Context, variables: Mapping[str, str]) -> Iterator[Source]:
    """Open what `fleet.engine` names, for a project's readers; raise `ConfigurationError` when nothing does."""
    found = Source(address(context.config, KEY, variables), identity(context, "").project)
    try:
        yield found
    finally:
        found.close()
