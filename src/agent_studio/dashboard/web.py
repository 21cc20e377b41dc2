"""The dashboard in a browser: pages that are fixed files, an API that only reads, and a stream that says when to look.

`Dashboard` is mounted by the daemon, or served by itself where there is none. It works without a network.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from agent_studio.capture.otlp import daemon as daemons
from agent_studio.capture.otlp.gate import LOOPBACK, Gate
from agent_studio.capture.otlp.process import listening, make_token, reached_at, stopping
from agent_studio.errors import StorageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from starlette.routing import Route

    from agent_studio.capture.otlp.process import Stop
    from agent_studio.environment.context import Context
    from agent_studio.environment.detect import Environment
    from agent_studio.environment.roots import EnvironmentRoot

PORTS: Mapping[Environment, int] = {name: port + 10 for name, port in daemons.PORTS.items()}
_GIVEN = "tokenGiven"
_HOST = "127.0.0.1"
_GRACE_SECONDS = 3
_CONNECTIONS = 256


class Dashboard:
    """The pages and the API of one project, opened at one of its environments."""

    def __init__(
        self,
        context: Context,
        variables: Mapping[str, str],
        token: Callable[[], str],
        *,
        is_stopping: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        """`token` names what is needed to do something; `is_stopping` ends streams; `say` is told of our own bugs."""
        from agent_studio.dashboard.api import Api  # noqa: PLC0415 - starlette and anyio come with it
        from agent_studio.dashboard.contexts import Contexts  # noqa: PLC0415

        self._api = Api(Contexts(context, variables), token, is_stopping=is_stopping, say=say)

    def routes(self) -> list[Route]:
        """Return the routes of pages, their files and the API."""
        from agent_studio.dashboard import shell  # noqa: PLC0415 - as above

        return [*shell.routes(), *self._api.routes()]

    def warm(self) -> None:
        """Begin to work out the first page, beside what else is done."""
        threading.Thread(target=self._api.warm, name="first page", daemon=True).start()

    @staticmethod
    def public() -> frozenset[str]:
        """Return the paths that hold no data: they are answered without a token even where one is asked for."""
        from agent_studio.dashboard import shell  # noqa: PLC0415 - as above

        return frozenset(route.path for route in shell.routes())


def address(url: str, token: str) -> str:
    """Return what to open: a browser keeps what stands after `#` to itself."""
    return f"{url}/dashboard#token={quote(token, safe='')}"


def note_given_token(root: EnvironmentRoot) -> None:
    """Say in `serve.json` that the daemon was given a token that is not the environment's own; never which."""
    where = json.loads(root.state.read(daemons.FILE))
    root.state.replace(daemons.FILE, json.dumps({**where, _GIVEN: True}).encode() + b"\n")


def _has_given_token(root: EnvironmentRoot) -> bool:
    try:
        return json.loads(root.state.read(daemons.FILE)).get(_GIVEN) is True
    except (FileNotFoundError, ValueError, AttributeError):
        return False


def serve_dashboard(
    context: Context,
    variables: Mapping[str, str],
    *,
    port: int | None = None,
    started: Callable[[str], None],
    say: Callable[[str], None],
) -> str:
    """Serve until SIGTERM or SIGINT and return the address; where the daemon runs, only name its own.

    The daemon has this machine's records alone: what machines share is served beside it.

    `started` is told the address once pages can be opened, with the token unless the daemon was given another one;
    `say` is told of that and of problems. Port 0 picks one, None is the environment's own. Raises `BusyError` when the
    port is taken.
    """
    daemon = daemons.running(context.root) if context.shared is None else None
    if daemon:
        if _has_given_token(context.root):
            say(
                "the daemon was given a token of its own: open the address with #token=TOKEN behind it, TOKEN as "
                "AGENT_STUDIO_SERVE_TOKEN or --token-file says (a % in it as %25)"
            )
            started(f"{daemon.url}/dashboard")
        else:
            started(address(daemon.url, make_token(context.root)))
        return daemon.url
    token = make_token(context.root)
    with stopping() as stop, listening(_HOST, PORTS[context.environment] if port is None else port) as listener:
        url, _ = reached_at(listener)
        dashboard = Dashboard(context, variables, lambda: token, is_stopping=lambda: stop.requested, say=say)
        _run(dashboard, stop, listener, lambda: started(address(url, token)), say)
        return url


def _run(
    dashboard: Dashboard,
    stop: Stop,
    listener: socket.socket,
    started: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    import uvicorn  # noqa: PLC0415 - only to serve
    from starlette.applications import Starlette  # noqa: PLC0415

    from agent_studio.capture.otlp.server import Protocol, quiet  # noqa: PLC0415

    quiet(say)
    app = Gate(Starlette(routes=dashboard.routes()), LOOPBACK, None, dashboard.public())
    config = uvicorn.Config(
        app, loop="asyncio", http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_CONNECTIONS,
    )  # fmt: skip
    stop.server = uvicorn.Server(config)
    dashboard.warm()
    started()  # the socket listens already: who comes now waits for the first answer
    if stop.requested:
        return
    try:
        stop.server.run(sockets=[listener])
    except SystemExit:
        raise StorageError("the dashboard could not be served", hint="the reason is above") from None
