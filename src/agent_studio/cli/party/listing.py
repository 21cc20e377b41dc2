"""`party list`: what was asked, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result
from agent_studio.errors import UsageError
from agent_studio.reasoning.party import store, summary

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen

_LIMIT = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the limit."""
    parser.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help=f"the newest N (default: {_LIMIT})")


def run(args: argparse.Namespace, session: Session) -> Result:
    """List parties, the newest first; one that is damaged is listed as such."""
    if args.limit < 1:
        raise UsageError(f"--limit is {args.limit}", hint="from 1 up")
    found = summary.parties(session.context, args.limit)
    return Result({"parties": found}, lambda screen: _render(screen, found, str(session.context.environment)))


def _render(screen: Screen, found: list[dict[str, Any]], environment: str) -> None:
    if not found:
        screen.line(f"No party was held in {environment} yet: {store.RUN}")
        return
    rows = [
        (
            one["id"],
            one["state"] or one["problem"] or "",
            one["option"] or "-",
            one["team"] or "-",
            one["question"] or "-",
        )
        for one in found
    ]
    screen.columns(("id", "state", "option", "team", "question"), rows)
