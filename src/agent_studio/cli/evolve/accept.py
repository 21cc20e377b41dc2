"""`evolve accept`: begin with a suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.evolve import start
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Result


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("suggestion", metavar="ID", help="the suggestion, or the start of its id")
    start.add_what(parser)
    parser.add_argument("--need", metavar="TEXT", default="", help="what nothing does yet (default: the suggestion)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Begin it."""
    if not args.suggestion.strip():
        raise UsageError("an empty text names no suggestion", hint="agent-studio evolve list")
    return start.begin(args, session, args.need, args.suggestion)
