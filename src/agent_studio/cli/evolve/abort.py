"""`evolve abort`: the current evolution is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Result
from agent_studio.evolution import workflow

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; kept for ever")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Give it up."""
    one = workflow.abort(session.context, args.reason)
    log.info(session.context, "evolution.aborted", evolution=one.id, phase=one.phase)
    data = {"evolution": shared.told(session.context, one)}
    said = f"{shared.title(one)} is given up in {one.phase}: {one.reason}"
    return Result(data, lambda screen: screen.mark("ok", said))
