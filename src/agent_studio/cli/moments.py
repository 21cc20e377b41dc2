"""Moments in the past as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from agent_studio import clock
from agent_studio.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(option: str, text: str) -> str:
    """Return a day, a time (UTC unless it says an offset) or how long ago as a timestamp; raise `UsageError`."""
    span = re.fullmatch(r"([0-9]{1,6})([smhdw])", text.strip())
    try:
        if span:
            return clock.timestamp(clock.now() - timedelta(**{_UNITS[span[2]]: int(span[1])}))
        at = datetime.fromisoformat(text.strip())
        return clock.timestamp(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r} is no time", hint="such as 2026-01-31, 2026-01-31T09:30Z, 24h or 7d"
        ) from None
