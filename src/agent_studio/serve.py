"""The daemon of one environment: one app from receiver, dashboard and health; decision socket and ingest beside it.

It binds its port and says where it is in `serve.json`; one daemon an environment. Starlette and uvicorn are imported
when it starts, not with this module.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio import clock, log
from agent_studio.capture.otlp import daemon as daemons
from agent_studio.capture.otlp.daemon import Daemon
from agent_studio.capture.otlp.gate import LOOPBACK, OPEN_PATHS, Gate
from agent_studio.capture.otlp.process import listening, make_token, reached_at, stopping
from agent_studio.capture.recorder import routes as inboxes
from agent_studio.environment.context import open_context
from agent_studio.errors import AgentStudioError, BusyError, ConfigurationError, StorageError
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from agent_studio.capture.otlp.process import Stop
    from agent_studio.dashboard.web import Dashboard
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.retention import Tidying

GRACE_SECONDS = 5
_BACKLOG = 256
_CONNECTIONS = 512
_KEEP_ALIVE_SECONDS = 65
_FRESH_SECONDS = 2.0
_ALLOCATION = {-8: 2, -3: 1 << 20}
"""`M_ARENA_MAX` and `M_MMAP_THRESHOLD` of glibc's malloc.h; other systems have no such function, or leave it alone."""
_GIVE_BACK_SECONDS = 60.0
_SWITCH_SECONDS = 0.0005
"""A tenth of Python's own: a decision must not wait behind a batch that is unpacked or ingested."""


@dataclass(frozen=True)
class Options:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int | None = None
    """0 picks one; None is the environment's own."""
    token: str | None = None
    ingest_interval_s: float = 5.0
    """Between two rounds of ingest; 0 leaves it off."""
    overrides: tuple[str, ...] = ()
    """What `--set` says, for as long as it serves."""


def serve(
    context: Context,
    options: Options,
    variables: Mapping[str, str],
    *,
    started: Callable[[Daemon], None],
    say: Callable[[str], None],
) -> Daemon:
    """Serve an environment until SIGTERM or SIGINT; `started` is told once requests are taken, `say` of problems.

    Raises `BusyError` when the environment is served already or the port is taken, `ConfigurationError` when there is
    no inbox to record to, `UsageError` for an address that cannot be bound.
    """
    root = context.root
    if not root.folder("metrics").has_folder():
        raise ConfigurationError(
            f"{root.environment} has no folder to record to: {root.folder('metrics').path}",
            hint=f"create it: agent-studio init --env {root.environment}",
        )
    root.state.make()
    port = daemons.PORTS[root.environment] if options.port is None else options.port
    with _alone(root), stopping() as stop, listening(options.host, port) as listener:
        daemons.sweep(root)
        from agent_studio.guards.listener import listen  # noqa: PLC0415 - asyncio and anyio come with it

        deciding = listen(root)
        url, port = reached_at(listener)
        daemon = Daemon(os.getpid(), port, options.host, url, clock.timestamp(clock.now()))
        daemons.write(root, daemon)
        if options.token is not None and options.token != _kept_token(root):
            from agent_studio.dashboard.web import note_given_token  # noqa: PLC0415 - only then

            note_given_token(root)
        try:
            server = _Server(context, variables, options, deciding, say)
            server.run(daemon, listener, stop, started)
        finally:
            daemons.sweep(root)
    return daemon


def needs_token(host: str) -> bool:
    """Tell whether an address can be reached from other machines."""
    return host not in LOOPBACK


