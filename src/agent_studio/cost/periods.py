"""Local days, weeks, months and 5-hour blocks of a named time zone."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from agent_studio.errors import UsageError, did_you_mean

BLOCK_MS = 5 * 3_600_000
"""The window in which subscriptions count usage; it begins at the hour of its first response."""
_HOUR_MS = 3_600_000
_QUARTER_MS = 900_000
_LOCAL = "/etc/localtime"
_RELATIVE = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Zone(NamedTuple):
    """A time zone and the name that reports give it."""

    name: str
    info: tzinfo

    def local(self, at_ms: int) -> datetime:
        """Return the local time of a moment."""
        return datetime.fromtimestamp(at_ms / 1000, self.info)

    def start_ms(self, day: date) -> int:
        """Return when a local day begins."""
        return int(datetime.combine(day, time(), self.info).timestamp() * 1000)


def zone(name: str | None) -> Zone:
    """Return a time zone by its IANA name, the machine's without one; raise `UsageError` for an unknown one."""
    if name is None or name == "local":
        return _machine()
    if name.upper() in {"UTC", "Z"}:
        return Zone("UTC", UTC)
    found = _known(name) if name else None
    if not name:
        raise UsageError("a time zone without a name", hint="such as Europe/Berlin, or UTC")
    if found is None:
        raise UsageError(f"unknown time zone {name!r}", hint=did_you_mean(name, sorted(available_timezones())))
    return found


def _known(name: str) -> Zone | None:
    try:
        return Zone(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _machine() -> Zone:
    """Return the machine's zone by name where it says one, else by its distance from UTC now."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        _, found, named = os.path.realpath(_LOCAL).partition("zoneinfo/")
        named = named if found else ""
    known = _known(named) if named else None
    if known is not None:
        return Zone("UTC", UTC) if named in {"UTC", "Etc/UTC"} else known
    own = datetime.now().astimezone()
    return Zone(f"UTC{own:%z}", own.tzinfo or UTC)


def moment(text: str, where: Zone, now_ms: int, *, end: bool) -> int:
    """Return a moment that people wrote, ms since 1970.

    `2026-01-31` is the start of a local day, at the `end` of a range that of the next; `2026-01-31T09:30` a local time
    unless it says an offset; `7d`, `12h`, `2w` that long ago. Raises `UsageError`.
    """
    relative = _RELATIVE.fullmatch(text)
    if relative:
        return now_ms - int(relative[1]) * _HOURS[relative[2]] * _HOUR_MS
    try:
        day = date.fromisoformat(text)
        return where.start_ms(day + timedelta(days=1) if end else day)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=where.info)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no moment",
            hint="write a day (2026-01-31), a time (2026-01-31T09:30) or how long ago (7d, 12h)",
        ) from None


def labels(kind: str, where: Zone) -> dict[int, str]:
    """Return an empty cache of labels that fills itself: from a quarter of an hour to its day, week, month or hour."""
    return _Labels(kind, where)


class _Labels(dict[int, str]):
    def __init__(self, kind: str, where: Zone) -> None:
        super().__init__()
        self._kind, self._zone = kind, where
        self._first = self._after = 0
        """Quarters of the day that was labelled last: rows come in order, and a conversion costs 4 us."""

    def __missing__(self, quarter: int) -> str:
        if self._first <= quarter < self._after:
            self[quarter] = self[self._first]
        else:
            local = self._zone.local(quarter * _QUARTER_MS)
            self[quarter] = label(self._kind, local)
            if self._kind != "hour":
                self._first = quarter
                self._after = self._zone.start_ms(local.date() + timedelta(days=1)) // _QUARTER_MS
        return self[quarter]


def label(kind: str, local: datetime) -> str:
    """Return the name of the day, week (ISO 8601), month or hour that a local time is in."""
    if kind == "week":
        year, week, _ = local.isocalendar()
        return f"{year:04}-W{week:02}"
    if kind == "month":
        return f"{local.year:04}-{local.month:02}"
    if kind == "hour":
        return local.isoformat(timespec="minutes")[:13] + ":00" + local.strftime("%z")
    return local.date().isoformat()


def blocks(quarters: list[int]) -> dict[int, int]:
    """Return the start (ms) of the 5-hour block that each quarter of an hour with usage falls into."""
    found: dict[int, int] = {}
    start = -BLOCK_MS
    for quarter in sorted(set(quarters)):
        at_ms = quarter * 900_000
        if at_ms >= start + BLOCK_MS:
            start = at_ms - at_ms % _HOUR_MS
        found[quarter] = start
    return found
