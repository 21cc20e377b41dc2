"""Bring a promotion or rollback that was interrupted to its end, and let production prove that it works.

It goes on from the journal as often as it takes; where nothing was interrupted, nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.errors import ExitCode
from agent_studio.release import recovery
from agent_studio.release.sides import refuse_development

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no options of its own."""
    del parser


def run(args: argparse.Namespace, session: Session) -> Result:
    """Recover."""
    refuse_development(session.choice)
    done = recovery.recover(session.project, session.variables, session.overrides)
    settled = done.settled
    problems = []
    if settled and settled.proof.faults:
        back = f"production went back to {settled.returned_to[:12]}" if settled.returned_to else "there is no way back"
        problems.append(Problem("smoke", f"production failed its smoke tests, {back}: {settled.proof.faults[0]}"))
    data = {
        "recovered": done.switch_id or None,
        "release": done.release or None,
        "returnedTo": (settled.returned_to or None) if settled else None,
        "smoke": {"passed": settled.proof.passed, "failed": settled.proof.failed} if settled else None,
    }

    def render(screen: Screen) -> None:
        if not done.switch_id and not settled:
            screen.mark("ok", "Nothing was interrupted")
            return
        if done.switch_id:
            screen.mark("ok", f"The switch of {done.switch_id} is done")
        screen.mark("ok", f"Production is release {done.release}")

    return Result(data, render, ExitCode.FAILED if problems else ExitCode.DONE, problems)
