"""What `doctor` says of evolutions: whether history and state file are sound, and whether somebody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import AgentStudioError
from agent_studio.evolution import store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context

_REPAIR = "agent-studio evolve status --repair"


def checks(context: Context) -> Iterator[Finding]:
    """Yield findings, none before anything was evolved."""
    try:
        held = store.read(context)
    except AgentStudioError as error:
        yield Finding("evolution", Severity.ERROR, error.message, error.hint)
        return
    said = store.problem(held)
    if said:
        severity = Severity.INFO if held.file in {"original", "behind"} else Severity.WARNING
        yield Finding("evolution", severity, said, _REPAIR)
        return
    one = held.state.current
    if one is not None and one.blocked:
        message = f"{one.kind} {one.name} is blocked by {one.blocked[0]}"
        yield Finding("evolution", Severity.INFO, message, "agent-studio evolve status")
