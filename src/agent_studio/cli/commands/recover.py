"""Bring a promotion, rollback or restore that was interrupted to its end, and let production prove that it works.

It goes on from the journal as often as it takes; where nothing was interrupted, nothing is changed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, ExitCode
from agent_studio.release import recovery
from agent_studio.release.backups import restore
from agent_studio.release.production import switch, whose
from agent_studio.release.production.sides import open_sides, refuse_development

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
    restored = _restored(session)
    owner = whose.owner(session.project)
    if owner is not None and switch.pending(owner) is not None:
        whose.refuse_production(session.project)
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
        "restored": [{"environment": name, "backup": own} for name, own in restored],
    }

    def render(screen: Screen) -> None:
        for name, own in restored:
            screen.mark("ok", f"Data of {name} is that of backup {own}")
        if not done.switch_id and not settled and not restored:
            screen.mark("ok", "Nothing was interrupted")
        if done.switch_id:
            screen.mark("ok", f"The switch of {done.switch_id} is done")
        if done.switch_id or settled:
            screen.mark("ok", f"Production is release {done.release}")

    return Result(data, render, ExitCode.FAILED if problems else ExitCode.DONE, problems)


def _restored(session: Session) -> list[tuple[str, str]]:
    """End restores that were interrupted; return environment and backup of each."""
    projects = [session.project]
    with suppress(AgentStudioError):  # the journals here say all that has to be known
        projects.append(open_sides(session.project, session.variables, session.overrides).production)
    found = [
        (str(environment), restore.recover(project, environment))
        for project in dict.fromkeys(projects)
        for environment in Environment
    ]
    return [(name, own) for name, own in found if own]
