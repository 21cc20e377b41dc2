"""Telling people of alerts: what the history says is to be told, and no journal says is delivered, is sent.

The history of alerts is the outbox, so nothing that happened can be lost on the way into it. Each attempt is noted in
`notifications.jsonl` before it is made and after: a batch keeps its id and its steps until it is delivered, and what a
crash leaves open is sent again only where the receiver can tell. Nothing here runs on an agent's path.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import BusyError, ConfigurationError
from agent_studio.monitor import alert_history as kept
from agent_studio.monitor import channels
from agent_studio.monitor.channels import Batch, DeliveryError
from agent_studio.monitor.destinations import destinations
from agent_studio.monitor.texts import clean
from agent_studio.storage import journal
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.alert_history import Message
    from agent_studio.monitor.destinations import Destination

FILE = "notifications.jsonl"
_LOCK = "notify.lock"
TRYING, SENT, FAILED, REFUSED, EXPIRED, UNCERTAIN = "trying", "sent", "failed", "refused", "expired", "uncertain"
_DONE = frozenset((SENT, REFUSED, EXPIRED, UNCERTAIN))
_BATCH = 50
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 15.0, 900.0
_EXPIRY_S = 7 * 86_400
_DETAIL_MAX = 300
_WORRYING = 3
"""Failures in a row from which doctor speaks up."""


class Outcome(NamedTuple):
    """What became of one message in one channel."""

    channel: str
    """The destination's name."""
    outcome: str
    """sent, failed (it is tried again), refused, expired, or uncertain: a crash left it open."""
    steps: int
    detail: str = ""


class _Box:
    """What one destination was sent before."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.batch: tuple[str, ...] = ()
        """The steps that are being sent; they stay together until they are delivered."""
        self.batch_id = ""
        self.is_open = False
        """Whether the last attempt has no outcome: its sender died."""
        self.failures = 0
        self.not_before = ""

    def take(self, record: dict[str, Any]) -> None:
        """Take in a line of the journal."""
        outcome, steps = record["outcome"], tuple(map(str, record["steps"]))
        if outcome == TRYING:
            self.batch, self.batch_id, self.is_open = steps, str(record["batch"]), True
        elif outcome == FAILED:
            self.is_open, self.failures, self.not_before = False, self.failures + 1, str(record["notBefore"])
        elif outcome in _DONE:
            self.done.update(steps)
            self.batch, self.batch_id, self.is_open, self.failures, self.not_before = (), "", False, 0, ""


def deliver(context: Context, variables: Mapping[str, str] | None = None) -> list[Outcome]:
    """Send what is to be sent now and return what became of it; nothing while another process does so.

    What fails is tried again by a later call, after a pause that doubles from 15 s to 15 min, for seven days.
    """
    wanted, root = destinations(context), kept.root_of(context)
    if not wanted or not root.state.has_folder():
        return []
    messages = kept.read(root).messages
    if not messages:
        return []
    given = os.environ if variables is None else variables
    try:
        with exclusive(root.state, _LOCK, doing="notifying"):
            boxes = _boxes(root)
            return [
                outcome
                for where in wanted
                for outcome in _Delivery(context, where, boxes.get(where.name) or _Box(), given).all(messages)
            ]
    except BusyError:
        return []


def send_test(context: Context, where: Destination, variables: Mapping[str, str] | None = None) -> Outcome:
    """Send a message that says it is a test, now; nothing is noted and nothing is tried again."""
    at = clock.timestamp(clock.now())
    step: dict[str, Any] = {
        "timestamp": at, "id": kept.id_of("test", at), "alert": "test", "environment": str(context.environment),
        "rule": "test", "label": "", "step": "test", "severity": "LOW", "value": None, "low": None, "high": None,
        "limit": None, "unit": "", "count": 0, "message": "a test of agent-studio: nothing is wrong", "since": at,
    }  # fmt: skip
    context.root.state.make()
    try:
        channels.send(
            context.root,
            where,
            Batch(step["id"], step["environment"], [step]),
            os.environ if variables is None else variables,
        )
    except DeliveryError as error:
        return Outcome(where.name, FAILED, 1, clean(error.message, _DETAIL_MAX))
    return Outcome(where.name, SENT, 1)


def waiting(context: Context) -> dict[str, int]:
    """Return how many steps wait to be sent, by the destination's name."""
    try:
        wanted = destinations(context)
    except ConfigurationError:
        return {}
    root = kept.root_of(context)
    messages, boxes = kept.read(root).messages, _boxes(root)
    counts = {
        one.name: sum(one.name in message.channels and message.id not in _done(boxes, one.name) for message in messages)
        for one in wanted
    }
    return {name: count for name, count in counts.items() if count}


