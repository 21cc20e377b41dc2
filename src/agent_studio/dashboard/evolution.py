"""Evolution as the page shows it: what is under way, what came before, what is suggested; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

_PAST = 50
_QUEUE = 100


def evolution(context: Context) -> dict[str, Any]:
    """Return where evolutions stand, newest first.

    `{environment, phase, phases[], current (as `evolve status --json`, its gates as they were last asked, or null),
    past[], pastCount, imported (how many the original's state file names), suggestions[], suggestionCount, next,
    note (what is the matter with the state file, or empty)}`.
    """
    from agent_studio.evolution import phases, shown, store, workflow  # noqa: PLC0415 - gates and smoke come with it

    held = store.read(context)
    state = held.state
    return {
        "environment": str(context.environment),
        "phase": state.phase,
        "phases": phases.PHASES,
        "current": shown.evolution(state.current) if state.current else None,
        "past": [shown.evolution(one) for one in reversed(state.past[-_PAST:])],
        "pastCount": len(state.past),
        "imported": len(state.imported.get("history", [])),
        "suggestions": [shown.suggestion(one) for one in state.queue[:_QUEUE]],
        "suggestionCount": len(state.queue),
        "next": workflow.next_command(context, state),
        "note": store.problem(held),
    }
