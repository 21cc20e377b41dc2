"""`monitor web`: the dashboard in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import output, records_from
from agent_studio.cli.output import Result
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session

_PORT_MAX = 65_535


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--port", type=int, metavar="N", help="listen there; 0 takes a free one")
    records_from.configure(parser, inner=True)
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Serve until it is ended; where the daemon runs and has the same records, name its own address."""
    from agent_studio.dashboard.web import serve_dashboard  # noqa: PLC0415 - a server, and only for this

    if args.port is not None and not 0 <= args.port <= _PORT_MAX:
        raise UsageError(f"--port is {args.port}", hint=f"give 0 to {_PORT_MAX:,}")

    def started(address: str) -> None:
        (output.warn if session.common.json else output.announce)(f"dashboard: {address}")
        if args.open:
            import webbrowser  # noqa: PLC0415 - only when asked for

            webbrowser.open(address)

    with records_from.chosen(args, session):
        url = serve_dashboard(session.context, session.variables, port=args.port, started=started, say=output.warn)
    return Result({"url": url}, lambda _: None)
