"""Durations of hooks for a stretch of any length: from the lines of a day or two, from the columns of longer ones."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from agent_studio.monitor import metrics
from agent_studio.monitor.durations import durations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window


def times(context: Context, window: Window) -> Mapping[str, Sequence[float]]:
    """Return the durations of every hook, ms, in order; eight bytes each."""
    if context.shared is None and window.hours <= metrics.PLAIN_HOURS:
        return durations(context, window)
    found: dict[str, array[float]] = {}
    for row in metrics.rows(context, "hook_durations", window):
        found.setdefault(row["hook"], array("d")).extend(array("d", [row["duration_ms"]]) * row["calls"])
    return found
