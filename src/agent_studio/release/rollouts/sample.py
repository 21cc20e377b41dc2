"""What sessions did since a stage of a gradual rollout began, by whether they have the flag on.

Only sessions that began with the stage or after it count, and only what is known to be theirs.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.flags import is_inside
from agent_studio.environment.sharing import sharing
from agent_studio.monitor import blocks
from agent_studio.monitor.blocks import Stretch
from agent_studio.monitor.lines import MARK, number_of, record_of
from agent_studio.monitor.rules import DECISION, DECISION_LIMIT_MS
from agent_studio.monitor.segments import JOURNALS, Segment, folder_of, segments
from agent_studio.monitor.summary import COUNTED, HOUR_MS
from agent_studio.release.statistics import observed_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

    Entry = tuple[dict[str, Any], int] | None
    """A record and its time, ms since 1970; None for a line that is none."""

BYTES_MAX = 16 << 20
"""Of each journal at most so much is read, from its end."""
_CONTINUED = ("resume", "compact")
"""Sources of a start that is not the beginning of a session."""
_EVER = 1 << 62


class Stage(NamedTuple):
    """A share of sessions that has a flag on since a moment."""

    flag: str
    percent: float
    since_ms: int


class Sample(NamedTuple):
    """What was seen in a stage; all but `sessions_off` and `hours` is of the sessions that have the flag on."""

    sessions_on: int = 0
    sessions_off: int = 0
    agent_runs: int = 0
    """Without those that a person cancelled."""
    agent_failures: int = 0
    hook_calls: int = 0
    hook_failures: int = 0
    hook_timed: int = 0
    hook_slow: int = 0
    """Over the limit of their kind."""
    errors: int = 0
    """Of the severities that count."""
    hours: float = 0.0
    """The observed time of production, as much of it as the sessions with the flag on have of all sessions' time."""
    damaged: int = 0
    """Lines that are no records: whose they are is not known."""


def taken(
    stages: Sequence[Stage], read: Callable[[str], Iterable[Entry]], *, slow_ms: float | None, gap_ms: int
) -> list[Sample]:
    """Return the sample of each stage from the records of each kind of journal; time without any for `gap_ms` is out.

    `slow_ms` is the limit of a hook's time, None for none.
    """
    counts = [_Count(stage) for stage in stages]
    for kind in ("sessions", "agents", "hooks", "errors"):  # sessions first: they say whose the rest is
        for entry in read(kind):
            for count in counts:
                count.take(kind, entry, slow_ms)
    return [count.sample(gap_ms) for count in counts]


class _Count:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._times: dict[str, array[int]] = {}
        """Of everything that was heard of each session of the stage."""
        self._on: set[str] = set()
        self._seen: defaultdict[str, int] = defaultdict(int)

    def take(self, kind: str, entry: Entry, slow_ms: float | None) -> None:
        if entry is None:
            self._seen["damaged"] += 1
            return
        record, at_ms = entry
        session = record.get("sessionId")
        if not isinstance(session, str) or not session or at_ms < self._stage.since_ms:
            return
        if kind == "sessions" and record.get("event") == "start" and record.get("source") not in _CONTINUED:
            self._admit(session)
        times = self._times.get(session)
        if times is None:
            return
        times.append(at_ms)
        if session in self._on:
            self._count(kind, record, slow_ms)

    def _admit(self, session: str) -> None:
        self._times.setdefault(session, array("q"))
        if is_inside(self._stage.flag, session, self._stage.percent):
            self._on.add(session)

    def _count(self, kind: str, record: dict[str, Any], slow_ms: float | None) -> None:
        seen, status = self._seen, record.get("status")
        if kind == "agents" and status != "cancelled":
            seen["agent_runs"] += 1
            seen["agent_failures"] += status == "failed"
        elif kind == "hooks":
            seen["hook_calls"] += 1
            seen["hook_failures"] += status in ("failure", "timeout")
            duration_ms = number_of(record.get("executionTimeMs"))
            limit_ms = DECISION_LIMIT_MS if record.get("hook") == DECISION else slow_ms
            if duration_ms is not None and limit_ms is not None:
                seen["hook_timed"] += 1
                seen["hook_slow"] += duration_ms > limit_ms
        elif kind == "errors":
            seen["errors"] += record.get("severity") in COUNTED

    def sample(self, gap_ms: int) -> Sample:
        spans = {session: observed_ms(times, gap_ms) for session, times in self._times.items()}
        together = observed_ms((at_ms for times in self._times.values() for at_ms in times), gap_ms)
        whole = sum(spans.values())
        share = sum(span for session, span in spans.items() if session in self._on) / whole if whole else 0.0
        return Sample(
            len(self._on), len(self._times) - len(self._on), **self._seen, hours=together * share / HOUR_MS
        )  # fmt: skip


