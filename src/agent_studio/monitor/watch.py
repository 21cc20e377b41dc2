"""One look at an environment: figures, verdicts, alerts, and telling of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.monitor import alerts, metrics, notify, rules
from agent_studio.monitor.summary import DAY_MS, HOUR_MS, Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent_studio.environment.context import Context
    from agent_studio.monitor.alerts import Alert
    from agent_studio.monitor.notify import Outcome
    from agent_studio.monitor.summary import Summary
    from agent_studio.monitor.verdict import Verdict

INTERVAL_S = 60
"""How often who stays awake looks."""


class Look(NamedTuple):
    """What one look found."""

    summary: Summary | None
    """Of the last 24 hours; None where nothing is watched."""
    verdicts: list[Verdict]
    alerts: list[Alert]


def look(context: Context, now: datetime | None = None) -> Look:
    """Compare the last 24 hours with every limit, and move the alerts on; where nothing is watched all of them end."""
    moment = now or clock.now()
    if not rules.is_watched(context):
        known = alerts.current(context, moment)
        return Look(None, [], alerts.evaluate(context, [], moment) if known else [])
    until_ms = int(moment.timestamp() * 1000)
    summary = metrics.summary(context, Window(until_ms - DAY_MS, until_ms))
    recent = metrics.summary(context, Window(until_ms - HOUR_MS, until_ms))
    verdicts = rules.verdicts(context, summary, recent)
    return Look(summary, verdicts, alerts.evaluate(context, verdicts, moment))


def watch(context: Context, variables: Mapping[str, str] | None = None) -> list[Outcome]:
    """Look and tell: for what runs beside agents, never on their path."""
    look(context)
    return notify.deliver(context, variables)
