"""The state file: what programs that know the original's five fields find there, and ours beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agent_studio.evolution.state import JOURNAL, VERSION

if TYPE_CHECKING:
    from agent_studio.evolution.state import Evolution, State, Suggestion
    from agent_studio.storage.chain import Head


def journal(head: Head) -> dict[str, Any]:
    """Return how far the journal was when the file was written."""
    return {"file": JOURNAL, "seq": head.seq, "hash": head.hash}


def file(state: State, head: Head) -> dict[str, Any]:
    """Return what the state file holds."""
    now = state.current
    value = {
        "version": VERSION,
        "currentPhase": state.phase,
        "researchEntries": list(now.research) if now else [],
        "history": [*state.imported.get("history", []), *map(evolution, state.past)],
        "patterns": [*state.imported.get("patterns", []), *map(_pattern, state.suggestions.values())],
        "suggestionsQueue": [suggestion(one) for one in state.queue],
        "currentEvolution": evolution(now) if now else None,
        "imported": state.imported.get("other", {}),
        "journal": journal(head),
    }
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


def text(state: State, head: Head) -> bytes:
    """Return the bytes of the state file."""
    return json.dumps(file(state, head), ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"


def evolution(one: Evolution) -> dict[str, Any]:
    """Return an evolution as programs are told of it."""
    value = asdict(one)
    return {
        "id": one.id, "kind": one.kind, "name": one.name, "place": one.place, "need": one.need,
        "description": one.description, "phase": one.phase, "outcome": one.outcome or None, "reason": one.reason,
        "started": one.started, "ended": one.ended or None, "who": one.who, "suggestion": one.suggestion or None,
        "unlike": value["unlike"], "research": list(one.research), "locked": one.locked or None,
        "blocked": list(one.blocked), "gates": list(one.gates),
    }  # fmt: skip


def suggestion(one: Suggestion) -> dict[str, Any]:
    """Return a suggestion as programs are told of it."""
    return {**asdict(one), "evidence": list(one.evidence)}


def _pattern(one: Suggestion) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "evidence"}