def checks(context: Context) -> Iterator[Finding]:
    """Yield what doctor says of where alerts are sent."""
    try:
        wanted = destinations(context)
    except ConfigurationError as error:
        yield Finding("notify", Severity.ERROR, error.message, error.hint)
        return
    boxes, late = _boxes(kept.root_of(context)), waiting(context)
    for one in wanted:
        failures = boxes[one.name].failures if one.name in boxes else 0
        if one.name in late and failures >= _WORRYING:
            said = f"{late[one.name]} alerts could not be sent to {one.name} in {failures} attempts"
            yield Finding("notify", Severity.WARNING, said, f"agent-studio alerts test --env {context.environment}")
        else:
            yield Finding("notify", Severity.OK, f"alerts are sent to {one.name}")


def _done(boxes: Mapping[str, _Box], name: str) -> set[str]:
    return boxes[name].done if name in boxes else set()


def _boxes(root: EnvironmentRoot) -> dict[str, _Box]:
    boxes: dict[str, _Box] = {}
    for record in journal.read(root.state, FILE).records:
        try:
            boxes.setdefault(str(record["channel"]), _Box()).take(record)
        except (KeyError, TypeError):  # a line that is none of ours
            continue
    return boxes


class _Delivery:
    """Sending to one destination."""

    def __init__(self, context: Context, where: Destination, box: _Box, variables: Mapping[str, str]) -> None:
        self._context, self._where, self._box, self._variables = context, where, box, variables

    def all(self, messages: Sequence[Message]) -> Iterator[Outcome]:
        """Send all that is due, oldest first, until something fails."""
        due = [one for one in messages if self._where.name in one.channels and one.id not in self._box.done]
        known = {one.id: one.record for one in due}
        if self._box.is_open and self._where.channel not in channels.REPEATS:
            yield self._note(
                UNCERTAIN, self._box.batch, "its sender ended while it was sent: nobody knows whether it was"
            )
            known = {id_: record for id_, record in known.items() if id_ not in self._box.done}
        while known:
            yield from self._expired(known)
            if not known or clock.timestamp(clock.now()) < self._box.not_before:
                return
            steps = tuple(id_ for id_ in self._box.batch if id_ in known) or tuple(list(known)[:_BATCH])
            outcome = self._send(steps, [known[id_] for id_ in steps])
            yield outcome
            if outcome.outcome == FAILED:
                return
            for id_ in steps:
                del known[id_]

    def _expired(self, known: dict[str, dict[str, Any]]) -> Iterator[Outcome]:
        """Give up on what nobody took in all this time, and say so."""
        oldest = clock.now().timestamp() - _EXPIRY_S
        late = tuple(id_ for id_, record in known.items() if _seconds(record["timestamp"]) < oldest)
        if late:
            for id_ in late:
                del known[id_]
            yield self._note(EXPIRED, late, "nobody took it in seven days")

    def _send(self, steps: tuple[str, ...], records: list[dict[str, Any]]) -> Outcome:
        environment = str(self._context.environment)
        batch = Batch(self._box.batch_id or kept.id_of(self._where.name, *steps), environment, records)
        self._append({"outcome": TRYING, "steps": steps, "batch": batch.id})
        self._box.batch, self._box.batch_id = steps, batch.id
        try:
            channels.send(self._context.root, self._where, batch, self._variables)
        except DeliveryError as error:
            detail = clean(error.message, _DETAIL_MAX)
            return self._note(REFUSED, steps, detail) if error.is_refused else self._failed(steps, detail, error)
        return self._note(SENT, steps)

    def _failed(self, steps: tuple[str, ...], detail: str, error: DeliveryError) -> Outcome:
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(self._box.failures, 10), _LONGEST_PAUSE_S)
        pause_s = max(pause_s, min(error.retry_after_s, _LONGEST_PAUSE_S))
        again = clock.timestamp(datetime.fromtimestamp(clock.now().timestamp() + pause_s, clock.now().tzinfo))
        return self._note(FAILED, steps, detail, notBefore=again)

    def _note(self, outcome: str, steps: tuple[str, ...], detail: str = "", **more: str) -> Outcome:
        record = {"outcome": outcome, "steps": steps, "detail": detail, **more}
        self._append(record)
        self._box.take(record)
        return Outcome(self._where.name, outcome, len(steps), detail)

    def _append(self, record: dict[str, Any]) -> None:
        line = {"timestamp": clock.timestamp(clock.now()), "channel": self._where.name, **record}
        journal.append(kept.root_of(self._context).state, FILE, [line])


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
