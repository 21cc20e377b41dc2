"""`evolve dismiss`: a suggestion that nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.evolution import shown, suggestions

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("suggestion", metavar="ID", help="the suggestion, or the start of its id")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why it is not needed; kept for ever")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Dismiss it."""
    one = suggestions.dismiss(session.context, args.suggestion, args.reason)
    data = {"suggestion": shown.suggestion(one)}
    return Result(data, lambda screen: screen.mark("ok", f"suggestion {one.id} is dismissed: {one.reason}"))
