"""`fleet init`: the engine's tables, made or brought to this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result, ask
from agent_studio.fleet.address import address
from agent_studio.fleet.engines.opening import opened, script

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    how.add_argument("--sql", action="store_true", help="print the statements for an empty engine; connect to none")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Create or migrate the schema, or say what that would be."""
    config = session.context.config
    where, days = address(config, "fleet.engine"), int(config["fleet.retentionDays"])
    if args.sql:
        text = script(where, days)
        return Result({"engine": where.shown, "sql": text}, lambda screen: screen.verbatim(text.encode()))
    with opened(where, "") as engine:
        steps = engine.init(days, dry_run=True)
        if steps and not args.dry_run:
            ask(f"in {where.shown}: {_counted(steps)}?", yes=args.yes)
            steps = engine.init(days)
    data = {"engine": where.shown, "steps": steps, "dryRun": args.dry_run}

    def render(screen: Screen) -> None:
        for step in steps:
            screen.mark("note" if args.dry_run else "ok", step)
        if not steps:
            screen.mark("ok", f"{where.shown} has its tables: nothing to do")
        elif args.dry_run:
            screen.line("nothing was changed (--dry-run)")

    return Result(data, render)


def _counted(steps: list[str]) -> str:
    return steps[0] if len(steps) == 1 else f"{len(steps)} steps, from '{steps[0]}' to '{steps[-1]}'"
