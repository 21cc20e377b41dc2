"""How much of each budget is used, and when it will be gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.cost.money import PICO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.cost.budgets import Budget
    from agent_studio.cost.table import Table

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_RECENT_MS = 7 * DAY_MS
_RESPONSES_LEAST = 2
"""For a forecast; of less nothing follows."""
_OVER = 100
_NEVER_MS = 1 << 42
_NOBODY = "-"
_DECEMBER = 12


class Forecast(NamedTuple):
    """When a budget will be gone, by the period's own pace and by that of the last seven days; ms since 1970."""

    earliest_ms: int
    latest_ms: int | None
    """None when by one of the two paces it lasts."""


@dataclass(frozen=True)
class Status:
    """One budget, or one of the many that an entry for `each` makes."""

    budget: Budget
    key: str
    """Which session, agent or the like; empty when there is only one."""
    start_ms: int
    end_ms: int | None
    used: int = 0
    unpriced: int = 0
    """Tokens without a price: a budget in USD is used by at least as much as it says."""
    forecast: Forecast | None = None

    @property
    def share(self) -> float:
        """Per cent of the limit; infinite when anything is used of nothing."""
        if not self.budget.limit:
            return math.inf if self.used else 0.0
        return 100 * self.used / self.budget.limit

    @property
    def percent(self) -> str:
        """`share`, for people."""
        if math.isinf(self.share):
            return "more than there is"
        return f"{self.share:,.0f} %" if self.share >= _OVER else f"{self.share:.3g} %"

    @property
    def crossed(self) -> list[int]:
        """The levels that are reached, per cent, ascending."""
        return [level for level in self.budget.levels if self.share >= level]

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.share >= _OVER

    @property
    def remaining(self) -> int:
        """What is left, in the budget's unit; below zero when it is over."""
        return self.budget.limit - self.used

    @property
    def period(self) -> str:
        """What tells this period from others: its start as a local day, or the session."""
        if self.budget.per in {"session", "total"}:
            return self.key
        return self.budget.zone.local(self.start_ms).date().isoformat()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as commands and dashboards show them."""
        budget, forecast = self.budget, self.forecast
        return {
            "name": budget.name, "per": budget.per, "key": self.key, "unit": budget.unit,
            "used": budget.written(self.used), "limit": budget.written(budget.limit),
            "share": round(self.share, 2) if budget.limit else None,
            "level": self.crossed[-1] if self.crossed else None, "action": budget.action,
            "remaining": budget.written(self.remaining), "unpricedTokens": self.unpriced,
            "forecast": forecast and {
                "earliest": clock.of_ms(forecast.earliest_ms),
                "latest": None if forecast.latest_ms is None else clock.of_ms(forecast.latest_ms),
            },
            "periodStart": clock.of_ms(self.start_ms) if self.start_ms else None,
            "periodEnd": None if self.end_ms is None else clock.of_ms(self.end_ms), "timezone": budget.zone.name,
        }  # fmt: skip


class _Used(NamedTuple):
    amount: int
    unpriced: int
    responses: int


def statuses(
    found: Table, budgets: Iterable[Budget], now_ms: int, *, session: str | None = None, forecasts: bool = True
) -> list[Status]:
    """Return the status of every budget at a moment.

    Of budgets per session only those of the last day, or of the one `session`.
    """
    return [one for budget in budgets for one in _of(found, budget, now_ms, session, forecasts)]


def span(per: str, zone: Any, now_ms: int) -> tuple[int, int | None]:
    """Return when the period that a moment is in begins and ends, ms since 1970; local days of a time zone."""
    today: date = zone.local(now_ms).date()
    if per == "day":
        first, after = today, today + timedelta(days=1)
    elif per == "week":
        first = today - timedelta(days=today.weekday())
        after = first + timedelta(days=7)
    elif per == "month":
        first = today.replace(day=1)
        after = date(first.year + first.month // _DECEMBER, first.month % _DECEMBER + 1, 1)
    else:
        return 0, None
    return zone.start_ms(first), zone.start_ms(after)


def _of(found: Table, budget: Budget, now_ms: int, session: str | None, forecasts: bool) -> Iterator[Status]:  # noqa: FBT001 - passed on
    start, end = span(budget.per, budget.zone, now_ms)
    used = _used(found, budget, start, end, session)
    if budget.per == "session" and session is None:
        recent = _used(found, budget, now_ms - DAY_MS, None, None)
        used = {key: amount for key, amount in used.items() if key in recent}
    if not used and not _is_many(budget):
        used = {(): _Used(0, 0, 0)}
    recent_ms = HOUR_MS if budget.per == "session" else _RECENT_MS
    past = _used(found, budget, now_ms - recent_ms, None, session) if forecasts else {}
    for key, amount in sorted(used.items()):
        forecast = None
        if forecasts and amount.responses >= _RESPONSES_LEAST:
            lately = past.get(key, _Used(0, 0, 0)).amount
            since_ms = now_ms - HOUR_MS if budget.per == "session" else _first_ms(found)
            paces = [lately / max(min(recent_ms, now_ms - since_ms), HOUR_MS)]
            if budget.per != "session":
                paces.append(amount.amount / max(now_ms - max(start, since_ms), 1))
            forecast = _forecast(budget.limit - amount.amount, paces, now_ms, end)
            if now_ms - max(start, since_ms) < HOUR_MS:
                forecast = None
        shown = ", ".join(part or _NOBODY for part in key)
        yield Status(budget, shown, start, end, amount.amount, amount.unpriced, forecast)


def _is_many(budget: Budget) -> bool:
    return bool(budget.each) or budget.per == "session"


def _used(
    found: Table, budget: Budget, since_ms: int, until_ms: int | None, session: str | None
) -> dict[tuple[str, ...], _Used]:  # fmt: skip
    """Return what is used by each key of a budget: the session first, then the values of its `each`."""
    keys = (*(("session",) if budget.per == "session" else ()), *budget.each)
    exact = {name: wanted for name, wanted in budget.only if not wanted.endswith("*")}
    if budget.per == "session" and session is not None:
        exact["session"] = session
    partly = {name: wanted[:-1] for name, wanted in budget.only if wanted.endswith("*")}
    columns = (*keys, *partly)
    texts = found.texts() if columns else {}
    sums: dict[tuple[str, ...], _Used] = {}
    for row in found.sums(columns, since_ms=since_ms, until_ms=until_ms, where=exact):
        said = [texts[number] or "" for number in row[: len(columns)]]
        if not row[len(columns)] or not _fits(said[len(keys) :], partly.values()):
            continue
        key, more = tuple(said[: len(keys)]), _amount(budget, row[len(columns) :])
        held = sums.get(key, _Used(0, 0, 0))
        sums[key] = _Used(*(a + b for a, b in zip(held, more, strict=True)))
    return sums


def _fits(said: Sequence[str], starts: Iterable[str]) -> bool:
    return all(text.startswith(start) for text, start in zip(said, starts, strict=True))


def _amount(budget: Budget, row: Sequence[Any]) -> _Used:
    responses, given, said, _, short, long, _, whole, rest, unpriced = row
    if budget.unit == "tokens":
        return _Used(given + said + short + long, 0, responses)
    return _Used(0 if whole is None else whole * PICO + rest, unpriced, responses)


def _first_ms(found: Table) -> int:
    (first,) = found.db.execute("SELECT MIN(at_ms) FROM usage").fetchone()
    return int(first or 0)


def _forecast(left: int, paces: Sequence[float], now_ms: int, end_ms: int | None) -> Forecast | None:
    """Return when what is left is gone, at each of the paces (per ms)."""
    if left <= 0:
        return None
    at = [now_ms + left / pace for pace in paces if pace > 0]
    within = sorted(int(one) for one in at if one < (end_ms or _NEVER_MS))
    if not within:
        return None
    return Forecast(within[0], within[-1] if len(within) == len(paces) else None)
