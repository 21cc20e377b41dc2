"""`kb list`: what there is, filtered and sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.kb import filters
from agent_studio.cli.output import Result, Screen
from agent_studio.errors import ExitCode, UsageError
from agent_studio.knowledge.base import knowledge
from agent_studio.knowledge.catalogue import SORTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.knowledge.answers import Entry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    filters.configure(parser)
    parser.add_argument("--sort", choices=tuple(SORTS), default="name", help="the order (default: name)")
    parser.add_argument("--limit", type=int, metavar="N", help="artifacts at most (default: all)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """List; exit code 1 when filters are given and nothing passes them."""
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit {args.limit} would show nothing", hint="a number from 1 on")
    wanted = filters.given(args)
    with knowledge(session.context) as base:
        found = base.list(**wanted, sort=args.sort, limit=args.limit)
    is_filtered = any(value not in {None, ()} for value in wanted.values())
    return Result(
        {"artifacts": [filters.told(entry) for entry in found]},
        lambda screen: _render(screen, found),
        ExitCode.FAILED if is_filtered and not found else ExitCode.DONE,
        filters.noted(base),
    )


def _render(screen: Screen, found: Sequence[Entry]) -> None:
    if not found:
        screen.line("There is no such artifact.")
        return
    screen.columns(
        ("used", "kind", "name", "path"),
        [(entry.usage_count or None, entry.domain, entry.name, entry.path) for entry in found],
        numbers=("used",),
        has_paths=True,
    )
