"""Suggestions: what a project seems to need, from what its records say again and again, and from people.

Each has its evidence and how often it was seen; the same thing is one suggestion, however often it is found.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.evolution import store
from agent_studio.evolution.gates.likeness import stems
from agent_studio.evolution.imported import unique
from agent_studio.evolution.state import DISMISSED, OPEN, Suggestion
from agent_studio.evolution.workflow import known_suggestion, one_line
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge
from agent_studio.monitor import metrics, reading
from agent_studio.monitor.lines import instant_ms
from agent_studio.records import Search
from agent_studio.redaction import redact
from agent_studio.storage import journal

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

UNANSWERED, ERROR, AGENT, SAID = "unanswered-search", "repeated-error", "failing-agent", "said"
LEAST = {UNANSWERED: 2, ERROR: 3, AGENT: 3}
"""How often something has to be seen before it is a pattern."""
DAYS = 30
"""How far back records are looked at."""
_SHOWN = 5
"""Pieces of evidence that are kept."""
_ASKED_AGAIN = 200
"""Questions at most that are asked of the knowledge base again."""
_TEXT_MAX = 300
_ANSWERED = "the knowledge base answers it by now"
"""Why a suggestion waits no longer; it does again when the answer is gone."""
_VARIABLE = re.compile(
    r"[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|(?:/|\b[A-Za-z]:\\)[^\s'\":,;)]+|\d+|\"[^\"]{0,200}\"|'[^']{0,200}'", re.IGNORECASE
)
"""What differs between two reports of one failure: hashes, places, numbers, what is quoted."""


class Pattern(NamedTuple):
    """What was seen again and again."""

    kind: str
    key: str
    text: str
    times: int
    first: str
    last: str
    evidence: tuple[dict[str, Any], ...]

    @property
    def suggestion(self) -> Suggestion:
        """It as a suggestion."""
        return Suggestion(unique(self.kind, self.key), self.kind, *self[2:])


class Found(NamedTuple):
    """What a look at the records came to."""

    patterns: list[Pattern]
    answered: dict[str, str]
    """Ids of suggestions whose question is answered by now, and the artifact that does."""
    damaged: int
    """Lines that could not be read."""


class Suggested(NamedTuple):
    """What was done to the queue."""

    added: list[Suggestion]
    changed: list[Suggestion]
    answered: list[str]
    queue: list[Suggestion]
    damaged: int


class _Seen:
    """Occurrences of one thing: how many, and the last few."""

    def __init__(self) -> None:
        self.times = 0
        self.first = self.last = ""
        self.records: deque[dict[str, Any]] = deque(maxlen=_SHOWN)

    def take(self, record: dict[str, Any]) -> None:
        at = str(record["timestamp"])
        self.times += 1
        self.first, self.last = min(self.first or at, at), max(self.last, at)
        self.records.append(record)

    def pattern(self, kind: str, key: str, text: str, fields: tuple[str, ...]) -> Pattern:
        evidence = tuple(
            {name: one[name] for name in ("timestamp", "eventId", *fields) if one.get(name) is not None}
            for one in self.records
        )
        return Pattern(kind, key, redact(text)[:_TEXT_MAX], self.times, self.first, self.last, evidence)


def look(context: Context) -> Found:
    """Return the patterns in the records of the last days; nothing is written."""
    now_ms = int(clock.now().timestamp() * 1000)
    since_ms = now_ms - int(timedelta(days=DAYS).total_seconds() * 1000)
    searched, damaged = _searches(context, since_ms, now_ms)
    unanswered, answered = _still_unanswered(context, searched)
    failing, more = metrics.settled(context, partial(_all_failures, context, since_ms, now_ms))
    patterns = [one for one in (*unanswered, *failing) if one.times >= LEAST[one.kind]]
    return Found(patterns, answered, damaged + more)


def _searches(context: Context, since_ms: int, now_ms: int) -> tuple[list[Pattern], int]:
    """Return what was searched for without a hit, and how many lines are damaged."""
    held = journal.read(context.root.folder(Search.kind), Search.file)
    groups: dict[str, _Seen] = {}
    for record in held.records:
        query, at_ms = record.get("query"), instant_ms(record.get("timestamp"))
        if record.get("environment") != str(context.environment) or at_ms is None or not since_ms <= at_ms <= now_ms:
            continue
        key = " ".join(sorted(stems(query))) if isinstance(query, str) else ""
        if key:
            groups.setdefault(key, _Seen()).take(record)
    fields = ("query", "source")
    found = [seen.pattern(UNANSWERED, key, str(seen.records[-1]["query"]), fields) for key, seen in groups.items()]
    return found, held.damaged_lines


def _still_unanswered(context: Context, patterns: list[Pattern]) -> tuple[list[Pattern], dict[str, str]]:
    """Ask again what found nothing: an artifact may have come since."""
    ordered = sorted(patterns, key=lambda one: -one.times)[:_ASKED_AGAIN]
    if not ordered:
        return [], {}
    left, answered = [], {}
    with knowledge(context) as base:
        for one in ordered:
            hits = base.search(Query(one.text, limit=1)).hits
            if hits:
                answered[one.suggestion.id] = hits[0].entry.name
            else:
                left.append(one)
    return left, answered


def _all_failures(context: Context, since_ms: int, now_ms: int) -> tuple[list[Pattern], int]:
    """Return what failed, and how many lines are damaged."""
    found, damaged = list[Pattern](), 0
    for kind in ("errors", "agents"):
        groups, more = _failures(context, kind, since_ms, now_ms)
        found += [_failing(kind, who, message, seen) for (who, message), seen in groups.items()]
        damaged += more
    return found, damaged


def _failures(context: Context, kind: str, since_ms: int, now_ms: int) -> tuple[dict[tuple[str, str], _Seen], int]:
    groups: dict[tuple[str, str], _Seen] = {}
    damaged = 0
    for found in reading.records(context, kind, since_ms, now_ms):
        if found is None:
            damaged += 1
            continue
        record, at_ms = found
        if record["environment"] != str(context.environment) or not since_ms <= at_ms <= now_ms:
            continue
        told = _failed(kind, record)
        if told is not None:
            groups.setdefault(told, _Seen()).take(record)
    return groups, damaged


def _failing(kind: str, who: str, message: str, seen: _Seen) -> Pattern:
    last = str(seen.records[-1].get("message" if kind == "errors" else "errorMessage") or "no message")
    fields = ("message", "tool", "source", "sessionId") if kind == "errors" else ("errorMessage", "sessionId")
    name = ERROR if kind == "errors" else AGENT
    return seen.pattern(name, f"{who}\x1f{message}", f"{who} fails: {' '.join(last.split())}", fields)


def _failed(kind: str, record: dict[str, Any]) -> tuple[str, str] | None:
    """Return who failed and how, without what differs from time to time; None for what is no failure."""
    if kind == "agents":
        if record.get("status") != "failed":
            return None
        who, message = record.get("agent"), record.get("errorMessage")
    else:
        who, message = record.get("tool") or record.get("source"), record.get("message")
    return f"{who or 'unknown'}", _VARIABLE.sub("#", " ".join(str(message or "").split()))[:_TEXT_MAX]


def suggest(context: Context) -> Suggested:
    """Bring the queue up to what the records say; what is as it was is left alone."""
    found = look(context)
    added, changed, gone = list[Suggestion](), list[Suggestion](), list[str]()
    with store.changing(context) as change:
        for one in (pattern.suggestion for pattern in found.patterns):
            held = change.state.suggestions.get(one.id)
            is_open_again = held is not None and held.status == DISMISSED and held.reason.startswith(_ANSWERED)
            is_as_it_was = held is not None and (
                held.status != OPEN or (held.count, held.last) == (one.count, one.last)
            )
            if is_as_it_was and not is_open_again:
                continue
            change.add("suggested", suggestion=_told(one), is_open=is_open_again)
            (added if held is None else changed).append(one)
        for waiting in change.state.queue:
            if waiting.id in found.answered:
                reason = f"{_ANSWERED}: {found.answered[waiting.id]}"
                change.add("dismissed", id=waiting.id, reason=reason)
                gone.append(waiting.id)
        return Suggested(added, changed, gone, change.state.queue, found.damaged)


def say(context: Context, text: str) -> tuple[Suggestion, bool]:
    """Put what somebody suggests into the queue; return it, and whether it is new."""
    said = redact(one_line(text, "the suggestion", "what is needed"))
    key = " ".join(sorted(stems(said)))
    if not key:
        raise UsageError(f"{said!r} says nothing", hint="say in a sentence what is needed")
    with store.changing(context) as change:
        number = unique(SAID, key)
        held = change.state.suggestions.get(number)
        now = clock.timestamp(clock.now())
        evidence = ({"timestamp": now, "text": said},)
        one = Suggestion(number, SAID, said, 1, now, now, evidence)
        if held is not None:
            one = Suggestion(
                number, SAID, held.text, held.count + 1, held.first, now, (*held.evidence, *evidence)[-_SHOWN:]
            )
        change.add("suggested", suggestion=_told(one))
        return change.state.suggestions[number], held is None


def dismiss(context: Context, number: str, reason: str) -> Suggestion:
    """Take a suggestion out of the queue for good, with a reason."""
    why = one_line(reason, "--reason", "why it is not needed")
    with store.changing(context) as change:
        known = known_suggestion(change.state, number)
        change.add("dismissed", id=known, reason=why)
        return change.state.suggestions[known]


def _told(one: Suggestion) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("id", "kind", "text", "count", "first", "last", "evidence")}
