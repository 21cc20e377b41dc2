"""Decides on one event: asks every handler registered for it, each within its time, and says it as the client reads it.

A deny is exit code 2 with the reason on stderr, which every version of the client obeys; the first handler that denies
wins. Otherwise a question to the user wins, and contexts are joined.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from agent_studio.guards.handler import EVENTS, Call, Event, Outcome
from agent_studio.guards.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.guards.handler import Handler

TOTAL_MS = 400
"""For all handlers of an event together: the native client waits half a second."""
_STUCK = 8
"""Overdue runs of one handler after which it is not started again until one ends."""
_DENIED = 2


class Decision(NamedTuple):
    """What the hook's process does in the client's eyes."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


class OverdueError(Exception):
    """A handler that fails closed had no time, and none of the others denies: whoever has more time is to decide."""


def decide(
    payload: bytes,
    context_source: Callable[[], Context],
    *,
    handlers: Mapping[str, tuple[Handler, ...]] = HANDLERS,
    log: Callable[[str], None] = lambda _: None,
    slack_ms: int = 0,
    hands_on: bool = False,
) -> Decision:
    """Return the decision on an event; raises nothing but `OverdueError`, and that only where it `hands_on`.

    `context_source` opens the environment and is called only by handlers that need it. `log` takes one line per
    handler that failed. `slack_ms` is added to every limit, where handlers must import what they need first.
    """
    parsed = _parse(payload)
    if parsed is None:
        return _unreadable(handlers, log)
    event = str(parsed.get("hook_event_name", ""))
    asked = handlers.get(event, ())
    if not asked:
        return Decision()
    runs = [_Run(handler, Call(event, parsed, context_source), slack_ms) for handler in asked]
    until = time.monotonic() + (TOTAL_MS + slack_ms) / 1000
    outcomes = [run.outcome(until, log, hands_on=hands_on) for run in runs]
    if hands_on and any(run.is_overdue for run in runs):
        outcomes = [outcome for run, outcome in zip(runs, outcomes, strict=True) if not run.is_overdue]
        if not any(outcome is not None and outcome.deny for outcome in outcomes):
            raise OverdueError
    return _merged(event, outcomes)


class _Run:
    """One handler at work in a thread of its own; it is left behind when it overruns."""

    _overdue: ClassVar[Counter[Callable[[Call], Outcome | None]]] = Counter()
    _counting = threading.Lock()

    def __init__(self, handler: Handler, call: Call, slack_ms: int) -> None:
        self._handler = handler
        self._limit_ms = handler.limit_ms + slack_ms
        self._call = call
        self._found: Outcome | None = None
        self._fault = "it is still busy with earlier events"
        self._left = False
        self.is_overdue = False
        """Whether it would have had to deny for want of time."""
        self._done = threading.Event()
        self._started = time.monotonic()
        with self._counting:
            stuck = self._overdue[handler.run] >= _STUCK
        if stuck:
            self.is_overdue = handler.on_failure == "closed"
            self._done.set()
        else:
            self._fault = f"it took more than {self._limit_ms} ms"
            threading.Thread(target=self._work, name=f"guard {handler.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            self._found = self._handler.run(self._call)
            self._fault = ""
        except Exception as error:  # noqa: BLE001 - a handler's fault is its own
            self._fault = f"{type(error).__name__}: {error}"
        with self._counting:
            if self._left:
                self._overdue[self._handler.run] -= 1
            self._done.set()

    def outcome(self, until: float, log: Callable[[str], None], *, hands_on: bool) -> Outcome | None:
        """Wait for the handler within its time; a failure counts as the handler declares."""
        due = min(until, self._started + self._limit_ms / 1000)
        self._done.wait(max(0.0, due - time.monotonic()))
        with self._counting:
            ended = self._done.is_set()
            if not ended:
                self._left = True
                self._overdue[self._handler.run] += 1
        if ended and not self._fault:
            return self._found
        closed = self._handler.on_failure == "closed"
        self.is_overdue |= closed and not ended
        does = "leaves it to the cold process" if hands_on and self.is_overdue else f"failed {self._handler.on_failure}"
        log(f"guard {self._handler.name} {does}: {self._fault}")
        return Outcome(deny=f"{self._handler.name} could not decide: {self._fault}") if closed else None


def _parse(payload: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _unreadable(handlers: Mapping[str, tuple[Handler, ...]], log: Callable[[str], None]) -> Decision:
    """Fail closed as soon as any handler would: which of them it concerns cannot be known."""
    log("an event could not be decided on: its payload is not a JSON object")
    closed = any(handler.on_failure == "closed" for listed in handlers.values() for handler in listed)
    return Decision(_DENIED, b"", b"agent-studio: the event's payload is not a JSON object\n") if closed else Decision()


def _merged(name: str, outcomes: Iterable[Outcome | None]) -> Decision:
    said = [outcome for outcome in outcomes if outcome is not None]
    event = EVENTS.get(name, Event(can_deny=False, takes_context=False))
    deny = next((outcome.deny for outcome in said if outcome.deny), "")
    if deny and event.can_deny:
        return Decision(_DENIED, b"", f"{deny.rstrip()}\n".encode("utf-8", "replace"))
    output: dict[str, Any] = {}
    ask = next((outcome.ask for outcome in said if outcome.ask), "")
    if ask and name == "PreToolUse":
        output |= {"permissionDecision": "ask", "permissionDecisionReason": ask}
    context = "\n\n".join(outcome.context for outcome in said if outcome.context)
    if context and event.takes_context:
        output["additionalContext"] = context
    if not output:
        return Decision()
    written = json.dumps({"hookSpecificOutput": {"hookEventName": name, **output}}, ensure_ascii=False)
    return Decision(0, written.encode("utf-8", "replace") + b"\n")