class _Server:
    """What runs while an environment is served."""

    def __init__(
        self,
        context: Context,
        variables: Mapping[str, str],
        options: Options,
        deciding: socket.socket | None,
        say: Callable[[str], None],
    ) -> None:
        from agent_studio.fleet.beside import Shipping, wants_shipping  # noqa: PLC0415 - as above
        from agent_studio.guards.listener import DecisionServer  # noqa: PLC0415 - as above
        from agent_studio.monitor.watch import Watcher  # noqa: PLC0415 - as above

        self._root = context.root
        self._context = context
        self._variables = variables
        self._options = options
        self._deciding = deciding
        self._say = say
        fresh = _Fresh(context, variables, options.overrides)
        self._decisions = DecisionServer(fresh, say)
        self._watcher = Watcher(_Halting(fresh, say), variables, say)
        self._ingest = _Ingest(fresh, options.ingest_interval_s, say) if options.ingest_interval_s > 0 else None
        self._shipping = Shipping(fresh, variables, say) if wants_shipping(context) else None

    def run(self, daemon: Daemon, listener: socket.socket, stop: Stop, started: Callable[[Daemon], None]) -> None:
        """Take requests until `stop`; those under way then have five seconds."""
        import uvicorn  # noqa: PLC0415 - see the module's docstring

        from agent_studio.capture.otlp.server import Protocol, quiet  # noqa: PLC0415

        quiet(self._say)
        config = uvicorn.Config(
            self._app(lambda: started(daemon), stop), loop="asyncio", http=Protocol, ws="none", lifespan="on",
            log_config=None, access_log=False, proxy_headers=False, server_header=False, backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=GRACE_SECONDS,
            limit_concurrency=_CONNECTIONS,
        )  # fmt: skip
        stop.server = uvicorn.Server(config)
        if stop.requested:
            return
        _share_memory()
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            stop.server.run(sockets=[listener])
        except SystemExit:
            raise StorageError(
                f"{self._root.environment} could not be served", hint="the reason is above; see: agent-studio doctor"
            ) from None
        finally:
            sys.setswitchinterval(before)

    def _app(self, started: Callable[[], None], stop: Stop) -> Any:
        from contextlib import asynccontextmanager  # noqa: PLC0415

        from starlette.applications import Starlette  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        from agent_studio.capture.otlp.receiver import Receiver  # noqa: PLC0415

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            if self._deciding is not None:
                await self._decisions.start(self._deciding)
            if self._ingest is not None:
                self._ingest.start()
                self._watcher.start()
            if self._shipping is not None:
                self._shipping.start()
            started()
            yield
            await self._decisions.stop()
            if self._ingest is not None:
                self._ingest.finish()
                self._watcher.finish()
            if self._shipping is not None:
                self._shipping.finish()

        health = [Route("/healthz", self._healthz), Route("/readyz", self._readyz)]
        dashboard = self._dashboard(stop)
        routes = [*Receiver(self._root, self._say).routes(), *health, *dashboard.routes()]
        app = Starlette(routes=routes, lifespan=lifespan)
        open_to_all = needs_token(self._options.host)
        return Gate(app, None if open_to_all else LOOPBACK, self._options.token, dashboard.public() | OPEN_PATHS)

    def _dashboard(self, stop: Stop) -> Dashboard:
        from agent_studio.dashboard.web import Dashboard  # noqa: PLC0415 - nothing else of it is needed

        def token() -> str:
            return self._options.token or make_token(self._root)

        return Dashboard(self._context, self._variables, token, is_stopping=lambda: stop.requested, say=self._say)

    async def _healthz(self, _: Request) -> Response:
        from starlette.responses import JSONResponse  # noqa: PLC0415

        return JSONResponse({"status": "ok", "pid": os.getpid(), "environment": str(self._root.environment)})

    async def _readyz(self, _: Request) -> Response:
        from starlette.responses import JSONResponse  # noqa: PLC0415

        inbox = _inbox_fault(self._root)
        alive = self._ingest is None or (self._ingest.is_alive and self._ingest.state == "ok")
        found = {
            "ready": not inbox and alive,
            "inbox": inbox or "ok",
            "ingest": "off" if self._ingest is None else self._ingest.state,
        }
        return JSONResponse(found, 200 if found["ready"] else 503)


