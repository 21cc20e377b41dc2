"""`monitor compare`: two environments side by side, and a verdict on the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import records_from
from agent_studio.cli.monitor import summary
from agent_studio.cli.output import Result, working
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.errors import ExitCode, UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context

_CODES = {"PASS": ExitCode.DONE, "FAIL": ExitCode.FAILED, "INSUFFICIENT": ExitCode.INSUFFICIENT}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two environments and the stretch of time."""
    parser.add_argument("a", metavar="A", help="the environment that is judged")
    parser.add_argument("b", metavar="B", help="the one it is compared with")
    parser.add_argument("--hours", type=float, metavar="N", help="the last N hours (default: 24)")
    records_from.configure(parser, inner=True)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Compare; exit 0 when the first keeps its limits, 1 when not, 3 when too little is known."""
    from agent_studio.dashboard.figures import of_window  # noqa: PLC0415 - only what this needs
    from agent_studio.monitor import comparison, metrics  # noqa: PLC0415

    hours = summary.checked_hours(args.hours)
    first, second = _opened(session, args.a), _opened(session, args.b)
    if first.environment is second.environment:
        raise UsageError(f"{args.a} and {args.b} are one environment", hint="name two")
    with working("reading both environments"), records_from.chosen(args, session):
        if records_from.is_fleet(args):
            first, second = (one._replace(shared=session.context.shared) for one in (first, second))
        found = comparison.compare(first, second, metrics.last_hours(hours))
    data = {"from": args.records_from, "window": of_window(found.window), **comparison.data_of(found)}
    return Result(data, lambda screen: summary.draw(screen, "comparison", data), _CODES[found.verdict])


def _opened(session: Session, name: str) -> Context:
    folded = name.strip().lower()
    if folded not in list(Environment):
        raise UsageError(f"there is no environment {name!r}", hint=did_you_mean(name, Environment))
    choice = Choice(Environment(folded), "monitor compare")
    return open_context(session.project, choice, session.variables, session.overrides)
