"""`party teams`: which teams there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result
from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.party import team

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""
    parser.set_defaults()


def run(_: argparse.Namespace, session: Session) -> Result:
    """List teams; a file that is wrong is a problem, and the others are listed all the same."""
    rows: list[dict[str, Any]] = []
    problems = []
    for name, source in team.names(session.project).items():
        try:
            seats = [one.agent for one in team.load(session.context, name).seats]
        except AgentStudioError as fault:
            problems.append(Problem(fault.code, fault.message, fault.hint, is_note=True))
            seats = []
        rows.append({"name": name, "source": source, "seats": seats})

    def render(screen: Screen) -> None:
        listed = ((one["name"], one["source"], ", ".join(one["seats"]) or "-") for one in rows)
        screen.columns(("team", "source", "seats"), list(listed))

    return Result({"teams": rows}, render, problems=problems)
