"""What a server needs around its app: a socket that listens, an end by signal, a token for its owner alone."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.capture.otlp.daemon import TOKEN
from agent_studio.errors import AgentStudioError, BusyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import uvicorn

    from agent_studio.environment.roots import EnvironmentRoot

_BACKLOG = 256
_TOKEN_BYTES = 32


def make_token(root: EnvironmentRoot) -> str:
    """Return the environment's token, made and kept for its owner only when there is none."""
    state = root.state
    state.make()
    state.create(TOKEN, secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n")
    return state.read(TOKEN).decode().strip()


class Stop:
    """What SIGTERM and SIGINT do before uvicorn takes them over, and after it has handed them back."""

    server: uvicorn.Server | None = None
    _called = False

    def __call__(self, *_: object) -> None:
        """Ask for the end, as a signal's handler."""
        self._called = True
        if self.server is not None:
            self.server.should_exit = True

    @property
    def requested(self) -> bool:
        """Whether the end has come, whoever was told of it."""
        return self._called or (self.server is not None and self.server.should_exit)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Hand out what SIGTERM and SIGINT set."""
    stop = Stop()
    with handled(stop, signal.SIGTERM, signal.SIGINT):
        yield stop


@contextmanager
def handled(handler: Callable[[int, Any], None], *signals: int) -> Iterator[None]:
    """Have a handler take signals, where there can be one: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address; port 0 picks one.

    Raises `BusyError` when another program has it, `UsageError` when it cannot be had at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio knows TCP when it sees it: without its "no delay" answers take 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            raise _unbound(host, port, error) from None
        yield listener
    finally:
        listener.close()


def reached_at(listener: socket.socket) -> tuple[str, int]:
    """Return the URL by which this machine reaches a socket, and its port."""
    address, port = listener.getsockname()[:2]
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared with, not bound
    return (f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"), port


def _unbound(host: str, port: int, error: Exception) -> AgentStudioError:
    import errno  # noqa: PLC0415 - only for a fault

    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return BusyError(
            f"port {port} on {host} is taken by another program", hint="choose another one: --port N, or any: --port 0"
        )
    return UsageError(f"cannot listen on {host} port {port}: {error}", hint="name an address of this machine")
