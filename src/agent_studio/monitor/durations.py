"""Every duration of every hook in a stretch of time: what the bounds of a percentile are taken from.

A second reading of the journal, asked for only when some hook is over its limit.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from agent_studio.monitor import reading
from agent_studio.monitor.lines import name_of, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window

_LONGEST_HOURS = 48
"""Of a longer stretch there are none: it is a matter for the columns of the lake."""


def durations(context: Context, window: Window) -> Mapping[str, Sequence[float]]:
    """Return the durations by hook, ms, in order; nothing of more than two days."""
    if window.hours > _LONGEST_HOURS:
        return {}
    found: dict[str, array[float]] = {}
    environment = str(context.environment)
    for known in reading.records(context, "hooks", window.since_ms, window.until_ms - 1):
        if known is None or known[0]["environment"] != environment:
            continue
        record, at_ms = known
        duration_ms = number_of(record.get("executionTimeMs"))
        if duration_ms is not None and window.since_ms <= at_ms < window.until_ms:
            found.setdefault(name_of(record.get("hook")), array("d")).append(duration_ms)
    return {hook: sorted(times) for hook, times in found.items()}
