"""Run the daemon of an environment: it takes telemetry and http hooks, answers decision hooks, and ingests.

It listens on 127.0.0.1 and stays until it gets SIGTERM or SIGINT; then it finishes what is under way. What is
acknowledged is in the inbox. On any other address a token is needed: AGENT_STUDIO_SERVE_TOKEN, --token-file, or the
one it makes in .agent-studio/ENV/serve.token.

  agent-studio serve --env staging
  agent-studio serve --env staging --status
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio import serve as service
from agent_studio.capture.otlp import daemon as daemons
from agent_studio.capture.otlp.process import make_token
from agent_studio.cli.output import Result, Screen, announce, warn
from agent_studio.environment.roots import STATE
from agent_studio.errors import BusyError, ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.capture.otlp.daemon import Daemon
    from agent_studio.cli.dispatch import Session

TOKEN_VARIABLE = "AGENT_STUDIO_SERVE_TOKEN"  # noqa: S105 - a variable's name
_PORTS_END = 65_535
_TOKEN_MAX = 4_096
_LONGEST_S = 86_400
_LIBRARIES = ("uvicorn", "asyncio")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    parser.add_argument(
        "--port", type=int, help="port; 0 picks one (default: development 4381, staging 4382, production 4383)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--token-file", metavar="FILE", help="file with the token that clients have to send")
    parser.add_argument(
        "--ingest-interval", type=float, default=5.0, metavar="SECONDS",
        help="time between two rounds of ingest, 0 for none (default: 5)",
    )  # fmt: skip
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--status", action="store_true", help="say whether it runs; exit code 1 when not")
    only.add_argument("--stop", action="store_true", help="stop it and wait until it is gone")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Serve until told to stop, or look after the daemon that serves."""
    token = session.variables.pop(TOKEN_VARIABLE, None)
    if args.status:
        return _status(session)
    if args.stop:
        return _stop(session)
    return _serve(args, session, token)


def _status(session: Session) -> Result:
    daemon = daemons.running(session.context.root)
    text = _running(session, daemon) if daemon else f"{session.choice.environment} is not served"
    data = {"running": daemon is not None, **_data(daemon)}
    code = ExitCode.DONE if daemon else ExitCode.FAILED
    return Result(data, lambda screen: screen.mark("ok" if daemon else "none", text), code)


def _stop(session: Session) -> Result:
    root = session.context.root
    try:
        daemon = daemons.stop(root)
    except TimeoutError:
        raise BusyError(
            f"the daemon of {root.environment} was told to stop and is still there",
            hint="look at its log; what it acknowledged is safe when it is killed",
        ) from None
    text = f"Stopped the daemon of {root.environment}" if daemon else f"{root.environment} was not served"
    data = {"stopped": daemon is not None, **_data(daemon)}
    return Result(data, lambda screen: screen.mark("ok" if daemon else "none", text))


def _serve(args: argparse.Namespace, session: Session, variable: str | None) -> Result:
    if args.port is not None and not 0 <= args.port <= _PORTS_END:
        raise UsageError(f"--port {args.port} is no port", hint="choose one from 1 to 65535, or 0 for any")
    if not 0 <= args.ingest_interval <= _LONGEST_S:
        raise UsageError(
            f"--ingest-interval {args.ingest_interval:g} is no time to wait",
            hint=f"seconds, up to {_LONGEST_S}, or 0 for none",
        )
    token = _token(args, session, variable)
    options = service.Options(args.host, args.port, token, args.ingest_interval, tuple(session.overrides))
    as_json = bool(session.common.json)
    from agent_studio.log.libraries import Exceptions  # noqa: PLC0415 - not to ask whether one is served

    context = session.context
    exceptions = Exceptions(context, _LIBRARIES)

    def say(text: str) -> None:
        log.warning(context, "serve.problem", message=text)
        warn(text)

    def started(daemon: Daemon) -> None:
        exceptions.listen()
        log.info(context, "serve.started", url=daemon.url)
        if as_json:
            warn(_running(session, daemon))
        else:
            announce("\n".join(_greeting(session, daemon, with_token=token is not None)))

    try:
        daemon = service.serve(context, options, session.variables, started=started, say=say)
    finally:
        exceptions.close()
    text = f"Stopped serving {session.choice.environment}; what was acknowledged is in its inbox"
    return Result(_data(daemon), lambda screen: _stopped(screen, text))


def _token(args: argparse.Namespace, session: Session, variable: str | None) -> str | None:
    """Return the token as it is given; an address that others can reach never goes without."""
    token = variable
    source = TOKEN_VARIABLE
    if args.token_file:
        source = args.token_file
        try:
            token = Path(args.token_file).read_bytes()[:_TOKEN_MAX].decode()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--token-file {args.token_file} cannot be read: {error}", hint="name a text file"
            ) from None
    if token is not None:
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable():
            raise UsageError(f"{source} holds no usable token", hint="write one line of letters and figures")
        return token
    return make_token(session.context.root) if service.needs_token(args.host) else None


def _running(session: Session, daemon: Daemon) -> str:
    return f"{session.choice.environment} is served at {daemon.url} by process {daemon.pid} since {daemon.started_at}"


def _greeting(session: Session, daemon: Daemon, *, with_token: bool) -> list[str]:
    environment = session.choice.environment
    place = f"{STATE}/{environment}"
    lines = [
        f"Serving {environment} at {daemon.url} (process {daemon.pid})",
        "  telemetry   POST /v1/logs, /v1/metrics, /v1/traces (OTLP over HTTP: protobuf or JSON)",
        "  http hooks  POST /hooks",
        f"  decisions   {place}/{daemons.SOCKET}",
        f"  dashboard   {daemon.url}/dashboard (to act on alerts: agent-studio monitor web --env {environment})",
        "  health      GET /healthz, /readyz",
        "For a client started by hand, in its shell:",
        "  export CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_METRICS_EXPORTER=otlp OTEL_LOGS_EXPORTER=otlp",
        f"  export OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_EXPORTER_OTLP_ENDPOINT={daemon.url}",
        f"  export OTEL_RESOURCE_ATTRIBUTES=deployment.environment={environment}",
    ]
    if with_token:
        lines.append('  export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20TOKEN" (TOKEN as it was given, or')
        lines.append(f"    what {place}/{daemons.TOKEN} holds)")
    return [*lines, f"Stop: agent-studio serve --stop --env {environment}"]


def _stopped(screen: Screen, text: str) -> None:
    screen.mark("ok", text)


def _data(daemon: Daemon | None) -> dict[str, Any]:
    if daemon is None:
        return {}
    return {
        "pid": daemon.pid,
        "port": daemon.port,
        "host": daemon.host,
        "url": daemon.url,
        "startedAt": daemon.started_at,
    }
