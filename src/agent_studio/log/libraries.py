"""What libraries say through Python's `logging`: an exception there is kept in our log with its frames."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent_studio import log

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent_studio.environment.context import Context


class Exceptions(logging.Handler):
    """Writes an entry for each exception that one of these loggers is told of."""

    def __init__(self, context: Context, loggers: Collection[str]) -> None:
        super().__init__(logging.WARNING)
        self._context = context
        self._loggers = loggers

    def listen(self) -> None:
        """Begin; whoever sets the loggers up comes first."""
        for name in self._loggers:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; the message is left out, for it may quote what was sent."""
        if record.exc_info and record.exc_info[1]:
            log.exception(self._context, "library.exception", record.exc_info[1], logger=record.name)

    def close(self) -> None:
        """End."""
        for name in self._loggers:
            logging.getLogger(name).removeHandler(self)
        super().close()
