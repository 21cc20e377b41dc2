"""Charts of one line: a row of bars, and a gauge of a value with its bounds before its limit."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARS = ("▁▂▃▄▅▆▇█", "_.:-=+*#")
_GAUGE = (("─", "●", "│", "›"), ("-", "o", "|", ">"))
_SCALE = 1.25
"""A gauge reaches so much further than its limit."""


def sparkline(values: Sequence[float | None], width: int, *, unicode: bool = True) -> str:
    """Return a bar a value, from 0 up; the lowest bar is nothing at all, a gap is a value that is not known.

    Of more values than fit, the highest of each part is shown: a burst stays in sight.
    """
    bars = _BARS[0 if unicode else 1]
    shown = _fitted(values, width)
    top = max((value for value in shown if value is not None), default=0)
    return "".join(" " if value is None else _bar(bars, value, top) for value in shown)


def _bar(bars: str, value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return bars[0]
    return bars[min(1 + int(value / top * (len(bars) - 1)), len(bars) - 1)]


def _fitted(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    edges = [round(part * len(values) / width) for part in range(width + 1)]
    parts = [[value for value in values[start:end] if value is not None] for start, end in pairwise(edges)]
    return [max(part, default=None) for part in parts]


def gauge(
    value: float | None, low: float | None, high: float | None, limit: float, width: int, *, unicode: bool = True
) -> str:  # fmt: skip
    """Return a line on which a value lies between its bounds, before or beyond a limit: `──●───   │  `."""
    line, dot, wall, beyond = _GAUGE[0 if unicode else 1]
    scale = limit * _SCALE or 1
    cells = [" "] * width
    cells[_cell(limit, scale, width)] = wall
    for at in range(_cell(low, scale, width), _cell(high, scale, width) + 1) if None not in {low, high} else ():
        cells[at] = line if cells[at] == " " else cells[at]
    if value is not None:
        cells[_cell(value, scale, width)] = dot if value <= scale else beyond
    return "".join(cells)


def _cell(value: float | None, scale: float, width: int) -> int:
    return min(int(min((value or 0) / scale, 1.0) * width), width - 1)
