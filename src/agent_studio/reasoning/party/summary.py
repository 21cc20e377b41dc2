"""Parties in short, for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.party import outcome, store, verify

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

_SHOWN = ("id", "question", "state", "option", "share", "decision", "reason", "team", "simulated", "costUsd")
_QUESTION_MAX = 120


def parties(context: Context, limit: int) -> list[dict[str, Any]]:
    """Return the newest parties, newest first; of one that cannot be read only its id and the problem."""
    return [party(context, name) for name in reversed(store.ids(context)[-limit:])]


def party(context: Context, name: str) -> dict[str, Any]:
    """Return one party in short."""
    place = store.find(context, name)
    try:
        found = outcome.of(verify.trusted(place).session)
    except AgentStudioError as error:
        return {**dict.fromkeys(_SHOWN), "id": name, "problem": error.message, "running": False}
    data = outcome.data(found)
    short = {key: data[key] for key in _SHOWN}
    question = " ".join(data["question"].split())
    short["question"] = question if len(question) <= _QUESTION_MAX else question[: _QUESTION_MAX - 1] + "…"
    running = found.session.closed is None and place.is_running()
    return {**short, "startedAt": found.session.opened["timestamp"], "problem": None, "running": running}
