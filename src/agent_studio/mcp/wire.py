"""stdin and stdout as the protocol has them: a message a line, and nothing else on stdout, whoever prints.

What is no message is answered as JSON-RPC asks, here: the SDK would only tell a log. At the end of stdin the answers
to all that was asked are waited for.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LINE_MAX_BYTES = 4 << 20
DRAIN_SECONDS = 10.0
_CHUNK_BYTES = 1 << 16
_WAITING_CHUNKS = 4
_PARSE_ERROR, _INVALID_REQUEST = -32_700, -32_600
_IN, _OUT, _ERR = 0, 1, 2


@contextmanager
def own_stdout() -> Iterator[int]:
    """Yield a descriptor that is stdout; what anybody else prints meanwhile goes to stderr."""
    own = os.dup(_OUT)
    os.dup2(_ERR, _OUT)
    try:
        yield own
    finally:
        os.dup2(own, _OUT)
        os.close(own)


class Wire:
    """Both ends of the client's pipes, in the form of the two files that the SDK takes."""

    def __init__(self, out: int, fault_of: Callable[[str], str]) -> None:
        """`fault_of` says what makes a text no message, or nothing."""
        self._out = out
        self._fault_of = fault_of
        self._asked = 0
        self._answered = asyncio.Event()
        self._writing = threading.Lock()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield the client's messages."""
        async for data in self._lines():
            line = data.decode("utf-8", "replace").strip()
            if not line:
                continue
            message = _parsed(line)
            if message is None:
                self._refuse(None, _PARSE_ERROR, "this line is no JSON")
            elif fault := self._fault_in(message, line):
                number = message.get("id") if isinstance(message, dict) else None
                self._refuse(number if isinstance(number, str | int) else None, _INVALID_REQUEST, fault)
            else:
                self._asked += "method" in message and "id" in message
                yield line
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._all_answered()

    def _fault_in(self, message: Any, line: str) -> str:
        if not isinstance(message, dict):
            return "a message is one JSON object; batches are not taken"
        if not isinstance(message.get("id", 0), str | int):  # the SDK would take it for a notification
            return "an id is a text or a whole number"
        return self._fault_of(line)

    async def _all_answered(self) -> None:
        while self._asked > 0:
            self._answered.clear()
            await self._answered.wait()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Yield whole lines; one that is too long is refused, not kept."""
        held, is_dropping = b"", False
        async for chunk in _chunks():
            *whole, held = (held + chunk).split(b"\n")
            for line in whole:
                if not is_dropping:
                    yield line
                is_dropping = False
            if len(held) > LINE_MAX_BYTES:
                if not is_dropping:
                    self._refuse(None, _INVALID_REQUEST, f"a message has at most {LINE_MAX_BYTES} bytes")
                held, is_dropping = b"", True
        if held and not is_dropping:
            yield held

    async def write(self, text: str) -> None:
        """Send a message of the server's."""
        self._send(text)
        message = _parsed(text)
        if isinstance(message, dict) and "id" in message and "method" not in message:
            self._asked -= 1
            self._answered.set()

    async def flush(self) -> None:
        """Do nothing: what was written is sent."""

    def _refuse(self, number: str | int | None, code: int, reason: str) -> None:
        fault = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": reason}}
        self._send(json.dumps(fault) + "\n")

    def _send(self, text: str) -> None:
        view = memoryview(text.encode("utf-8", "replace"))
        with suppress(OSError):  # a client that is gone has its end of stdin told next
            while view:
                view = view[os.write(self._out, view) :]


async def _chunks() -> AsyncIterator[bytes]:
    """Yield what comes on stdin; a thread reads it, from files, pipes and terminals alike, and no end waits for it."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes](_WAITING_CHUNKS)

    def read() -> None:
        while True:
            try:
                chunk = os.read(_IN, _CHUNK_BYTES)
            except OSError:
                chunk = b""
            waiting = queue.put(chunk)
            try:
                asyncio.run_coroutine_threadsafe(waiting, loop).result()
            except (RuntimeError, CancelledError):  # the loop is over
                waiting.close()
                return
            if not chunk:
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await queue.get():
        yield chunk


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
