"""The figures of up to two days, read from the journals with nothing but the standard library, in bounded memory.

Only blocks that hold something of the stretch are read (`blocks`); of what is read, durations alone are held.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from agent_studio.environment.sharing import sharing
from agent_studio.monitor import blocks
from agent_studio.monitor.lines import MARK, name_of, number_of, record_of
from agent_studio.monitor.segments import JOURNALS, folder_of, segments
from agent_studio.monitor.summary import (
    HOUR_MS,
    AgentFigures,
    ErrorHour,
    HookFigures,
    SessionFigures,
    Summary,
    agents_in_order,
    errors_in_order,
    hooks_in_order,
    mean,
    percentile,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.blocks import Skipped, Stretch
    from agent_studio.monitor.segments import Segment
    from agent_studio.monitor.summary import SpendHour, Window
    from agent_studio.storage.folder import Folder

_CHUNK_BYTES = 1 << 20
_LOOKED_THROUGH = 64
"""Blocks at most that are looked through for nothing but the newest record."""


def summary(context: Context, window: Window, spend: list[SpendHour], now_ms: int) -> Summary:
    """Return the figures of a stretch of time."""
    reading = _Reading(str(context.environment), window, now_ms)
    skipped = [one for kind in JOURNALS for one in _read(context, kind, reading)]
    _look_for_newest(context, skipped, reading)
    return Summary(
        window, hooks=hooks_in_order(reading.hooks()), agents=agents_in_order(reading.agents()),
        errors=errors_in_order(reading.errors()), spend=spend, sessions=reading.session_figures(),
        damaged=reading.damaged, future=reading.future, newest_ms=reading.newest_ms,
    )  # fmt: skip


def size_bytes(context: Context, window: Window, now_ms: int) -> int:
    """Return how much there is to read for a stretch of time."""
    total = 0
    for kind in JOURNALS:
        owner = next(iter(sharing(context, JOURNALS[kind][0]).values()))
        index = blocks.Index(owner.state, folder_of(context.root, kind), kind)
        for segment in segments(context.root, kind):
            with suppress(blocks.DamagedFileError):
                parts = index.stretches(segment, window.since_ms, window.until_ms, now_ms)
                total += sum((segment.size if part.end is None else part.end) - part.start for part in parts)
        index.keep()
    return total


def _read(context: Context, kind: str, reading: _Reading) -> list[Skipped]:
    """Read what a journal holds of the stretch; return what was left out."""
    owner = next(iter(sharing(context, JOURNALS[kind][0]).values()))
    folder = folder_of(context.root, kind)
    index = blocks.Index(owner.state, folder, kind)
    window = reading.window
    for segment in segments(context.root, kind):
        try:
            parts = index.stretches(segment, window.since_ms, window.until_ms, reading.now_ms)
            if parts:
                reading.take_all(kind, folder, segment, parts)
        except blocks.DamagedFileError:
            reading.damaged += 1  # one line at least; what is in it is not known
    index.keep()
    return index.skipped


def _look_for_newest(context: Context, skipped: Iterable[Skipped], reading: _Reading) -> None:
    """Find how fresh the records are when the newest is not in the stretch; an environment may have none at all."""
    for one in sorted(skipped, key=lambda one: -one.newest_ms)[:_LOOKED_THROUGH]:
        if one.newest_ms <= (reading.newest_ms or 0):
            return
        with suppress(blocks.DamagedFileError):
            reading.freshen(folder_of(context.root, one.segment.kind), one.segment, one.part)


class _Hook:
    def __init__(self) -> None:
        self.calls = self.failures = self.blocked = self.last_ms = 0
        self.durations = array("d")

    def take(self, record: dict[str, Any], at_ms: int) -> None:
        status = record.get("status")
        self.calls += 1
        if status != "success":
            self.failures += status in {"failure", "timeout"} if isinstance(status, str) else 0
            self.blocked += status == "blocked"
        self.last_ms = max(self.last_ms, at_ms)
        duration = number_of(record.get("executionTimeMs"))
        if duration is not None:
            self.durations.append(duration)

    def figures(self, name: str) -> HookFigures:
        ordered = sorted(self.durations)
        return HookFigures(
            name, self.calls, self.failures, self.blocked, len(ordered), mean(ordered), percentile(ordered, 0.5),
            percentile(ordered, 0.95), percentile(ordered, 0.99), self.last_ms,
        )  # fmt: skip


class _Agent:
    def __init__(self) -> None:
        self.runs = self.failures = self.cancelled = self.tokens = self.last_ms = 0
        self.durations = array("d")

    def take(self, record: dict[str, Any], at_ms: int) -> None:
        status = record.get("status")
        self.runs += 1
        self.failures += status == "failed"
        self.cancelled += status == "cancelled"
        self.tokens += int(number_of(record.get("tokensUsed")) or 0)
        self.last_ms = max(self.last_ms, at_ms)
        duration = number_of(record.get("durationMs"))
        if duration is not None:
            self.durations.append(duration)

    def figures(self, name: str) -> AgentFigures:
        ordered = sorted(self.durations)
        return AgentFigures(
            name, self.runs, self.failures, self.cancelled, self.tokens, mean(ordered), percentile(ordered, 0.95),
            self.last_ms,
        )  # fmt: skip


class _Session:
    def __init__(self) -> None:
        self.has_start = False
        self.ended_ms = self.heard_ms = -1
        """When its last end, and the last of anything else."""

    def take(self, event: str, at_ms: int) -> None:
        self.has_start = self.has_start or event == "start"
        if event == "end":
            self.ended_ms = max(self.ended_ms, at_ms)
        else:
            self.heard_ms = max(self.heard_ms, at_ms)


class _Reading:
    """What has been read so far."""

    def __init__(self, environment: str, window: Window, now_ms: int) -> None:
        self.window, self.now_ms = window, now_ms
        self.damaged = self.future = 0
        self._newest_ms = -1
        self._since_ms, self._until_ms = window
        self._environment = environment
        self._hooks: defaultdict[str, _Hook] = defaultdict(_Hook)
        self._agents: defaultdict[str, _Agent] = defaultdict(_Agent)
        self._errors: Counter[tuple[int, str]] = Counter()
        self._sessions: defaultdict[str, _Session] = defaultdict(_Session)
        self._prompts = 0
        self._takers = {
            "hooks": self._take_hook, "agents": self._take_agent, "errors": self._take_error,
            "sessions": self._take_session,
        }  # fmt: skip

    @property
    def newest_ms(self) -> int | None:
        """When the newest record is from."""
        return self._newest_ms if self._newest_ms >= 0 else None

    def take_all(self, kind: str, folder: Folder, segment: Segment, parts: Sequence[Stretch]) -> None:
        """Take in what was found to be worth reading of a file.

        Damage has no time of its own: it is of the time of the record before it, at a file's start of that after it.
        """
        take = self._takers[kind]
        with blocks.opened(folder, segment) as file:
            for part, lines in _read_parts(file, parts):
                last_ms, waiting = part.before_ms, 0
                for line in lines:
                    found = record_of(line)
                    if found is not None:
                        record, last_ms = found
                        if waiting:
                            self.damaged += waiting if self._is_within(last_ms) else 0
                            waiting = 0
                        if record["environment"] == self._environment and self._counts(last_ms):
                            take(record, last_ms)
                    elif last_ms is None:
                        waiting += 1
                    else:
                        self.damaged += self._is_within(last_ms)
                if part.end is None:
                    self.damaged += waiting  # a file without a single record

    def freshen(self, folder: Folder, segment: Segment, part: Stretch) -> None:
        """Take from a block only how new its records are."""
        with blocks.opened(folder, segment) as file:
            for line in (line for _, lines in _read_parts(file, [part]) for line in lines):
                found = record_of(line)
                if found is not None and found[0]["environment"] == self._environment and found[1] <= self.now_ms:
                    self._newest_ms = max(self._newest_ms, found[1])

    def _is_within(self, at_ms: int) -> bool:
        return self._since_ms <= at_ms < self._until_ms

    def _counts(self, at_ms: int) -> bool:
        """Note how new a record is; return whether it is in the stretch."""
        if at_ms <= self.now_ms:
            self._newest_ms = max(self._newest_ms, at_ms)
        elif at_ms >= self._until_ms:
            self.future += 1
        return self._since_ms <= at_ms < self._until_ms

    def _take_hook(self, record: dict[str, Any], at_ms: int) -> None:
        self._hooks[name_of(record.get("hook"))].take(record, at_ms)

    def _take_agent(self, record: dict[str, Any], at_ms: int) -> None:
        self._agents[name_of(record.get("agent"))].take(record, at_ms)

    def _take_error(self, record: dict[str, Any], at_ms: int) -> None:
        self._errors[at_ms - at_ms % HOUR_MS, name_of(record.get("severity"))] += 1

    def _take_session(self, record: dict[str, Any], at_ms: int) -> None:
        event = name_of(record.get("event"))
        self._prompts += event == "prompt"
        self._sessions[name_of(record.get("sessionId"))].take(event, at_ms)

    def hooks(self) -> list[HookFigures]:
        return [one.figures(name) for name, one in self._hooks.items()]

    def agents(self) -> list[AgentFigures]:
        return [one.figures(name) for name, one in self._agents.items()]

    def errors(self) -> list[ErrorHour]:
        return [ErrorHour(hour_ms, severity, count) for (hour_ms, severity), count in self._errors.items()]

    def session_figures(self) -> SessionFigures:
        heard = self._sessions.values()
        return SessionFigures(
            started=sum(one.has_start for one in heard), ended=sum(one.ended_ms >= 0 for one in heard),
            prompts=self._prompts, open=sum(one.heard_ms > one.ended_ms for one in heard),
        )  # fmt: skip


def _read_parts(file: IO[bytes], parts: Sequence[Stretch]) -> Iterator[tuple[Stretch, Iterator[bytes]]]:
    for part in parts:
        start = part.start or (len(MARK) if file.read(len(MARK)) == MARK else 0)
        file.seek(start)
        yield part, _lines(file, None if part.end is None else part.end - start)


def _lines(file: IO[bytes], left: int | None) -> Iterator[bytes]:
    """Yield the lines that are not blank of so many bytes, or of all that is left."""
    rest = b""
    while data := file.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left)):
        left = None if left is None else left - len(data)
        *whole, rest = (rest + data).split(b"\n")
        yield from (line for line in whole if line and not line.isspace())
    if rest and not rest.isspace():
        yield rest
