"""`party resume`: go on with an interrupted party."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.party import shared
from agent_studio.errors import ExitCode
from agent_studio.reasoning.party import holding

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Result


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id."""
    shared.add_id(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Go on; exit code 5 where another process is at work on it."""
    place = shared.place_of(session, args.party)
    try:
        found = holding.resume(session.context, place, shared.telling)
    except KeyboardInterrupt:
        return shared.result(shared.read(place), code=ExitCode.INTERRUPTED)
    return shared.result(found)
