"""An alert and how it moves: pending, firing, resolved. Pure: an alert and a verdict in, the next step out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.monitor.verdict import BREACH, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.monitor.verdict import Verdict

PENDING, FIRING, RESOLVED = "pending", "firing", "resolved"
ESCALATED, CLEARING, RELAPSED, DROPPED, RELEASED = "escalated", "clearing", "relapsed", "dropped", "released"
ACKNOWLEDGED = "acknowledged"
TOLD = frozenset((FIRING, ESCALATED, RESOLVED, RELEASED))
"""Steps that people are told of."""
HOLD_MS = 15 * 60_000
"""How long a breach that is not certain must last."""
CLEAR_MS = 15 * 60_000
"""How long the figure must stay clear of its limit."""


class Alert(NamedTuple):
    """A limit that is broken, was, or may be."""

    id: str
    rule: str
    label: str
    state: str
    """pending, firing or resolved."""
    severity: str
    """The worst it has had."""
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    unit: str
    count: int  # type: ignore[assignment] # a tuple counts too, and nobody asks it to
    message: str
    since: str
    """When it began to fire; while it is pending, when the breach was first seen."""
    updated: str
    """When its state changed last, or it was looked at."""
    acknowledged: dict[str, str] | None = None
    """`{at, who, note}`: somebody looks after it."""
    silenced: dict[str, str] | None = None
    """`{pattern, until, who, why}`: nobody is told of it until then."""
    told: bool = False
    """Whether anybody was to be told that it fires."""
    clearing: str | None = None
    """Since when the figure is clear of its limit."""

    @property
    def is_open(self) -> bool:
        """Whether it fires and nobody has taken note of it."""
        return self.state == FIRING and self.acknowledged is None and self.silenced is None

    def with_figures(self, verdict: Verdict) -> Alert:
        """Return the alert with what was just found."""
        return self._replace(
            value=verdict.value, low=verdict.low, high=verdict.high, limit=verdict.limit, unit=verdict.unit,
            count=verdict.count, message=verdict.message,
        )  # fmt: skip


def step(held: Alert | None, verdict: Verdict | None, elapsed_ms: Callable[[str], float]) -> str | None:
    """Return what happens to an alert, or None; `elapsed_ms` tells how long ago a time was.

    No verdict at all means that its subject is gone: then nothing is left to watch. UNKNOWN, too little data or a look
    that failed, neither raises an alert nor ends one unless the verdict says that it is clear.
    """
    breached = verdict is not None and (verdict.state == BREACH or verdict.warns)
    if held is None:
        if verdict is None or not breached or not verdict.alerting:
            return None
        return FIRING if verdict.certain else PENDING
    if held.state == PENDING:
        return _of_pending(held, verdict, breached, elapsed_ms)
    if verdict is None:
        return RESOLVED
    return _of_firing(held, verdict, breached, elapsed_ms)


def _of_pending(held: Alert, verdict: Verdict | None, breached: bool, elapsed_ms: Callable[[str], float]) -> str | None:  # noqa: FBT001 - passed on
    if verdict is None or not breached:
        return DROPPED
    return FIRING if verdict.certain or elapsed_ms(held.since) >= HOLD_MS else None


def _of_firing(held: Alert, verdict: Verdict, breached: bool, elapsed_ms: Callable[[str], float]) -> str | None:  # noqa: FBT001 - passed on
    if breached or not verdict.clear:
        if breached and SEVERITIES.index(verdict.severity) > SEVERITIES.index(held.severity):
            return ESCALATED
        return RELAPSED if held.clearing else None
    if held.clearing is None:
        return CLEARING
    return RESOLVED if elapsed_ms(held.clearing) >= CLEAR_MS else None
