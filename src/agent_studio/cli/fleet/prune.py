"""`fleet prune`: what the engine keeps no longer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.cli.output import Result, ask
from agent_studio.fleet.address import address
from agent_studio.fleet.engines.opening import opened

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--dry-run", action="store_true", help="say how much would go, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Remove partitions of days that are older than the retention; run it once a day."""
    config = session.context.config
    where, days = address(config, "fleet.engine"), int(config["fleet.retentionDays"])
    begin = (clock.now() - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    before_ms = round(begin.timestamp() * 1000)
    with opened(where, "") as engine:
        engine.require()
        found = engine.prune(before_ms, dry_run=True)
        if found and not args.dry_run:
            ask(f"in {where.shown}: remove {_said(found, f'{begin:%Y-%m-%d}')}, of every project?", yes=args.yes)
        if not args.dry_run:  # what is of no day has no partition, and goes all the same
            found = engine.prune(before_ms)
    data = {"engine": where.shown, "before": clock.timestamp(begin), "partitions": found, "dryRun": args.dry_run}

    def render(screen: Screen) -> None:
        screen.mark("note" if args.dry_run else "ok", _said(found, f"{begin:%Y-%m-%d}"))
        if args.dry_run:
            screen.line("nothing was changed (--dry-run)")

    return Result(data, render)


def _said(partitions: int, day: str) -> str:
    return f"{partitions} partitions of days before {day}"
