"""The state files of the original, in both shapes: what is read from them, and that nothing of them is lost.

Seeded: `currentPhase, researchEntries, history, patterns, suggestionsQueue`. In use: `state, currentEvolution,
evolutions, patterns, suggestions` and more. What is under way there is taken over at its first phase: which of its
gates held is not recorded.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evolution import phases
from agent_studio.evolution.state import is_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LISTS = {"seeded": ("history", "patterns", "suggestionsQueue"), "used": ("evolutions", "patterns", "suggestions")}
_KNOWN = ("version", "currentPhase", "state", "currentEvolution", "lastUpdated", "journal")
_NOTHING: tuple[Any, ...] = ([], {}, None, "")
_TEXTS = ("need", "text", "title", "suggestion", "description", "reason", "name", "type")
_OURS = ("id", "kind", "text", "count", "first", "last", "evidence")
"""What a suggestion of ours has, in a state file whose journal was lost."""
_EVOLUTION = ("id", "kind", "name", "need", "description", "started", "who", "phase", "outcome", "reason", "ended")
"""What an evolution of ours has."""
_TEXT_MAX = 500
_AT_REST = frozenset(("", "idle", "none", "null"))


class Original(NamedTuple):
    """What a state file of the original says."""

    kept: dict[str, Any]
    """history, patterns, and all else under `other`."""
    suggestions: list[dict[str, Any]]
    """As `state.Suggestion` has them."""
    evolution: dict[str, Any] | None
    """What is under way, as the fields of `state.Evolution`."""
    past: list[dict[str, Any]]
    """What was evolved, in a file of ours."""
    is_ours: bool = False
    """Whether it is a state file whose journal is lost, or ends before it."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that could be lost."""
        return not (self.suggestions or self.evolution or self.past or any(self.kept.values()))


def shape(value: Mapping[str, Any]) -> str:
    """Return `seeded` or `used`, or nothing where it is neither."""
    if "currentPhase" in value:
        return "seeded"
    return "used" if "state" in value else ""


def read(value: Mapping[str, Any], stamp: str) -> Original:
    """Return what a file of either shape says; `stamp` is its time where it names none."""
    history, patterns, queue = _LISTS[shape(value)]
    known = {*_KNOWN, history, patterns, queue}
    other = {name: one for name, one in value.items() if name not in known and one not in _NOTHING}
    running = value.get("currentEvolution")
    phase = value.get("currentPhase", value.get("state"))
    evolution = _evolution(running, stamp, is_ours="journal" in value) if isinstance(running, dict) else None
    before = [one["id"] for one in _listed(value, history) if isinstance(one, dict) and type(one.get("id")) is int]
    if evolution is not None and not evolution["id"]:
        evolution["id"] = 1 + max((0, *before))
    if running is not None and evolution is None:
        other["currentEvolution"] = running
    if str(phase or "").casefold() not in _AT_REST:
        other["phase"] = phase
    kept = {"history": _listed(value, history), "patterns": _listed(value, patterns), "other": other}
    found = {one["id"]: one for one in _suggestions(_listed(value, queue), stamp)}
    if "journal" not in value:
        return Original(kept, list(found.values()), evolution, [])
    imported = value.get("imported")
    kept["other"] = imported if isinstance(imported, dict) else other
    for one in kept["patterns"]:  # those of suggestions that wait no longer stand here alone
        if isinstance(one, dict) and is_suggestion({**one, "evidence": []}) and one["id"] not in found:
            names = (*_OURS, "status", "reason")
            found[one["id"]] = {"evidence": [], **{name: one[name] for name in names if name in one}}
    kept["patterns"] = [one for one in kept["patterns"] if not (isinstance(one, dict) and one.get("id") in list(found))]
    past = [one for one in kept["history"] if _is_evolution(one)]
    kept["history"] = [one for one in kept["history"] if not _is_evolution(one)]
    return Original(kept, list(found.values()), evolution, [_past(one) for one in past], is_ours=True)


