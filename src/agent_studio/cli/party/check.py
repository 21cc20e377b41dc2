"""`party check`: whether a team can sit down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result
from agent_studio.errors import AgentStudioError, ConfigurationError, ExitCode
from agent_studio.reasoning.party import holding, own, seats, team

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.team import Team


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the team."""
    parser.add_argument("team", nargs="?", metavar="TEAM", help="by default the one that is asked by default")
    parser.add_argument("--models", action="store_true", help="look whether each seat's model can be opened, too")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Check a team's file, agents, methods and models; exit code 2 for a wrong file, 1 for a wrong seat."""
    context = session.context
    asked = team.load(context, args.team)
    faults = list(_faults(context, asked, models=args.models))
    rows = [] if faults else [_row(one) for one in seats.bind(context.project, asked)]
    data = {
        "team": asked.name, "source": asked.source, "file": asked.file, "sha256": asked.sha256, "seats": rows,
        "faults": [{"message": one.message, "hint": one.hint} for one in faults],
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.mark("bad" if faults else "ok", f"{asked.file}: {len(asked.seats)} seats")
        if rows:
            table = [
                (one["seat"], one["agent"], one["persona"], one["model"], one["weight"], one["method"]) for one in rows
            ]
            screen.table(("seat", "agent", "persona", "model", "weight", "method"), table, numbers={"seat"})

    problems = [Problem(one.code, one.message, one.hint) for one in faults]
    return Result(data, render, ExitCode.FAILED if faults else ExitCode.DONE, problems)


def _faults(context: Context, asked: Team, *, models: bool) -> Iterator[AgentStudioError]:
    wrong = list(seats.faults(context.project, asked))
    yield from wrong
    for seat in asked.seats:
        try:
            own.method(context, seat.method)
        except ConfigurationError as fault:
            yield ConfigurationError(f"{asked.file}:{seat.line}: {fault.message}", hint=fault.hint)
    if models and not wrong:
        yield from holding.unopened(context, seats.bind(context.project, asked))


def _row(one: seats.Bound) -> dict[str, Any]:
    return {
        "seat": one.seat.number, "agent": one.seat.agent, "role": one.seat.role, "persona": one.source,
        "file": one.file or None, "sha256": one.sha256, "model": one.seat.model or one.model or None,
        "weight": str(one.seat.weight), "method": one.seat.method or None, "tools": list(one.seat.tools),
    }  # fmt: skip
