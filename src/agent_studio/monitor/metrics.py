"""The one door to an environment's figures: the summary of a stretch of time, and the rows of named queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agent_studio import clock
from agent_studio.errors import StorageError
from agent_studio.monitor import plain, usage
from agent_studio.monitor.segments import JOURNALS, segments
from agent_studio.monitor.summary import HOUR_MS, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Summary

    Found = TypeVar("Found")

PLAIN_HOURS, PLAIN_BYTES = 48, 64 << 20
"""Longer stretches, and those that hold more, are a matter for the columns of the lake."""
_TRIES = 5


def last_hours(hours: float) -> Window:
    """Return the stretch of time that ends with the millisecond after now."""
    until_ms = _now_ms() + 1
    return Window(until_ms - round(hours * HOUR_MS), until_ms)


def summary(context: Context, window: Window, *, engine: Literal["plain", "sql"] | None = None) -> Summary:
    """Return the figures of a stretch of time; both engines give the same, and so does what machines share."""
    spent, now_ms = usage.by_hour(context, window), _now_ms()
    chosen = "sql" if context.shared is not None else engine or _engine(context, window, now_ms)
    if chosen == "plain":
        return settled(context, lambda: plain.summary(context, window, spent, now_ms))
    from agent_studio.monitor import sql  # noqa: PLC0415 - short stretches do without the engine behind it

    return settled(context, lambda: sql.summary(context, window, spent, now_ms))


def _engine(context: Context, window: Window, now_ms: int) -> Literal["plain", "sql"]:
    is_short = window.hours <= PLAIN_HOURS and plain.size_bytes(context, window, now_ms) <= PLAIN_BYTES
    return "plain" if is_short else "sql"


def rows(context: Context, query: str, window: Window, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a named query over a stretch of time; moments are ms since 1970.

    Raises `UsageError` for an unknown query or parameters that are not its own, `StorageError` for files that cannot
    be read.
    """
    from agent_studio.monitor import sql  # noqa: PLC0415 - as above

    now_ms = _now_ms()
    return settled(context, lambda: sql.rows(context, query, window, now_ms, parameters))


def queries() -> dict[str, str]:
    """Return what each query gives, by its name."""
    from agent_studio.monitor import sql  # noqa: PLC0415 - as above

    return sql.queries()


def settled(context: Context, read: Callable[[], Found]) -> Found:
    """Return what is read, again when meanwhile a file was sealed or packed: it may be seen twice or not at all."""
    if context.shared is not None:
        return read()
    for _ in range(_TRIES - 1):
        before = _names(context)
        try:
            found = read()
        except (FileNotFoundError, StorageError):
            if _names(context) == before:
                raise
        else:
            if _names(context) == before:
                return found
    return read()


def _names(context: Context) -> list[str]:
    return [one.name for kind in JOURNALS for one in segments(context.root, kind)]


def _now_ms() -> int:
    return int(clock.now().timestamp() * 1000)