def _is_evolution(one: Any) -> bool:
    if not isinstance(one, dict) or type(one.get("id")) is not int or one.get("kind") not in list(phases.KINDS):
        return False
    return all(isinstance(one.get(name), str) for name in _EVOLUTION[1:])


def _past(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: one[name] for name in _EVOLUTION}, "unlike": _answers(one), "suggestion": _word(one, "suggestion"),
        "locked": _word(one, "locked"), "gates": [gate for gate in _listed(one, "gates") if _is_gate(gate)],
        "research": [_source(source, is_ours=True) for source in _listed(one, "research")],
    }  # fmt: skip


def _is_gate(one: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("name", "verdict", "reason"))


def _word(one: Mapping[str, Any], name: str) -> str:
    return one[name] if isinstance(one.get(name), str) else ""


def _answers(one: Mapping[str, Any]) -> dict[str, str]:
    found = one.get("unlike")
    return {name: why for name, why in found.items() if isinstance(why, str)} if isinstance(found, dict) else {}


def _listed(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if isinstance(found, list):
        return found
    return [] if found in _NOTHING else [found]


def unique(kind: str, key: str) -> str:
    """Return the id of a suggestion: the same of the same thing, whoever finds it."""
    return hashlib.sha256(f"{kind}\x1f{key}".encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _suggestions(found: Iterable[Any], stamp: str) -> Iterator[dict[str, Any]]:
    for one in found:
        if isinstance(one, dict) and is_suggestion(one):
            yield {name: one[name] for name in _OURS}
            continue
        text = _text(one)
        at = str(one.get("timestamp", stamp)) if isinstance(one, dict) else stamp
        yield {
            "id": unique("said", text), "kind": "said", "text": text, "count": 1, "first": at, "last": at,
            "evidence": [{"original": one}],
        }  # fmt: skip


def _text(one: Any) -> str:
    if isinstance(one, dict):
        said = next((one[name] for name in _TEXTS if isinstance(one.get(name), str) and one[name].strip()), None)
        one = json.dumps(one, ensure_ascii=False, sort_keys=True) if said is None else said
    return " ".join(str(one).split())[:_TEXT_MAX]


def _evolution(running: Mapping[str, Any], stamp: str, *, is_ours: bool) -> dict[str, Any] | None:
    """Return what is under way, or None where its kind or its name cannot be told."""
    names = ("type", "artifactType", "kind")
    kind = next((str(running[name]).casefold() for name in names if running.get(name)), "")
    name = str(running.get("name") or running.get("artifactName") or "").strip()
    if kind not in phases.KINDS or not name:
        return None
    said = (running.get(one) for one in ("need", "reason", "description"))
    need = next((one for one in said if isinstance(one, str)), name)
    found = running.get("research", running.get("researchEntries", []))
    number = running.get("id")
    return {
        "id": number if type(number) is int and number > 0 else 0, "kind": kind, "name": name, "need": need,
        "description": str(running.get("description") or need),
        "started": str(running.get("started") or running.get("startedAt") or stamp), "who": "imported",
        "unlike": _answers(running), "suggestion": _word(running, "suggestion"),
        "research": [_source(one, is_ours=is_ours) for one in (found if isinstance(found, list) else [])],
    }  # fmt: skip


def _source(one: Any, *, is_ours: bool) -> dict[str, Any]:
    """Return a source; only what was recorded here has a key, by which it counts."""
    needed = ("source", "says", "key", *(("quote",) if isinstance(one, dict) and one.get("kind") == "file" else ()))
    is_ours = is_ours and isinstance(one, dict) and one.get("kind") in ("url", "file", "document")
    if is_ours and all(isinstance(one.get(name), str) for name in needed):
        return {name: one[name] for name in ("kind", *needed)}
    return {"kind": "imported", "source": _text(one), "original": one}