def _share_memory() -> None:
    """Have threads share memory, and give back what is large.

    glibc gives each thread an arena of its own, and what one has freed stays with it. What is large it maps apart and
    gives back, but takes for small whatever is not larger than what it has given back once: a single line of 32 MB.
    """
    with suppress(OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - only then

        for parameter, value in _ALLOCATION.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def _give_back() -> None:
    """Give back what nobody uses any more.

    What refers to itself waits for a collection, which comes the more rarely the more is held; and of what is free,
    glibc by itself gives back only the end of an arena.
    """
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()  # what has been loaded by now stays: collections stop everything, and need not go through it
    with suppress(OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - only then

        ctypes.CDLL(None).malloc_trim(0)


class _Ingest:
    """Turns what was recorded into records, again and again, beside the requests."""

    def __init__(self, fresh: _Fresh, interval_s: float, say: Callable[[str], None]) -> None:
        self._fresh = fresh
        self._interval_s = interval_s
        self._say = say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self.state = "ok"
        """`ok`, or why the last round failed."""

    @property
    def is_alive(self) -> bool:
        """Whether rounds go on."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """End after one last round."""
        self._stop.set()
        self._thread.join(GRACE_SECONDS)

    def _run(self) -> None:
        from agent_studio.monitor.retention import Tidying  # noqa: PLC0415 - a third of a daemon's start otherwise

        tidying, given_back_s = Tidying(), time.monotonic()
        last = False
        while not last:
            last = self._stop.wait(self._interval_s)
            self._round(None if last else tidying)
            if time.monotonic() - given_back_s > _GIVE_BACK_SECONDS:
                _give_back()
                given_back_s = time.monotonic()

    def _round(self, tidying: Tidying | None) -> None:
        """Take in what was recorded, and tidy up unless it is the end; a bug in a round does not end the daemon."""
        from agent_studio.release.attribution import ingest  # noqa: PLC0415 - a third of a daemon's start otherwise

        state = "ok"
        context: Context | None = None
        try:
            context = self._fresh()
            report = ingest(context)
            for notice in report.budget_notices:
                self._say(f"budget {notice['budget']}: {notice['level']} % reached")
            if tidying:
                for fault in tidying.after(context, was_sealed=bool(report.sealed)).faults:
                    self._say(f"{fault.name}: {fault.reason}")
        except AgentStudioError as error:
            state = error.message
        except Exception as error:  # noqa: BLE001 - as the docstring says
            state = f"{type(error).__name__}: {error}"
            if context is not None and state != self.state:
                log.exception(context, "ingest.crashed", error)
        if state not in {"ok", self.state}:
            self._say(f"ingest: {state}")
        self.state = state


class _Fresh:
    """The environment as its files are now, read again at most every two seconds."""

    def __init__(self, context: Context, variables: Mapping[str, str], overrides: tuple[str, ...] = ()) -> None:
        self._context = context
        self._variables, self._overrides = variables, overrides
        self._until = time.monotonic() + _FRESH_SECONDS
        self._reading = threading.Lock()

    def __call__(self) -> Context:
        with self._reading:
            if time.monotonic() > self._until:
                old = self._context
                self._context = open_context(old.project, old.choice, self._variables, self._overrides)
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._context


class _Halting:
    """The environment as it is now, after gradual rollouts that break a limit were halted: a look at it shows that."""

    def __init__(self, fresh: _Fresh, say: Callable[[str], None]) -> None:
        self._fresh = fresh
        self._say = say
        self._problem = ""

    def __call__(self) -> Context:
        from agent_studio.release.rollouts import rollout  # noqa: PLC0415 - only a look needs it

        context = self._fresh()
        problem = ""
        try:
            for one in rollout.check(context):
                self._say(f"{one.rollout.flag} was halted: {one.reason}")
        except AgentStudioError as error:
            problem = f"gradual rollouts: {error.message}"
        if problem not in {"", self._problem}:
            self._say(problem)
        self._problem = problem
        return context


@contextmanager
def _alone(root: EnvironmentRoot) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(root.state, daemons.LOCK, doing=f"serving {root.environment}"))
        except BusyError:
            other = daemons.read(root)
            where = f" at {other.url} by process {other.pid}" if other else ""
            raise BusyError(
                f"{root.environment} is already served{where}",
                hint=f"stop it first: agent-studio serve --stop --env {root.environment}",
            ) from None
        yield


def _kept_token(root: EnvironmentRoot) -> str:
    """Return the environment's own token, or an empty text when none was made yet."""
    try:
        return root.state.read(daemons.TOKEN).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def _inbox_fault(root: EnvironmentRoot) -> str:
    """Return why the inbox cannot be written, or an empty text; it is not opened, which would drop a writer's lock."""
    folder = root.folder("metrics")
    try:
        status = folder.status(inboxes.INBOX)
        if status is None:
            return (
                "" if folder.has_folder() and os.access(folder.path, os.W_OK | os.X_OK) else "its folder is not there"
            )
        if not stat.S_ISREG(status.st_mode):
            return "it is not a file"
        return "" if os.access(folder.path / inboxes.INBOX, os.W_OK) else "it may not be written"
    except AgentStudioError as error:
        return error.message
