"""`party cancel`: end a party with what there is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem
from agent_studio.cli.party import shared
from agent_studio.reasoning.party import holding

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Result

_PATIENCE_S, _LOOK_S = 20.0, 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id."""
    shared.add_id(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """End a party, and wait until the process at work on it has let go."""
    place = shared.place_of(session, args.party)
    found = holding.cancel(place)
    until_s = time.monotonic() + _PATIENCE_S
    while found is None and place.is_running() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    now = found or shared.read(place)
    result = shared.result(now)
    if found is None and place.is_running():
        waiting = Problem("still-running", "it was told to end and has not yet", now.session.command("show"))
        return result._replace(problems=[*result.problems, waiting])
    return result
