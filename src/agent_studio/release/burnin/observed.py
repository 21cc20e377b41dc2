"""What ran in staging on exactly one candidate, as the journals tell it.

A client loads definitions when it starts. So a record counts when its session started after the definitions last
changed, and what it says of its release, if anything, is the candidate. What was replayed on purpose is synthetic.

Of what many machines share, only a record that names the candidate counts: what else another machine ran with, nobody
knows here. It comes in order of time alone, so whether a machine's clock went back cannot be told. Damaged lines are
those of all machines, as far as they were shipped. Replays of this machine alone are known by their time.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.monitor import metrics, usage
from agent_studio.monitor.lines import name_of, number_of
from agent_studio.monitor.reading import records
from agent_studio.monitor.rules import DECISION
from agent_studio.monitor.summary import HOUR_MS
from agent_studio.release.statistics import observed_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_studio.environment.context import Context

_MINUTE_MS = 60_000
_SAME_MOMENT_MS = 5_000
"""How far apart the end of a conversation and the start of the next in the same process may be."""
_NO_LOAD = "compact"
"""Source of a start at which the client goes on with what it has loaded."""
_GOES_ON = frozenset({"clear", "resume"})
"""Sources of a start that may be in a process that runs already: then another conversation ended for that reason."""


class Sample(NamedTuple):
    """Runs, and how many of them were what a limit is on."""

    real: int = 0
    real_hits: int = 0
    synthetic: int = 0
    synthetic_hits: int = 0


class Observed(NamedTuple):
    """What the journals of staging hold of one candidate."""

    now_ms: int
    real_ms: Sequence[float]
    """Durations of the project's hooks in order, ms; infinite for one that timed out. Decision hooks have a limit of
    their own and are not in it."""
    synthetic_ms: Sequence[float]
    hooks: Sample
    """Calls, and failures and time-outs among them; to block is none."""
    agents: Sample
    """Runs that were not cancelled, and failures."""
    errors: Mapping[int, int]
    """Errors of severity MEDIUM and above by the hour they fell in, ms since 1970."""
    moments: Sequence[int]
    """Times of the events of real sessions in order, ms since 1970."""
    sessions: int
    synthetic_sessions: int
    left_out: int
    """Records of sessions that were not seen to start on this candidate."""
    damaged: int
    """Lines that are no records."""
    future: int
    """Records that claim to be from after now."""
    backward: int | None
    """How often the clock went back by more than the longest gap; None: it cannot be told of many machines."""

    @classmethod
    def nothing(cls, now_ms: int) -> Observed:
        """Return what there is before anything ran."""
        return cls(now_ms, (), (), Sample(), Sample(), {}, (), 0, 0, 0, 0, 0, 0)

    def slower_than(self, limit_ms: float) -> Sample:
        """Return the timed calls of hooks, and how many took longer than a limit."""
        hits = (len(one) - bisect_left(one, math.nextafter(limit_ms, math.inf)) for one in self.durations)
        return Sample(len(self.real_ms), next(hits), len(self.synthetic_ms), next(hits))

    @property
    def durations(self) -> tuple[Sequence[float], Sequence[float]]:
        """Durations of real and of synthetic calls."""
        return self.real_ms, self.synthetic_ms

    def hours(self, gap_minutes: float) -> float:
        """Return for how long the candidate was observed."""
        return observed_ms(self.moments, gap_minutes * _MINUTE_MS) / HOUR_MS

    @property
    def worst_hour(self) -> tuple[int, int] | None:
        """The hour with most errors, and how many; the first of several, None without errors."""
        return min(self.errors.items(), key=lambda one: (-one[1], one[0]), default=None)


def observe(
    context: Context,
    since_ms: int,
    now_ms: int,
    *,
    candidate: str | None,
    exercises: Sequence[tuple[int, int]] = (),
    gap_minutes: float = 15,
) -> Observed:
    """Read what ran on a candidate from a moment on; of all candidates when it is None.

    Sessions that started within one of the exercises, pairs of moments, are synthetic.
    """

    def read() -> Observed:
        reading = _Reading(context, since_ms, now_ms, candidate, exercises)
        reading.sessions(records(context, "sessions", since_ms, now_ms), gap_minutes * _MINUTE_MS)
        for kind, take in (("hooks", reading.hook), ("agents", reading.agent), ("errors", reading.error)):
            for found in records(context, kind, since_ms, now_ms):
                if (known := reading.known(found)) is not None:
                    take(*known)
        for at_ms, session in usage.moments(context, since_ms):
            reading.responded(at_ms, session)
        return reading.observed()

    return metrics.settled(context, read)


class _Reading:
    """What has been read so far."""

    def __init__(
        self,
        context: Context,
        since_ms: int,
        now_ms: int,
        candidate: str | None,
        exercises: Sequence[tuple[int, int]],
    ) -> None:
        self._environment, self._since_ms, self._now_ms = str(context.environment), since_ms, now_ms
        self._candidate, self._exercises, self._is_shared = candidate, exercises, context.shared is not None
        self._loaded: dict[str, int] = {}
        """When each session loaded the definitions."""
        self._synthetic: set[str] = set()
        self._moments = array("q")
        self._durations = (array("d"), array("d"))
        self._hooks, self._agents = Counter[tuple[bool, bool]](), Counter[tuple[bool, bool]]()
        """By whether it is synthetic and whether it is a hit."""
        self._errors = Counter[int]()
        self._left_out = self._damaged = self._future = self._backward = 0

    def known(self, found: tuple[dict[str, Any], int] | None) -> tuple[dict[str, Any], int] | None:
        """Return a record of this environment and stretch of time, with its time; count what is neither."""
        if found is None:
            self._damaged += 1
            return None
        record, at_ms = found
        if record["environment"] != self._environment or at_ms < self._since_ms:
            return None
        if at_ms > self._now_ms:
            self._future += 1
            return None
        return found

    def sessions(self, found: Iterable[tuple[dict[str, Any], int] | None], gap_ms: float) -> None:
        """Take the whole log of sessions: who loaded the definitions when."""
        events: list[tuple[dict[str, Any], int]] = []
        last_ms = -1
        for one in found:
            # Ends are written once all is known of a session; the rest is written as it happens.
            if one is not None and one[0]["environment"] == self._environment and one[0].get("event") != "end":
                self._backward += events != [] and one[1] < last_ms - gap_ms
                last_ms = one[1]
            known = self.known(one)
            if known is not None:
                events.append(known)
        events.sort(key=lambda one: one[1])
        ends = [(at_ms, record) for record, at_ms in events if record.get("event") == "end"]
        for record, at_ms in events:
            if record.get("event") == "start":
                self._start(record, at_ms, ends)
        for record, at_ms in events:
            if self._whose(record, at_ms) is False:
                self._moments.append(at_ms)

    def _start(self, record: dict[str, Any], at_ms: int, ends: Sequence[tuple[int, dict[str, Any]]]) -> None:
        session, source = name_of(record.get("sessionId")), record.get("source")
        if session in self._loaded or source == _NO_LOAD or not self._fits(record):
            return
        before = [
            (abs(at_ms - ended_ms), name_of(end.get("sessionId")))
            for ended_ms, end in ends
            if source in _GOES_ON and end.get("reason") == source and abs(at_ms - ended_ms) <= _SAME_MOMENT_MS
        ]
        earlier = min(before)[1] if before else None
        if (earlier is None and source == "clear") or (earlier is not None and earlier not in self._loaded):
            return
        self._loaded[session] = at_ms
        is_within = any(begun_ms <= at_ms <= ended_ms for begun_ms, ended_ms in self._exercises)
        if is_within or earlier in self._synthetic or _is_marked(record):
            self._synthetic.add(session)

    def _fits(self, record: dict[str, Any]) -> bool:
        release = record.get("release")
        is_silent = release is None and not self._is_shared
        return self._candidate is None or is_silent or release == self._candidate

    def _whose(self, record: dict[str, Any], at_ms: int) -> bool | None:
        """Return whether a record is synthetic, or None for one that does not count."""
        session = record.get("sessionId")
        loaded_ms = self._loaded.get(name_of(session)) if session is not None else None
        if not self._fits(record):
            self._left_out += 1
            return None
        if loaded_ms is not None and at_ms >= loaded_ms:
            return name_of(session) in self._synthetic or _is_marked(record)
        if _is_marked(record):
            return True
        self._left_out += 1
        return None

    def hook(self, record: dict[str, Any], at_ms: int) -> None:
        """Take a run of a hook."""
        is_synthetic = self._whose(record, at_ms)
        if is_synthetic is None:
            return
        status = record.get("status")
        self._hooks[is_synthetic, status not in ("success", "blocked")] += 1
        took_ms = math.inf if status == "timeout" else number_of(record.get("executionTimeMs"))
        if took_ms is not None and record.get("hook") != DECISION:
            self._durations[is_synthetic].append(took_ms)
        if not is_synthetic:
            self._moments.append(at_ms)

    def agent(self, record: dict[str, Any], at_ms: int) -> None:
        """Take a run of an agent, which is recorded at its end."""
        is_synthetic = self._whose(record, at_ms)
        if is_synthetic is None:
            return
        if record.get("status") != "cancelled":
            self._agents[is_synthetic, record.get("status") != "completed"] += 1
        if not is_synthetic:
            self._moments.append(at_ms)

    def error(self, record: dict[str, Any], at_ms: int) -> None:
        """Take an error; one of no session may be anybody's, and counts."""
        is_synthetic = False if record.get("sessionId") is None and self._fits(record) else self._whose(record, at_ms)
        if is_synthetic is not None and record.get("severity") != "LOW":
            self._errors[at_ms - at_ms % HOUR_MS] += 1
        if is_synthetic is False and record.get("sessionId") is not None:
            self._moments.append(at_ms)

    def responded(self, at_ms: int, session: str) -> None:
        """Take a response of a model."""
        loaded_ms = self._loaded.get(session)
        if loaded_ms is not None and loaded_ms <= at_ms <= self._now_ms and session not in self._synthetic:
            self._moments.append(at_ms)

    def observed(self) -> Observed:
        """Return all that was read."""
        real, synthetic = (sorted(one) for one in self._durations)
        return Observed(
            self._now_ms, real, synthetic, _sample(self._hooks), _sample(self._agents),
            dict(sorted(self._errors.items())), sorted(self._moments), len(self._loaded) - len(self._synthetic),
            len(self._synthetic), self._left_out, self._damaged, self._future,
            None if self._is_shared else self._backward,
        )  # fmt: skip


def _is_marked(record: dict[str, Any]) -> bool:
    metadata = record.get("metadata")
    return isinstance(metadata, dict) and metadata.get("synthetic") is True


def _sample(found: Counter[tuple[bool, bool]]) -> Sample:
    counts = ((found[one, False] + found[one, True], found[one, True]) for one in (False, True))
    return Sample(*next(counts), *next(counts))
