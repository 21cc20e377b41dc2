"""Parties in short, for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.party import outcome, store, verify

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.store import Place

_SHOWN = ("id", "question", "state", "option", "share", "decision", "reason", "team", "simulated", "costUsd")
_QUESTION_MAX = 120


def parties(context: Context, limit: int) -> list[dict[str, Any]]:
    """Return the newest parties, newest first; of one that cannot be read only its id and the problem."""
    return [_short(place) for place in reversed(store.every(context)[-limit:])]


def _short(place: Place) -> dict[str, Any]:
    try:
        found = outcome.of(verify.trusted(place).session)
    except AgentStudioError as error:
        return {**dict.fromkeys(_SHOWN), "id": place.id, "problem": error.message, "running": False}
    data = outcome.data(found)
    short = {key: data[key] for key in _SHOWN}
    question = " ".join(data["question"].split())
    short["question"] = question if len(question) <= _QUESTION_MAX else question[: _QUESTION_MAX - 1] + "…"
    running = found.session.closed is None and place.is_running()
    return {**short, "startedAt": found.session.opened["timestamp"], "problem": None, "running": running}
