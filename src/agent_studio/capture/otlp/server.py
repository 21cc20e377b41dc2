"""uvicorn as we want it: quiet but for problems, and without patience for requests that never come to their body."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

HEAD_SECONDS = 5.0
"""For the first line and the headers of a request, from the first byte or the connection."""
_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")
_SILENCE_SECONDS = 10.0
_NOTICE = logging.WARNING


class Protocol(H11Protocol):
    """HTTP/1.1 that hangs up on who does not finish the head of a request."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a later request on the same connection is watched too."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on; what stands behind the request may be the start of another one."""
        super().on_response_complete()
        if self._head is None and self._is_waiting() and self.conn.trailing_data[0]:
            self._head = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        super().connection_lost(exc)
        if self._head is not None:
            self._head.cancel()

    def _is_waiting(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def _watch(self) -> None:
        waiting = self._is_waiting()
        if self._head is not None and not waiting:
            self._head.cancel()
            self._head = None
        elif self._head is None and waiting and self.timeout_keep_alive_task is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        self._head = None
        if not self.transport.is_closing() and self._is_waiting():
            self.transport.close()


def quiet(say: Callable[[str], None]) -> None:
    """Let the server's loggers speak only of problems, one line each, through `say`."""
    handler = _Handler(say)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler] if name != "uvicorn.error" else []
        logger.setLevel(_NOTICE)
        logger.propagate = name == "uvicorn.error"
    logging.getLogger("uvicorn").propagate = False


class _Handler(logging.Handler):
    """Says a problem in one line, the same one at most every ten seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(_NOTICE)
        self._say = say
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        text = record.getMessage().strip()
        if record.exc_info and record.exc_info[1]:
            text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        now = time.monotonic()
        if now - self._said.get(text, -_SILENCE_SECONDS) >= _SILENCE_SECONDS:
            self._said = {other: at for other, at in self._said.items() if now - at < _SILENCE_SECONDS}
            self._said[text] = now
            self._say(text.replace("\n", " "))
