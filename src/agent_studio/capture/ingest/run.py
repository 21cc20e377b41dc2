"""One run of ingest: who may, what is read, and what becomes of each line."""

from __future__ import annotations

import gc
import hashlib
import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from agent_studio import clock, log
from agent_studio.capture.ingest import artifacts, events, hooks, lines, masking, sealing, segments, state, telemetry
from agent_studio.capture.ingest.report import Report
from agent_studio.capture.ingest.settle import settle
from agent_studio.capture.ingest.work import Work
from agent_studio.capture.ingest.writer import DAMAGED, UNKNOWN, Writer
from agent_studio.capture.recorder import routes
from agent_studio.cost import pricing, watch
from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError, BusyError, StorageError
from agent_studio.records import LlmUsage, SessionEvent, event_id
from agent_studio.redaction import redact_head
from agent_studio.storage import locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent_studio.capture.ingest.work import ReleaseOf
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

LOCK = "ingest.lock"
_PAUSE_S = 0.05
_KEPT_CHARACTERS = 4_000
_LATEST_NS = 1 << 63


@dataclass(frozen=True)
class _Inbox:
    """An inbox and the environments it is for."""

    roots: dict[str, EnvironmentRoot]
    owner: EnvironmentRoot
    """The environment that keeps the state: production when it is one of them."""
    unnamed: str
    """The environment of a line that names none."""


def ingest(
    context: Context, *, wait_s: float = 5.0, settle_s: float = 0.0, release_of: ReleaseOf = lambda *_: None
) -> Report:
    """Turn what the environment's inbox and its sessions' transcripts hold into records; return what was done.

    `wait_s` is how long to wait while another process ingests, `settle_s` how long a session's end waits for its
    cost, `release_of` tells what a session of an environment runs with that begins at a moment. Running it again adds
    nothing. Raises `StorageError` when something cannot be written: then the cursor stays.
    """
    started = time.monotonic()
    report = Report()
    inbox = _inbox(context)
    if not inbox.owner.folder("metrics").has_folder():
        raise StorageError(
            f"{context.root.folder('metrics').path} is missing: {context.environment} has no data folders yet",
            hint=f"agent-studio init --env {context.environment}",
        )
    folder = inbox.owner.state
    folder.make()
    with _alone(inbox.owner, wait_s) as mine:
        if not mine:
            report.busy = True
        else:
            with state.opened(folder) as opened:
                report.sealed = sealing.begin(opened, context, inbox.roots)
                _Run(context, inbox, opened, report, release_of).all(settle_ns=int(settle_s * lines.NS))
                artifacts.follow(context, opened, report)
                masking.mask(context.project, opened)
                report.sealed += sealing.seal(opened, context, inbox.roots)
            _sum_up(context, inbox.roots.values(), report)
            if report.records.get(LlmUsage.file):
                with suppress(AgentStudioError):  # a budget that is wrong is told by those who look at budgets
                    report.budget_notices = watch.standing(context).fresh
    report.seconds = round(time.monotonic() - started, 3)
    if report.events or report.written:
        level = "warning" if report.damaged or report.altered else "info"
        told = ("events", "records", "damaged", "unknown", "cut", "unrouted", "altered", "seconds")
        log.write(context, level, "ingest.finished", {name: getattr(report, name) for name in told})
    return report


def _sum_up(context: Context, roots: Iterable[EnvironmentRoot], report: Report) -> None:
    """Keep in memory what sessions did that are over; whatever goes wrong there, records were written."""
    if not (context.config["memory.sessions"] and report.records.get(SessionEvent.file)):
        return
    from agent_studio.memory import book, rotation, sessions  # noqa: PLC0415 - every command that ingests imports this module

    try:
        kept = sum(sessions.follow(root) for root in roots)
        if kept and context.config["memory.rotation.automatic"]:
            rotation.rotate(book.Memory(context.root), rotation.limits(context))
    except Exception as error:  # noqa: BLE001 - as above
        log.exception(context, "ingest.memory", error)


def _inbox(context: Context) -> _Inbox:
    roots = sharing(context)
    place = context.root.folder("metrics").path
    routed = [str(name) for name, path in routes.read(context.project).items() if path == place / routes.INBOX]
    named = [name for name in routed if name in roots]
    owner = next(iter(roots.values()))
    return _Inbox(roots, owner, named[0] if len(named) == 1 else str(owner.environment))


@contextmanager
def _alone(root: EnvironmentRoot, wait_s: float) -> Iterator[bool]:
    """Hold the lock of an inbox; yield False when someone else held it for all of the time."""
    until = time.monotonic() + wait_s
    while True:
        try:
            held = locks.exclusive(root.state, LOCK, doing="ingest")
            held.__enter__()
        except BusyError:
            if time.monotonic() >= until:
                yield False
                return
            time.sleep(_PAUSE_S)
        else:
            break
    try:
        yield True
    finally:
        held.__exit__(None, None, None)


def _uncollected(method: Callable[..., None]) -> Callable[..., None]:
    """Keep the garbage collector from looking through a batch again and again: nothing in it is a cycle."""

    @wraps(method)
    def run(*arguments: Any) -> None:
        enabled = gc.isenabled()
        gc.disable()
        try:
            method(*arguments)
        finally:
            if enabled:
                gc.enable()

    return run


