"""Show how an environment does: limits, hooks, agents, errors, spend, and how fresh all this is.

agent-studio monitor --env staging
agent-studio monitor --env staging --live
agent-studio monitor --env staging --trends
agent-studio monitor --env staging --alerts
agent-studio monitor --env staging --from fleet
agent-studio monitor web --env staging
agent-studio monitor compare staging production
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import records_from, subverbs

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "compare": ("compare", "two environments side by side, each metric beside its limit, and a verdict on the first"),
    "web": ("web", "the dashboard in a browser"),
}
"""Sub-verbs, the module of `cli/monitor/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the options of the summary, and the sub-verbs, each with the options of its own module."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--live", action="store_true", help="keep it on the screen and up to date; q ends it")
    shown.add_argument("--trends", action="store_true", help="the last 7 days, day by day")
    shown.add_argument("--alerts", action="store_true", help="alerts alone; exit 1 while one is firing")
    parser.add_argument("--hours", type=float, metavar="N", help="the last N hours (default: 24)")
    parser.add_argument("--all", action="store_true", help="every hook and agent, however many")
    records_from.configure(parser)
    subverbs.configure(parser, "monitor", _SUBVERBS, required=False)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show the summary, or do a sub-verb."""
    return subverbs.run(args, session, default="monitor.summary")
