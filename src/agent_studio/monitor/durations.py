"""Every duration of every hook in a stretch of time: what the bounds of a percentile are taken from.

A second reading of the journal, asked for only when some hook is over its limit.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from agent_studio.environment.sharing import sharing
from agent_studio.monitor import blocks
from agent_studio.monitor.lines import name_of, number_of, record_of
from agent_studio.monitor.segments import JOURNALS, folder_of, segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window

_KIND = "hooks"
_LONGEST_HOURS = 48
"""Of a longer stretch there are none: it is a matter for the columns of the lake."""


def durations(context: Context, window: Window) -> Mapping[str, Sequence[float]]:
    """Return the durations by hook, ms, in order; nothing of more than two days."""
    if window.hours > _LONGEST_HOURS:
        return {}
    found: dict[str, array[float]] = {}
    environment = str(context.environment)
    for line in _lines(context, window):
        known = record_of(line)
        if known is None or known[0]["environment"] != environment:
            continue
        record, at_ms = known
        duration_ms = number_of(record.get("executionTimeMs"))
        if duration_ms is not None and window.since_ms <= at_ms < window.until_ms:
            found.setdefault(name_of(record.get("hook")), array("d")).append(duration_ms)
    return {hook: sorted(times) for hook, times in found.items()}


def _lines(context: Context, window: Window) -> Iterator[bytes]:
    owner = next(iter(sharing(context, JOURNALS[_KIND][0]).values()))
    folder = folder_of(context.root, _KIND)
    index = blocks.Index(owner.state, folder, _KIND)
    for segment in segments(context.root, _KIND):
        parts = index.stretches(segment, window.since_ms, window.until_ms, window.until_ms)
        if not parts:
            continue
        with blocks.opened(folder, segment) as file:
            for part in parts:
                file.seek(part.start)
                left = None if part.end is None else part.end - part.start
                while (left is None or left > 0) and (line := file.readline()):
                    left = None if left is None else left - len(line)
                    yield line.removesuffix(b"\n")  # a record parses faster without what stands around it
