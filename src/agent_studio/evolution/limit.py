"""How many evolutions may be started in an hour, whatever the clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from agent_studio.evolution.state import State

AN_HOUR = 3
"""Evolutions that may be started in an hour."""
_WINDOW = timedelta(hours=1)


class TooManyError(UsageError):
    """A fourth start in an hour."""

    def __init__(self, message: str, hint: str, *, is_ahead: bool) -> None:
        super().__init__(message, hint=hint)
        self.is_ahead = is_ahead
        """Whether a start that counts lies ahead of the clock: an hour after that was seen it counts no more."""


def refuse_more(state: State) -> None:
    """Raise `TooManyError` for a fourth start in an hour; one that lies ahead of the clock counts from when it is seen.

    A clock that is set back frees none so; and one that was wrong by years when something was started, and was set
    right, bars nobody for longer than an hour.
    """
    now = clock.now()
    recent, is_ahead = list[datetime](), False
    for text in state.started:
        at = _moment(text)
        if at is not None and at > now:
            at = _moment(state.seen.get(text, "")) or now
            at, ahead = min(at, now), now - at < _WINDOW
            is_ahead = is_ahead or ahead
        if at is not None and now - at < _WINDOW:
            recent.append(at)
    if len(recent) < AN_HOUR:
        return
    said = f"{len(recent)} evolutions were started in the last hour, and {AN_HOUR} may be"
    if is_ahead:
        said += f"; the clock says {clock.timestamp(now)}, before one of them: it was set back"
    free = sorted(recent)[-AN_HOUR] + _WINDOW
    raise TooManyError(said, f"start it from {clock.timestamp(free)} on", is_ahead=is_ahead)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
