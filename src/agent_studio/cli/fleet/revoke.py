"""`fleet revoke`: let nobody in by a name any more, and remove what a stolen credential wrote."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from agent_studio.cli.moments import moment
from agent_studio.cli.output import Result, ask
from agent_studio.fleet import access
from agent_studio.fleet.address import address

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.fleet.access import Grant, Revoked


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME", help="as whom nobody is to connect any more")
    parser.add_argument(
        "--drop-since", metavar="TIME", help="also remove what it can have written since: a time (UTC), or 24h, 7d"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken and removed, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Revoke a name; what is removed is told by table."""
    where = address(session.context.config, "fleet.engine")
    since = moment("--drop-since", args.drop_since) if args.drop_since else None
    with access.doors(where) as doors:
        since_ms = None if since is None else round(datetime.fromisoformat(since).timestamp() * 1000)
        found = doors.revoke(args.name, since_ms, dry_run=True)
        if not args.dry_run:
            ask(f"in {where.shown}: {_question(args.name, found, since)}?", yes=args.yes)
            found = doors.revoke(args.name, since_ms, dry_run=False)
    data = {
        "engine": where.shown, "name": args.name, "grants": [_shown(one) for one in found.grants], "since": since,
        "steps": list(found.steps), "rows": dict(found.rows), "dryRun": args.dry_run,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        if args.dry_run:
            screen.mark("note", _question(args.name, found, since))
            screen.line("nothing was changed (--dry-run)")
        for step in found.steps:
            screen.mark("ok", step)
        for table, count in found.rows.items():
            if count and not args.dry_run:
                screen.mark("ok", f"removed {count:,} rows of {table}")

    return Result(data, render)


def _question(name: str, found: Revoked, since: str | None) -> str:
    text = f"let nobody in as {name}"
    if since is not None:
        text += f", remove {sum(found.rows.values()):,} rows that arrived since {since[:16].replace('T', ' ')}"
    return text


def _shown(grant: Grant) -> dict[str, str | None]:
    return {name: value or None for name, value in grant._asdict().items()}
