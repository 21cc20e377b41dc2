"""The options that choose transcripts, dates and a time zone, and what they mean."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.cost import periods, places
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cost.periods import Zone


class Folders(NamedTuple):
    """Which transcripts are meant."""

    folders: list[str]
    project: str | None
    """The path of the one project, None for all."""


class Range(NamedTuple):
    """From when until when, ms since 1970; None is open."""

    since_ms: int | None
    until_ms: int | None


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add what chooses transcripts."""
    parser.add_argument(
        "--config-dir", action="append", default=[], metavar="DIR",
        help="a configuration folder of the client, with all projects in it; may be repeated (default: this project's "
        "transcripts in CLAUDE_CONFIG_DIR or ~/.claude)",
    )  # fmt: skip
    parser.add_argument(
        "--all-projects", action="store_true", help="the transcripts of every project, not only this one"
    )


def folders(args: argparse.Namespace, session: Session) -> Folders:
    """Return what the options of `add_folders` choose."""
    home = Path(session.variables.get("HOME") or session.variables.get("USERPROFILE") or Path.home())
    found = places.config_folders(args.config_dir, session.variables, home)
    everything = args.all_projects or bool(args.config_dir)
    return Folders(found, None if everything else str(session.project.path))


def add_range(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a stretch of time."""
    parser.add_argument("--since", metavar="TIME", help="from a day (2026-01-31), a time, or so long ago (7d, 12h)")
    parser.add_argument("--until", metavar="TIME", help="up to and with a day, or up to a time")
    parser.add_argument("--days", type=int, metavar="N", help="the last N days, today among them")
    parser.add_argument("--today", action="store_true", help="today alone")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="whose days are meant, such as Europe/Berlin (default: local)"
    )


def chosen_range(args: argparse.Namespace, where: Zone) -> Range:
    """Return what the options of `add_range` choose; raise `UsageError` for what excludes each other."""
    now_ms = int(time.time() * 1000)
    given = [name for name in ("since", "days", "today") if getattr(args, name) not in {None, False}]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} both say where to start", hint="keep one of them")
    until_ms = None if args.until is None else periods.moment(args.until, where, now_ms, end=True)
    if args.since is not None:
        since_ms: int | None = periods.moment(args.since, where, now_ms, end=False)
    elif args.today or args.days is not None:
        days = 1 if args.today else args.days
        if not 1 <= days <= 36_525:  # noqa: PLR2004 - a hundred years
            raise UsageError(f"--days {days} is no number of days", hint="1 is today alone")
        since_ms = where.start_ms(where.local(now_ms).date() - timedelta(days=days - 1))
    else:
        since_ms = None
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise UsageError("--until lies before the start", hint="the range holds nothing")
    return Range(since_ms, until_ms)