class Reading:
    """The records of an environment since a moment, from its journals."""

    def __init__(self, context: Context, since_ms: int, now_ms: int) -> None:
        self._context, self._since_ms, self._now_ms = context, since_ms, now_ms
        self.unread: list[str] = []
        """Files of the stretch that could not be read, or not whole."""

    def __call__(self, kind: str) -> Iterator[Entry]:
        """Yield a journal's newest `BYTES_MAX` of records, oldest first, and None for each line that is none."""
        folder = folder_of(self._context.root, kind)
        for segment, parts in reversed(self._newest_segments(folder, kind)):
            try:
                with blocks.opened(folder, segment) as file:
                    for part, is_cut in parts:
                        yield from self._entries(file, part, is_cut=is_cut)
            except (blocks.DamagedFileError, FileNotFoundError):
                self.unread.append(segment.name)

    def _newest_segments(self, folder: Folder, kind: str) -> list[tuple[Segment, list[tuple[Stretch, bool]]]]:
        """Return the files of a journal that fit into so many bytes, the newest first, with what is read of each."""
        owner = next(iter(sharing(self._context, JOURNALS[kind][0]).values()))
        index, left = blocks.Index(owner.state, folder, kind), BYTES_MAX
        found = list[tuple[Segment, list[tuple[Stretch, bool]]]]()
        for segment in reversed(segments(self._context.root, kind)):
            if left <= 0:
                break
            try:
                stretches = index.stretches(segment, self._since_ms, _EVER, self._now_ms)
            except (blocks.DamagedFileError, FileNotFoundError):
                self.unread.append(segment.name)
                continue
            if parts := _newest(stretches, segment.size, left):
                left -= sum((segment.size if part.end is None else part.end) - part.start for part, _ in parts)
                found.append((segment, parts))
        index.keep()
        return found

    def _entries(self, file: IO[bytes], part: Stretch, *, is_cut: bool) -> Iterator[Entry]:
        """Yield what is in a part; damage is of the time of the record before it."""
        file.seek(part.start)
        place, last_ms = part.start + (len(file.readline()) if is_cut else 0), part.before_ms
        while (part.end is None or place < part.end) and (line := file.readline()):
            place += len(line)
            line = line.removeprefix(MARK).strip()
            found = record_of(line) if line else None
            if found is not None:
                last_ms = found[1]
                if self._is_ours(*found):
                    yield found
            elif line and (last_ms is None or last_ms >= self._since_ms):
                yield None

    def _is_ours(self, record: dict[str, Any], at_ms: int) -> bool:
        ours = record.get("environment") == str(self._context.environment)
        return ours and self._since_ms <= at_ms <= self._now_ms


def _newest(parts: Sequence[Stretch], size: int, left: int) -> list[tuple[Stretch, bool]]:
    """Return the last parts that fit into so many bytes, and whether each is cut, wherever in a line that is."""
    found: list[tuple[Stretch, bool]] = []
    for part in reversed(parts):
        end = size if part.end is None else part.end
        if left <= 0:
            break
        start = max(part.start, end - left)
        found.append((part._replace(start=start), start > part.start))
        left -= end - start
    return found[::-1]
