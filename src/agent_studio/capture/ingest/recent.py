"""The tool events of the last minutes, by which a timed hook is told which tool and agent it ran for."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

from agent_studio.capture.ingest.lines import NS, Near

_AROUND_NS = NS
"""How far from a hook's start its event can have been recorded."""
_TOGETHER_NS = 50_000_000
"""Hooks and the recorder of one event start within this time; another event that near makes it unclear."""
_KEPT = 20_000
"""A hook is recorded when it ends, and may run as long as the client lets it."""
_REMEMBERED = 2_000


class Recent:
    """Events by session and name, each list in order of time."""

    def __init__(self, remembered: Any = None) -> None:
        self._lists: dict[tuple[str, str], list[Near]] = {}
        self._order: list[tuple[str, Near]] = []
        for item in remembered if isinstance(remembered, list) else []:
            self.add(str(item[0]), Near(*item[1:]))

    def add(self, event: str, near: Near) -> None:
        """Take note of an event."""
        for key in {(near.session, event), ("", event)}:
            found = self._lists.setdefault(key, [])
            if found and found[-1].at_ns > near.at_ns:
                insort(found, near, key=_when)
            else:
                found.append(near)
        self._order.append((event, near))

    def about(self, session: str, event: str, at_ns: int) -> Near | None:
        """Return what a hook that started then ran for; a field on which equally near events disagree is None.

        Without a session the events of all are looked at.
        """
        found = self._lists.get((session, event))
        if not found:
            return None
        middle = bisect_left(found, at_ns, key=_when)
        before = at_ns - found[middle - 1].at_ns if middle else _AROUND_NS + 1
        after = found[middle].at_ns - at_ns if middle < len(found) else _AROUND_NS + 1
        reach = min(before, after)
        if reach > _AROUND_NS:
            return None
        reach += _TOGETHER_NS
        low = bisect_left(found, at_ns - reach, hi=middle, key=_when)
        high = bisect_left(found, at_ns + reach + 1, lo=middle, key=_when)
        candidates = found[low:high]
        nearest = candidates[0]
        if len(candidates) == 1:
            return nearest
        agreed = [_agreed([near[field] for near in candidates]) for field in range(1, 5)]
        return Near(nearest.at_ns, agreed[0] or session, *agreed[1:])

    def prune(self) -> None:
        """Forget what was taken note of longest ago, when it is too much; not by time, which may go back."""
        if len(self._order) <= _KEPT:
            return
        kept = self._order[-_KEPT // 2 :]
        self._lists, self._order = {}, []
        for event, near in kept:
            self.add(event, near)

    def remembered(self) -> list[Any]:
        """Return the newest events in a form that JSON can hold."""
        return [(event, *near) for event, near in self._order[-_REMEMBERED:]]


def _when(near: Near) -> int:
    return near.at_ns


def _agreed(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None
