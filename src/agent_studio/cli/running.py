"""What our log says of a command: when its environment is opened, and how it ended.

Of the command line only the verb and the names of options are told, never a value: a question, a header or a reason
belongs to who typed it, and so does a `UsageError`, which quotes it. A command that opens no environment has no log to
be in.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_studio.environment.context import Context

_SILENT = {"log"}
"""Who follows the log must not see that."""


class Running:
    """One command from its start to its end."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._started_s = time.perf_counter()
        self._context: Context | None = None
        self.name = ""
        """The verb, and its sub-verb after a dash."""
        self.options: Callable[[], Iterable[str]] = tuple
        """Returns the options that the verb knows."""
        self.fault: Exception | None = None
        """What ended it."""

    def opened(self, context: Context) -> None:
        """Write that it has begun, once it is known where."""
        if self.name in _SILENT or self._context is not None:
            return
        self._context = context
        from agent_studio import log  # noqa: PLC0415 - not before there is something to write

        log.debug(context, "command.started", command=self.name, options=self._told())

    def ended(self, code: int) -> None:
        """Write that it has ended, and why if something was wrong."""
        if self._context is None:
            return
        from agent_studio import log  # noqa: PLC0415 - as above

        taken_ms = round((time.perf_counter() - self._started_s) * 1000, 1)
        told = {"command": self.name, "options": self._told(), "exitCode": int(code), "durationMs": taken_ms}
        with suppress(KeyboardInterrupt):  # all is done
            if self.fault is None:
                log.info(self._context, "command.finished", **told)
            elif isinstance(self.fault, AgentStudioError):
                why = {} if isinstance(self.fault, UsageError) else {"message": self.fault.message}
                log.warning(self._context, "command.failed", **told, code=self.fault.code, **why)
            else:
                log.exception(self._context, "command.crashed", self.fault, **told)

    def _told(self) -> list[str]:
        known = set(self.options())
        names = (word.partition("=")[0] for word in self._words if word.startswith("-"))
        return [name for name in names if name in known]
