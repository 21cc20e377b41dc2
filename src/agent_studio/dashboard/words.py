"""How amounts, ages and names are written for people: short, with units, and unable to act on a terminal."""

from __future__ import annotations

from datetime import datetime

_CUT = "…"
_SECOND_MS, _MINUTE_S, _HOUR_S, _DAY_S = 1000, 60, 3_600, 86_400
_SMALL, _TEN, _HUNDRED, _THOUSAND, _MILLION = 0.01, 10, 100, 1_000, 1_000_000
_UNKNOWN = "-"


def plain(text: object, most: int = 200) -> str:
    """Return a text on one line in which control, format and unassigned characters are written out."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)[:most]
    )
    return shown if len(shown) <= most else shown[: most - 1] + _CUT


def amount(value: float | None, unit: str) -> str:
    """Return a value with its unit: ms, ratio (as per cent), usd, tokens or a bare count."""
    if value is None:
        return _UNKNOWN
    if unit == "ms":
        return duration(value)
    if unit == "ratio":
        return f"{value:.1%}".replace("%", " %")
    if unit == "usd":
        return f"${value:,.4f}" if 0 < abs(value) < _SMALL else f"${value:,.2f}"
    return count(value)


def duration(ms: float | None) -> str:
    """Return a duration: `0.42 ms`, `8.1 ms`, `1.2 s`, `3 min`, `1.4 h`."""
    if ms is None:
        return _UNKNOWN
    if ms < _SECOND_MS:
        return f"{ms:.2f} ms" if ms < 1 else f"{ms:.1f} ms" if ms < _HUNDRED else f"{ms:.0f} ms"
    seconds = ms / _SECOND_MS
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < _HOUR_S else f"{seconds / _HOUR_S:.1f} h"


def count(value: float | None) -> str:
    """Return a count: `999`, `12,345`, `1.23M`; what is no whole number with one digit."""
    if value is None:
        return _UNKNOWN
    if value >= _MILLION:
        return f"{value / _MILLION:.2f}M"
    return f"{value:,.0f}" if value == int(value) or value >= _THOUSAND else f"{value:.1f}"


def age(seconds: float) -> str:
    """Return how long ago: `now`, `40 s`, `3 min`, `2 h`, `5 d`."""
    if seconds < _TEN:
        return "now"
    for unit, size, until in (("s", 1, _MINUTE_S), ("min", _MINUTE_S, _HOUR_S), ("h", _HOUR_S, 2 * _DAY_S)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / _DAY_S:.0f} d"


def size(number: int) -> str:
    """Return a size: `512 B`, `14 kB`, `3.2 MB`."""
    if number < _THOUSAND:
        return f"{number} B"
    return f"{number / _THOUSAND:.0f} kB" if number < _MILLION else f"{number / _MILLION:.1f} MB"


def many(number: int, one: str, more: str = "") -> str:
    """Return a count with its noun: `1 error`, `3 errors`."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def moment(text: str | None) -> str:
    """Return a time as people read it: `2026-01-31 09:30`, UTC."""
    return _UNKNOWN if text is None else text[:16].replace("T", " ")


def seconds_between(earlier: str, later: str) -> float:
    """Return how far two times are apart."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