class _Run:
    """One pass over an inbox."""

    def __init__(
        self, context: Context, inbox: _Inbox, opened: state.State, report: Report, release_of: ReleaseOf
    ) -> None:
        self._inbox, self._state, self._report = inbox, opened, report
        self._writer = Writer(opened, inbox.roots, lambda: pricing.table(context), report, self._release_at)
        now_ns = int(clock.now().timestamp() * lines.NS)
        self._work = Work(opened, self._writer, report, now_ns, release_of)

    def _release_at(self, session_id: str, timestamp: str) -> str | None:
        return self._work.release_at(session_id, timestamp)

    def all(self, *, settle_ns: int) -> None:
        folder = self._inbox.owner.folder("metrics")
        for segment in segments.found(folder):
            self._segment(segment)
            if segments.remove(folder, segment):
                self._report.segments_removed += 1
        settle(self._work, settle_ns=settle_ns)
        self._work.commit(done=True)

    def _segment(self, segment: segments.Segment) -> None:
        known = self._state.segment(segment.name)
        if known is not None:
            offset, generation, check = known
            if not segments.resume(segment, offset=offset, generation=generation, check=check):
                self._report.altered += 1
                self._moved_on(segment)
        for batch in segments.batches(segment):
            self._batch(segment.label, batch)
            self._moved_on(segment)

    def _moved_on(self, segment: segments.Segment) -> None:
        self._state.put_segment(segment.name, segment.offset, segment.generation, segment.check())
        self._work.commit()

    @_uncollected
    def _batch(self, label: str, batch: list[segments.Line]) -> None:
        taken: list[tuple[segments.Line, lines.Event | None]] = []
        for line in batch:
            if not line.data or line.data.isspace():
                continue
            event = self._parsed(line, label)
            if event is not None and event.kind in {"hook", "http"}:
                events.note(self._work, event)
            taken.append((line, event))
        for line, event in taken:
            self._report.events += 1
            if event is None:
                self._damaged(line.data, label, line.offset, line.length, "no event")
            else:
                self._take(event, line, label)

    def _parsed(self, line: segments.Line, label: str) -> lines.Event | None:
        try:
            event = lines.parse(line.data, line.offset)
        except lines.DamagedLineError:
            return None
        event.id = f"{label}\x1f{line.offset}"
        if not 0 < event.at_ns < _LATEST_NS:
            event.at_ns = self._work.now_ns
        return event

    def _take(self, event: lines.Event, line: segments.Line, label: str) -> None:
        environment = event.environment or self._inbox.unnamed
        if event.bytes is not None and isinstance(event.payload, str):
            whole = event.bytes <= len(event.payload.encode("utf-8", "replace"))
            self._report.cut += not whole
            self._damaged(line.data, label, line.offset, event.bytes, "no JSON" if whole else "cut", environment)
            if whole or event.kind == "otlp":
                return
            event.payload = lines.from_head(event.payload)
        try:
            if environment in self._inbox.roots:
                self._record(event, environment)
            else:
                self._turn_away(event)
        except (AgentStudioError, sqlite3.Error, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - one event of a shape nobody foresaw must not stop all others
            reason = f"not understood: {type(error).__name__}"
            self._damaged(line.data, label, line.offset, line.length, reason, environment)

    def _record(self, event: lines.Event, environment: str) -> None:
        if event.kind == "exec" and (event.bytes is None or "exit" in event.payload):
            hooks.timed(self._work, event, environment)
        elif event.kind == "otlp":
            telemetry.take(self._work, event, environment)
        elif not events.take(self._work, event, environment) and event.bytes is None:
            self._report.unknown += 1
            kept = {
                "eventId": event_id(event.id, "unknown"), "timestamp": lines.stamp(event.at_ns),
                "environment": environment, "kind": event.kind, "payload": lines.scrubbed(event.payload),
            }  # fmt: skip
            self._writer.keep(UNKNOWN, kept, environment)

    def _damaged(
        self, data: bytes, label: str, offset: int, size: int, reason: str, environment: str | None = None
    ) -> None:
        """Count a line that could not be used, and keep how it begins."""
        self._report.damaged += reason != "cut"
        said = redact_head(data.decode("utf-8", "replace"), _KEPT_CHARACTERS)
        kept = {
            "eventId": event_id(label, offset, "damaged"), "timestamp": lines.stamp(self._work.now_ns),
            "reason": reason, "bytes": size, "sha256": hashlib.sha256(data).hexdigest(), "text": said,
        }  # fmt: skip
        self._writer.keep(DAMAGED, kept, environment)

    def _turn_away(self, event: lines.Event) -> None:
        self._report.unrouted += 1
        kept: dict[str, Any] = {
            "ts": event.at_ns, "pid": 0, "kind": event.kind, "env": lines.name(event.environment),
            "reason": "it lay in another environment's inbox", "eventId": event_id(event.id, "unrouted"),
            "payload": lines.scrubbed(event.payload),
        }  # fmt: skip
        self._writer.turn_away(kept)
