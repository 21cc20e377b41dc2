"""How figures, verdicts and budgets are written for programs: plain dicts, times RFC 3339, ratios 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cost.money import PICO
from agent_studio.monitor.summary import COUNTED, HOUR_MS, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.monitor.summary import AgentFigures, ErrorHour, HookFigures, SpendHour, Summary, Window

WORST_FIRST = ("BREACH", "UNKNOWN", "OK", "OFF")
"""States of a limit; OFF: there is none."""
_USD_DIGITS = 6


def of_window(window: Window) -> dict[str, Any]:
    """Return `{from, to, hours}`."""
    return {"from": clock.of_ms(window.since_ms), "to": clock.of_ms(window.until_ms), "hours": round(window.hours, 2)}


def of_hook(one: HookFigures, state: str = "OFF") -> dict[str, Any]:
    """Return one hook's row."""
    return {
        "hook": one.hook, "calls": one.calls, "failures": one.failures, "blocked": one.blocked, "timed": one.timed,
        "failureRate": ratio(one.failures, one.calls), "avgMs": milliseconds(one.avg_ms),
        "p50Ms": milliseconds(one.p50_ms), "p95Ms": milliseconds(one.p95_ms), "p99Ms": milliseconds(one.p99_ms),
        "last": clock.of_ms(one.last_ms), "state": state,
    }  # fmt: skip


def of_agent(one: AgentFigures, state: str = "OFF") -> dict[str, Any]:
    """Return one agent's row."""
    return {
        "agent": one.agent, "runs": one.runs, "failures": one.failures, "cancelled": one.cancelled,
        "failureRate": ratio(one.failures, one.runs - one.cancelled), "tokens": one.tokens,
        "avgMs": milliseconds(one.avg_ms), "p95Ms": milliseconds(one.p95_ms), "last": clock.of_ms(one.last_ms),
        "state": state,
    }  # fmt: skip


def of_errors(hours: Sequence[ErrorHour]) -> dict[str, Any]:
    """Return how many errors there were: all, those that count towards the limit, by severity, by hour."""
    return {
        "total": sum(one.count for one in hours),
        "counted": sum(one.count for one in hours if one.severity in COUNTED),
        "bySeverity": {
            name: sum(one.count for one in hours if one.severity == name)
            for name in sorted({one.severity for one in hours}, key=severity_order)
        },
        "hours": [
            {"hour": clock.of_ms(one.hour_ms), "severity": one.severity, "count": one.count} for one in hours
        ],
    }  # fmt: skip


def severity_order(name: str) -> tuple[int, str]:
    """Return what severities are sorted by: the worst first, unknown ones last."""
    return (SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES), name)


def of_spend(one: SpendHour) -> dict[str, Any]:
    """Return what one model used in one hour."""
    return {
        "model": one.model, "hour": clock.of_ms(one.hour_ms), "tokens": one.tokens, "costUsd": usd(one.pico_usd),
        "unpricedTokens": one.unpriced,
    }  # fmt: skip


def of_models(spend: Iterable[SpendHour]) -> list[dict[str, Any]]:
    """Return what each model used in all, the dearest first."""
    by_model: dict[str, list[SpendHour]] = {}
    for one in spend:
        by_model.setdefault(one.model, []).append(one)
    rows = [{"model": model, **total(hours)} for model, hours in by_model.items()]
    return sorted(rows, key=lambda row: (-(row["costUsd"] or 0), -row["tokens"], row["model"]))


def total(spend: Iterable[SpendHour]) -> dict[str, Any]:
    """Return tokens, cost and tokens without a price of several hours; a cost of null: nothing has a price."""
    hours = list(spend)
    priced = [one.pico_usd for one in hours if one.pico_usd is not None]
    return {
        "tokens": sum(one.tokens for one in hours), "costUsd": usd(sum(priced)) if priced else None,
        "unpricedTokens": sum(one.unpriced for one in hours),
    }  # fmt: skip


def timeline(summary: Summary) -> list[dict[str, Any]]:
    """Return every hour of the stretch, also those in which nothing happened: errors that count, tokens, cost."""
    first = summary.window.since_ms // HOUR_MS * HOUR_MS
    hours = {at: {"errors": 0, "tokens": 0, "pico": 0} for at in range(first, summary.window.until_ms, HOUR_MS)}
    for error in summary.errors:
        if error.severity in COUNTED and error.hour_ms in hours:
            hours[error.hour_ms]["errors"] += error.count
    for spent in summary.spend:
        if spent.hour_ms in hours:
            hours[spent.hour_ms]["tokens"] += spent.tokens
            hours[spent.hour_ms]["pico"] += spent.pico_usd or 0
    return [
        {"hour": clock.of_ms(at), "errors": one["errors"], "tokens": one["tokens"], "costUsd": usd(one["pico"])}
        for at, one in hours.items()
    ]


def worst(states: Iterable[str], otherwise: str = "OFF") -> str:
    """Return the worst of several states."""
    return min(states, key=WORST_FIRST.index, default=otherwise)


def ratio(part: int, whole: int) -> float:
    """Return a share, 0 to 1; 0 of nothing."""
    return round(part / whole, 6) if whole > 0 else 0.0


def milliseconds(value: float | None) -> float | None:
    """Return a duration to the microsecond."""
    return None if value is None else round(value, 3)


def usd(pico_usd: int | None) -> float | None:
    """Return an amount in USD, for people and charts; exact amounts are the ledger's."""
    return None if pico_usd is None else round(pico_usd / PICO, _USD_DIGITS)
