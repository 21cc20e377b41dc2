"""What the history of evolutions comes to: a fold over its records, and nothing else.

Each record has `event`: imported, started, answered, researched, judged, placing, ended, suggested or dismissed. One of
a later version with another event is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent_studio.errors import IntegrityError
from agent_studio.evolution import phases
from agent_studio.evolution.gate import FAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Record = Mapping[str, Any]

JOURNAL = "evolution.jsonl"
"""What happened, beside the state file that it comes to."""
VERSION = 2
"""Of the state file; 1 is what `init` writes before the first evolution."""
OPEN, DISMISSED, TAKEN = "open", "dismissed", "taken"
_OF_NAME = {"name-form", "name-conflict"}
"""Gates that refuse a name, and not what is needed."""
_STARTS = 16
"""The last starts, of which some may lie ahead of the clock; more than may be in an hour."""


@dataclass(frozen=True)
class Evolution:
    """One artifact on its way."""

    id: int
    kind: str
    name: str
    need: str
    """What nothing that is there does, in a sentence."""
    description: str
    """What the artifact will say of itself; the need where nothing else was said."""
    started: str
    """RFC 3339 UTC."""
    who: str
    phase: str = phases.EVALUATE
    suggestion: str = ""
    """Id of the suggestion that it answers."""
    unlike: Mapping[str, str] = field(default_factory=dict)
    """Artifacts that look like it, by name, and why none of them does what is needed."""
    research: tuple[dict[str, Any], ...] = ()
    locked: str = ""
    """Hash of the draft, from Lock on."""
    placing: str = ""
    """Hash of what was about to be put among the definitions."""
    blocked: tuple[str, ...] = ()
    """Why it may not go on as it is."""
    gates: tuple[dict[str, Any], ...] = ()
    """What the gates said last."""
    outcome: str = ""
    """enabled, stopped or aborted; empty while it is under way."""
    reason: str = ""
    ended: str = ""

    @property
    def place(self) -> str:
        """Where it will lie below the definitions."""
        return phases.KINDS[self.kind].format(self.name)


@dataclass(frozen=True)
class Suggestion:
    """Something that a project may need."""

    id: str
    kind: str
    """unanswered-search, repeated-error, failing-agent or said."""
    text: str
    count: int
    first: str
    last: str
    evidence: tuple[dict[str, Any], ...]
    status: str = OPEN
    """open, dismissed or taken."""
    reason: str = ""


@dataclass(frozen=True)
class State:
    """Where everything stands."""

    current: Evolution | None = None
    past: tuple[Evolution, ...] = ()
    suggestions: Mapping[str, Suggestion] = field(default_factory=dict)
    imported: Mapping[str, Any] = field(default_factory=dict)
    """What the original had kept: history, patterns, suggestionsQueue, and all else under `other`."""
    started: tuple[str, ...] = ()
    """When evolutions were started."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """Of a start that a later record says is still to come: the earliest time that such a record names."""

    @property
    def phase(self) -> str:
        """The phase that the current one is in, or idle."""
        return self.current.phase if self.current else phases.IDLE

    @property
    def queue(self) -> list[Suggestion]:
        """The suggestions that wait, most frequent first."""
        waiting = (one for one in self.suggestions.values() if one.status == OPEN)
        return sorted(waiting, key=lambda one: (-one.count, one.first, one.id))

    @property
    def next_id(self) -> int:
        """The number of the next evolution."""
        before = (one.get("id") for one in self.imported.get("history", []) if isinstance(one, dict))
        own = (one.id for one in (*self.past, *filter(None, (self.current,))))
        return 1 + max((*own, *(one for one in before if isinstance(one, int))), default=0)


def fold(records: Iterable[Record], state: State | None = None) -> State:
    """Return the state that records lead to, from nothing or from one that was there.

    Raises `IntegrityError` for a record that lacks what its event has.
    """
    found = state or State()
    for number, record in enumerate(records, 1):
        event = _EVENTS.get(str(record.get("event")), _as_it_was)
        try:
            found = _noticed(event(found, record), str(record.get("timestamp", "")))
        except (KeyError, TypeError, ValueError, AttributeError):
            said = f"record {record.get('_seq', number)} of {JOURNAL} lacks what {record.get('event')!r} has"
            raise IntegrityError(said) from None
    return found


def _as_it_was(state: State, _: Record) -> State:
    return state


def _noticed(state: State, now: str) -> State:
    """Remember when it was first seen that a start lies ahead of the clock."""
    ahead = {at: min(now, state.seen.get(at, now)) for at in state.started[-_STARTS:] if now and at > now}
    return replace(state, seen={**state.seen, **ahead}) if ahead else state


def _imported(state: State, record: Record) -> State:
    kept: dict[str, Any] = record["kept"]
    queue = [_suggestion(one) for one in record["suggestions"]]
    known = {one.id for one in state.past}
    past = [one for one in map(_evolution, record.get("past", ())) if one.id not in known]
    began = record["evolution"]
    current = state.current if began is None else _evolution(began)
    if current and state.current and current.id == state.current.id:  # its phase is what records say, not a file
        now = state.current
        more = tuple(one for one in current.research if one not in now.research)
        current = replace(now, unlike={**now.unlike, **current.unlike}, research=(*now.research, *more))
    if current and current.id in {one.id for one in (*state.past, *past)}:
        current = None
    own = (one for one in (*past, *filter(None, (current,))) if one.started not in state.started)
    return replace(
        state, imported=kept if any(kept.values()) else state.imported, current=current, past=(*state.past, *past),
        suggestions={**state.suggestions, **{one.id: one for one in queue}},
        started=(*state.started, *(one.started for one in own if record.get("is_ours"))),
    )  # fmt: skip


def _evolution(told: Record) -> Evolution:
    if told["kind"] not in phases.KINDS or type(told["id"]) is not int:
        raise ValueError
    lists = ("research", "blocked", "gates")
    fields: dict[str, Any] = {name: tuple(value) if name in lists else value for name, value in told.items()}
    return Evolution(**fields)


def _started(state: State, record: Record) -> State:
    names = ("id", "kind", "name", "need", "description", "who", "suggestion", "unlike")
    begun = _evolution({"started": record["timestamp"], **{name: record[name] for name in names}})
    found = replace(state, current=begun, started=(*state.started, record["timestamp"]))
    return _marked(found, begun.suggestion, TAKEN, f"evolution {begun.id}, {begun.kind} {begun.name}")


def _answered(state: State, record: Record) -> State:
    return _with(state, record, lambda one: {"unlike": {**one.unlike, **record["unlike"]}})


def _researched(state: State, record: Record) -> State:
    return _with(state, record, lambda one: {"research": (*one.research, record["source"])})


def _judged(state: State, record: Record) -> State:
    failed = [f"{one['name']}: {one['reason']}" for one in record["gates"] if one["verdict"] == FAIL]
    told = {"phase": record["to"], "gates": tuple(record["gates"]), "blocked": tuple(failed)}
    if "locked" in record:
        told["locked"] = record["locked"]
    return _with(state, record, lambda _: told)


def _placing(state: State, record: Record) -> State:
    return _with(state, record, lambda _: {"placing": record["sha256"]})


def _ended(state: State, record: Record) -> State:
    told = {name: record[name] for name in ("outcome", "reason")}
    gates = {"gates": tuple(record["gates"])} if record.get("gates") else {}
    found = _with(state, record, lambda _: {**told, **gates, "ended": record["timestamp"], "blocked": ()})
    one = found.current
    if found is state or one is None:
        return found
    failed = {gate["name"] for gate in record.get("gates") or () if gate["verdict"] == FAIL}
    if record["outcome"] == phases.ABORTED or (failed and failed <= _OF_NAME):  # another name may do
        found = _marked(found, one.suggestion, OPEN, "")
    elif record["outcome"] == phases.STOPPED:
        found = _marked(found, one.suggestion, DISMISSED, record["reason"])
    return replace(found, current=None, past=(*found.past, one))


def _suggested(state: State, record: Record) -> State:
    new = _suggestion(record["suggestion"])
    held = state.suggestions.get(new.id)
    kept = new if held is None or record.get("is_open") else replace(new, status=held.status, reason=held.reason)
    return replace(state, suggestions={**state.suggestions, new.id: kept})


def _dismissed(state: State, record: Record) -> State:
    return _marked(state, record["id"], DISMISSED, record["reason"])


_EVENTS: Mapping[str, Callable[[State, Record], State]] = {
    "imported": _imported, "started": _started, "answered": _answered, "researched": _researched, "judged": _judged,
    "placing": _placing, "ended": _ended, "suggested": _suggested, "dismissed": _dismissed,
}  # fmt: skip


def _with(state: State, record: Record, change: Callable[[Evolution], dict[str, Any]]) -> State:
    one = state.current
    if one is None or one.id != record["id"]:
        return state
    return replace(state, current=replace(one, **change(one)))


def _marked(state: State, unique: str, status: str, reason: str) -> State:
    held = state.suggestions.get(unique)
    if held is None:
        return state
    return replace(state, suggestions={**state.suggestions, unique: replace(held, status=status, reason=reason)})


def _suggestion(told: Mapping[str, Any]) -> Suggestion:
    if not is_suggestion(told):
        raise ValueError
    return Suggestion(**{**told, "evidence": tuple(told["evidence"])})


def is_suggestion(told: Mapping[str, Any]) -> bool:
    """Tell whether the values are those of a suggestion: a hand may have written them."""
    texts = ("id", "kind", "text", "first", "last")
    if not all(isinstance(told.get(name), str) for name in texts) or type(told.get("count")) is not int:
        return False
    pieces = told.get("evidence")
    return bool(told["id"]) and isinstance(pieces, list | tuple) and all(isinstance(one, dict) for one in pieces)
