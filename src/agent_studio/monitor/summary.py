"""The figures of a stretch of time, as every reader gives them: hooks, agents, errors, sessions, spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
"""From the gravest down."""
COUNTED = ("MEDIUM", "HIGH", "CRITICAL")
"""Severities that count towards the errors of an hour."""


class Window(NamedTuple):
    """A stretch of time, ms since 1970: from a moment on, up to but without another."""

    since_ms: int
    until_ms: int

    @property
    def hours(self) -> float:
        """How long it is."""
        return (self.until_ms - self.since_ms) / HOUR_MS


class HookFigures(NamedTuple):
    """One hook's runs."""

    hook: str
    calls: int
    failures: int
    """Failures and time-outs."""
    blocked: int
    """Runs that denied: a decision, no failure."""
    timed: int
    """Runs whose duration is known: what the times are of."""
    avg_ms: float | None
    p50_ms: float | None
    """Percentiles interpolate linearly; None when no run was timed."""
    p95_ms: float | None
    p99_ms: float | None
    last_ms: int
    """When it was last heard of, ms since 1970."""

    @property
    def failure_rate(self) -> float:
        """0 to 1."""
        return self.failures / self.calls if self.calls else 0.0


class AgentFigures(NamedTuple):
    """One agent's runs."""

    agent: str
    runs: int
    failures: int
    cancelled: int
    """Stopped by a person: not in the rate."""
    tokens: int
    avg_ms: float | None
    p95_ms: float | None
    last_ms: int

    @property
    def failure_rate(self) -> float:
        """0 to 1, of the runs that were not cancelled."""
        counted = self.runs - self.cancelled
        return self.failures / counted if counted else 0.0


class ErrorHour(NamedTuple):
    """The errors of one hour (UTC) and severity."""

    hour_ms: int
    severity: str
    count: int  # type: ignore[assignment] # a tuple's own count is of no use here


class SpendHour(NamedTuple):
    """What one model used and cost in one hour (UTC)."""

    hour_ms: int
    model: str
    tokens: int
    """Input, output and cache writes."""
    pico_usd: int | None
    """None when nothing in it has a price."""
    unpriced: int
    """Tokens of all kinds without a price."""


class SessionFigures(NamedTuple):
    """Sessions of a stretch of time."""

    started: int
    ended: int
    prompts: int
    open: int
    """Begun and not ended, with anything heard in the stretch."""


class Summary(NamedTuple):
    """Everything of one environment in one stretch of time."""

    window: Window
    hooks: list[HookFigures]
    """Most calls first, then by name."""
    agents: list[AgentFigures]
    """Most runs first, then by name."""
    errors: list[ErrorHour]
    """In order of hour, then severity from CRITICAL down."""
    spend: list[SpendHour]
    """In order of hour, then model."""
    sessions: SessionFigures
    damaged: int
    """Lines in the stretch of the files read that are no records."""
    future: int
    """Records that say they are from after the end of the stretch and after now: not counted anywhere."""
    newest_ms: int | None
    """When the newest record of any journal was written, ms since 1970: how fresh all this is."""

    @property
    def error_count(self) -> int:
        """Errors of the severities that count."""
        return sum(one.count for one in self.errors if one.severity in COUNTED)


def hooks_in_order(found: Iterable[HookFigures]) -> list[HookFigures]:
    """Return hooks, most calls first, then by name."""
    return sorted(found, key=lambda one: (-one.calls, one.hook))


def agents_in_order(found: Iterable[AgentFigures]) -> list[AgentFigures]:
    """Return agents, most runs first, then by name."""
    return sorted(found, key=lambda one: (-one.runs, one.agent))


def errors_in_order(found: Iterable[ErrorHour]) -> list[ErrorHour]:
    """Return errors by hour, then severity from CRITICAL down; a severity that is none comes last."""
    ranks = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    return sorted(found, key=lambda one: (one.hour_ms, ranks.get(one.severity, len(ranks)), one.severity))


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, None of nothing."""
    return sum(values) / len(values) if values else None


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return a percentile of values in order by linear interpolation, None of nothing."""
    if not ordered:
        return None
    position = (len(ordered) - 1) * share
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
