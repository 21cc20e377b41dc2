"""The daemon's end of the decision socket: a Unix socket that only its owner may use."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio import CapacityLimiter

from agent_studio.capture.otlp.daemon import SOCKET, inside
from agent_studio.errors import StorageError
from agent_studio.guards import protocol
from agent_studio.guards.decide import Decision, OverdueError, decide
from agent_studio.guards.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.guards.handler import Handler

_BACKLOG = 128
_WORKERS = 16
_READ_SECONDS = 2.0


def listen(root: EnvironmentRoot) -> socket.socket | None:
    """Bind the socket, before any thread is started; None where there are no Unix sockets.

    The folder is entered first: a socket's name has at most 107 bytes, a project's path may have more.
    Raises `StorageError`.
    """
    if sys.platform == "win32":
        return None
    folder = root.state
    folder.make()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with inside(folder.path):
            before = os.umask(0o177)
            try:
                listening.bind(SOCKET)
            finally:
                os.umask(before)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise StorageError(
            f"cannot make the decision socket {folder.path / SOCKET}: {error.strerror}",
            hint="its folder must be on a local file system that takes sockets",
        ) from error
    return listening


class DecisionServer:
    """Answers decision clients."""

    def __init__(
        self,
        context_source: Callable[[], Context],
        say: Callable[[str], None],
        *,
        handlers: Mapping[str, tuple[Handler, ...]] = HANDLERS,
    ) -> None:
        """`say` takes one line per problem."""
        self._handlers = handlers
        self._context_source = context_source
        self._say = say
        self._workers = CapacityLimiter(_WORKERS)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    async def stop(self) -> None:
        """Take no more clients; those under way are answered."""
        if self._server is not None:
            self._server.close()
            if self._open:
                await asyncio.wait(self._open, timeout=_READ_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            if _is_own(writer.get_extra_info("socket")):
                async with asyncio.timeout(_READ_SECONDS):
                    payload = await reader.readexactly(
                        protocol.payload_length(await reader.readexactly(protocol.REQUEST_BYTES))
                    )
                writer.write(protocol.answer(await self._decide(payload)))
                async with asyncio.timeout(_READ_SECONDS):
                    await writer.drain()
        except protocol.ProtocolError as error:
            self._say(f"decision socket: {error}")
        except OverdueError:
            pass  # without an answer the client asks the cold process, which takes more time
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            pass  # the client is gone, or never said anything: it has its own way on
        finally:
            with suppress(OSError):
                writer.close()

    async def _decide(self, payload: bytes) -> Decision:
        return await anyio.to_thread.run_sync(
            lambda: decide(payload, self._context_source, handlers=self._handlers, log=self._say, hands_on=True),
            limiter=self._workers,
        )


def _is_own(connection: socket.socket) -> bool:
    """Tell whether the client is the same user's, where the system can say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    form = struct.Struct("3i")
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size)
    _, uid, _ = form.unpack(peer)
    return bool(uid == os.geteuid())
