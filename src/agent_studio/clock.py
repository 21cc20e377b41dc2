"""The one place that asks for the time, and how times are written."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds, `2026-01-31T09:30:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_ms(at_ms: int) -> str:
    """Return ms since 1970 as `timestamp` writes a moment."""
    return timestamp(datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000))


def file_stamp(moment: datetime) -> str:
    """Return a time that sorts as text and is a valid file name everywhere, `20260131T093000.000Z`."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.") + f"{moment.microsecond // 1000:03d}Z"
