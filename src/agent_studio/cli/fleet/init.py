"""`fleet init`: the engine's tables, made or brought to this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.fleet.address import address
from agent_studio.fleet.engines.opening import opened

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--sql", action="store_true", help="print the statements of a fresh engine; ask none")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Create or migrate the schema, or say what that would be."""
    config = session.context.config
    where = address(config, "fleet.engine")
    with opened(where, "") as engine:
        done = engine.init(int(config["fleet.retentionDays"]))

    def render(screen: Screen) -> None:
        for step in done:
            screen.mark("ok", step)

    return Result({"engine": where.shown, "done": done, "dryRun": args.dry_run}, render)
