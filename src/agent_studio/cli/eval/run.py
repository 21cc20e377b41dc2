"""`eval run`: tasks tried with one set of definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.eval import running, shared
from agent_studio.cli.output import Result

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    shared.add_selection(parser)
    shared.add_running(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Try the tasks and say how many attempts passed."""
    context = shared.context_of(session)
    done = running.done(args, session, context, None, has_two_sides=False)
    data = shared.single(done.header, done.state.attempts)
    return Result(data, lambda screen: shared.render_single(screen, data), shared.single_code(data), shared.notes(done))
