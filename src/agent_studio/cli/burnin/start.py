"""`burnin start`: what the burn-in takes at the least, and the moment from which it counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agent_studio import clock, log
from agent_studio.cli.output import Problem, Result, working
from agent_studio.release.burnin import beginning, progress
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.burnin.beginning import Since
    from agent_studio.release.burnin.progress import Minimum


_YEAR_DAYS = 365


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--restart", action="store_true", help="count from now on though it runs on this candidate")
    parser.add_argument("--dry-run", action="store_true", help="only say what it takes")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Say what it takes, then start; one that runs on this candidate goes on."""
    sides = open_sides(session.project, session.variables, session.overrides)
    aside = beginning.set_damaged_aside(sides.staging) if args.restart and not args.dry_run else ""
    with working("reading the last week"):
        least = progress.minimum(sides)
    if args.dry_run:
        data = {"candidate": least.candidate, "since": None, "started": False, "dryRun": True, **_data(least)}
        return Result(data, lambda screen: _render(screen, least, None, is_new=False))
    begun, is_new = progress.start(sides, restart=args.restart)
    if is_new:
        log.info(sides.staging, "burnin.started", candidate=begun.candidate)
    since = beginning.since(sides.staging, begun)
    data = {
        "candidate": begun.candidate, "since": clock.timestamp(since.at), "who": begun.who, "started": is_new,
        "dryRun": False, **_data(least),
    }  # fmt: skip
    told = f"its damaged journal is {aside} now: replays and starts that it names are forgotten"
    problems = [Problem("damaged", told, is_note=True)] if aside else []
    return Result(data, lambda screen: _render(screen, least, since, is_new=is_new), problems=problems)


def _data(least: Minimum) -> dict[str, Any]:
    return {
        "minimum": [
            {"name": one.name, "limit": one.limit, "needed": None if one.needed == math.inf else one.needed}
            for one in least.requirements
        ],
        "days": None if least.days is None else round(least.days, 2),
        "slowest": least.slowest or None,
    }


def _render(screen: Screen, least: Minimum, since: Since | None, *, is_new: bool) -> None:
    screen.line(f"A burn-in of candidate {least.candidate[:12]} takes at least, when nothing goes wrong:")
    for one in least.requirements:
        screen.line(f"  {one.name:<16} {one.message}")
    screen.line(f"  {_days(least)}")
    screen.line("  of each sample up to half may be replayed: agent-studio burnin exercise")
    if since is None:
        screen.line("\nnothing was started (--dry-run)")
    elif is_new:
        screen.mark("ok", f"It counts from {clock.timestamp(since.at)}: start Claude Code anew, and work in staging")
    else:
        screen.mark(
            "note", f"It counts from {clock.timestamp(since.at)} ({since.why}), and goes on (--restart begins anew)"
        )


def _days(least: Minimum) -> str:
    if any(one.needed == math.inf for one in least.requirements):
        return "days cannot be told: no number of runs can show a limit of 0"
    if least.days is None:
        return f"days cannot be told: in the last week staging recorded nothing for {least.slowest}"
    days = "over a year" if least.days > _YEAR_DAYS else f"{least.days:.1f} days"
    return f"{days} at the rate of the last week ({least.slowest} takes longest)"
