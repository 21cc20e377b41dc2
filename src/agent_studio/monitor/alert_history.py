"""The history of alerts, `.agent-studio/<environment>/alerts.jsonl`, and what follows from it.

It is only ever appended to, one line a step, and is all there is: which alerts are open, who has taken note, what is
silenced, and who was to be told of what. A step is `{timestamp, id, alert, environment, rule, label, step, severity,
value, low, high, limit, unit, count, message, since, notify[]}`, with `silenced` when nobody was to be told of it; an
acknowledgement has `who` and `note` too. A silence is `{timestamp, id, step: "silence", pattern, until, who, why}`.
"""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.roots import EnvironmentRoot
from agent_studio.monitor.alert import (
    ACKNOWLEDGED,
    CLEARING,
    DROPPED,
    ESCALATED,
    FIRING,
    PENDING,
    RELAPSED,
    RELEASED,
    RESOLVED,
    TOLD,
    Alert,
)  # fmt: skip
from agent_studio.records import event_id
from agent_studio.storage import journal
from agent_studio.storage.locks import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

FILE = "alerts.jsonl"
SILENCE = "silence"
_LOCK = "alerts.lock"
_ID_DIGITS = 12
_KEPT = 200
"""Resolved alerts that are remembered at most, the newest."""
_FIGURES = ("value", "low", "high", "limit")


class _SharedRoot(EnvironmentRoot):
    """Where alerts on what many machines share are kept: apart from this machine's own."""

    @property
    def state(self) -> Folder:
        return super().state.at("fleet")


def root_of(context: Context) -> EnvironmentRoot:
    """Return the root in whose state the alerts on an environment's figures are kept."""
    root = context.root
    if context.shared is None:
        return root
    return _SharedRoot(root.project, root.environment, root.root, root.kinds)


class Silence(NamedTuple):
    """Nobody is told of what fits a pattern, for a while."""

    pattern: str
    until: str
    who: str
    why: str

    def covers(self, rule: str, label: str, now: str) -> bool:
        """Tell whether it holds for an alert now."""
        return now < self.until and (fnmatchcase(rule, self.pattern) or fnmatchcase(f"{rule}:{label}", self.pattern))


class Message(NamedTuple):
    """A step that somebody is to be told of."""

    id: str
    channels: tuple[str, ...]
    """The names of those that were configured when it happened."""
    record: dict[str, Any]


class State:
    """What the history says."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], Alert] = {}
        """Pending and firing alerts, by rule and label."""
        self.resolved: list[Alert] = []
        """Oldest first."""
        self.silences: dict[str, Silence] = {}
        """The newest of each pattern."""
        self.messages: list[Message] = []
        self.damaged = 0

    def silenced_by(self, rule: str, label: str, now: str) -> Silence | None:
        """Return the silence that holds for an alert now and lasts longest, or None."""
        found = [one for one in self.silences.values() if one.covers(rule, label, now)]
        return max(found, key=lambda one: one.until, default=None)

    def take(self, record: dict[str, Any]) -> None:
        """Take in one step; one that cannot be understood is counted."""
        try:
            if record["step"] == SILENCE:
                silence = Silence(*(str(record[name]) for name in Silence._fields))
                self.silences[silence.pattern] = silence
            else:
                self._take(record)
        except (KeyError, TypeError, ValueError):
            self.damaged += 1

    def _take(self, record: dict[str, Any]) -> None:
        step, key = record["step"], (str(record["rule"]), str(record["label"]))
        held, at = self.open.get(key), str(record["timestamp"])
        if step in {PENDING, FIRING}:
            self.open[key] = _begun(record, held, step, at)
        elif held is None or held.id != record["alert"]:
            self.damaged += 1  # a step of an alert that is not open: the line of its beginning is damaged
        elif step == DROPPED:
            del self.open[key]
        elif step == RESOLVED:
            del self.open[key]
            self.resolved.append(held._replace(state=RESOLVED, updated=at, clearing=None))
            del self.resolved[:-_KEPT]
        else:
            self.open[key] = _moved(held, record, step, at)
        if step in TOLD and record.get("notify"):
            self.messages.append(Message(str(record["id"]), tuple(map(str, record["notify"])), record))


def _begun(record: dict[str, Any], held: Alert | None, step: str, at: str) -> Alert:
    value, low, high, limit = (None if record[name] is None else float(record[name]) for name in _FIGURES)
    return Alert(
        str(record["alert"]), str(record["rule"]), str(record["label"]), step, str(record["severity"]), value, low,
        high, limit, str(record["unit"]), int(record["count"]), str(record["message"]), at, at,
        acknowledged=held.acknowledged if held else None, told=not record.get("silenced"),
    )  # fmt: skip


def _moved(held: Alert, record: dict[str, Any], step: str, at: str) -> Alert:
    if step == ACKNOWLEDGED:
        return held._replace(acknowledged={"at": at, "who": str(record["who"]), "note": str(record["note"])})
    if step == CLEARING:
        return held._replace(clearing=at)
    if step == RELAPSED:
        return held._replace(clearing=None)
    if step == ESCALATED:
        told = held.told or not record.get("silenced")
        return held._replace(severity=str(record["severity"]), acknowledged=None, clearing=None, told=told)
    if step == RELEASED:
        return held._replace(told=True)
    raise ValueError(step)


def read(root: EnvironmentRoot) -> State:
    """Return what the history says now."""
    reading = journal.read(root.state, FILE)
    state = State()
    for record in reading.records:
        state.take(record)
    state.damaged += reading.damaged_lines
    return state


def append(root: EnvironmentRoot, records: list[dict[str, Any]]) -> None:
    """Append steps by one write."""
    journal.append(root.state, FILE, records)


@contextmanager
def alone(root: EnvironmentRoot) -> Iterator[Folder]:
    """Hold the history: who looks and then writes does so alone."""
    folder = root.state
    folder.make()
    with in_turn(folder, _LOCK):
        yield folder


def id_of(*unique: object) -> str:
    """Return a short id."""
    return event_id(*unique)[:_ID_DIGITS]
