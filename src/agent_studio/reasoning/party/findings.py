"""What doctor says of a project's teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.party import seats, team

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context


def checks(context: Context) -> Iterator[Finding]:
    """Yield what is wrong with a team of the project, or that all can sit down; nothing where it has none."""
    own = [name for name, source in team.names(context.project).items() if source == team.PROJECT]
    wrong = 0
    for name in own:
        for fault in _faults(context, name):
            wrong += 1
            yield Finding("teams", Severity.WARNING, fault.message, fault.hint or f"agent-studio party check {name}")
    if own and not wrong:
        yield Finding("teams", Severity.OK, f"every seat of {len(own)} team{'s' * (len(own) != 1)} has an agent")


def _faults(context: Context, name: str) -> Iterator[AgentStudioError]:
    try:
        yield from seats.faults(context.project, team.load(context, name))
    except AgentStudioError as fault:
        yield fault
