"""The named queries of `queries/`, run over the lake, or over what many machines share."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cost.money import PICO
from agent_studio.errors import StorageError, UsageError, did_you_mean
from agent_studio.monitor import lake, shared, usage
from agent_studio.monitor.dialect import DUCKDB
from agent_studio.monitor.lines import UNKNOWN
from agent_studio.monitor.segments import JOURNALS
from agent_studio.monitor.summary import (
    DAY_MS,
    HOUR_MS,
    AgentFigures,
    ErrorHour,
    HookFigures,
    SessionFigures,
    Summary,
    agents_in_order,
    errors_in_order,
    hooks_in_order,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from duckdb import DuckDBPyConnection

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import SpendHour, Window

    Found = TypeVar("Found")

_FOLDER = Path(__file__).with_name("queries")
_BY_HOUR_MS = 3 * DAY_MS
"""Histories of longer stretches are by day."""
_GIVEN = frozenset(("since", "until", "now", "step", "heard_from"))
"""Parameters that every query may use."""
_EVER_MS = -(1 << 62)
_PARAMETER = re.compile(r"\$([a-z_]+)")
_VIEW = re.compile(r"\bFROM (hooks|agents|errors|sessions|usage|lines)\b")
_USAGE = {
    "at_ms": "BIGINT", "session_id": "VARCHAR", "model": "VARCHAR", "agent": "VARCHAR", "responses": "BIGINT",
    "input_tokens": "BIGINT", "output_tokens": "BIGINT", "cache_read_tokens": "BIGINT", "cache_write_tokens": "BIGINT",
    "tokens": "BIGINT", "cost_usd": "DOUBLE", "unpriced_tokens": "BIGINT",
}  # fmt: skip
"""The columns of the view `usage`; tokens are input, output and cache writes."""
_LOADED_AT_ONCE = 50_000


def queries() -> dict[str, str]:
    """Return what each query gives, by its name."""
    return {name: _text(name).partition("\n")[0].removeprefix("-- ") for name in _names()}


def rows(context: Context, query: str, window: Window, now_ms: int, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a query; raise `UsageError` for an unknown one or parameters that are not its own."""
    _check(query, parameters)
    if context.shared is not None:
        return _shared(context, query, window, now_ms, parameters)
    return _with_lake(context, [query], window, lambda db: _run(db, query, window, now_ms, parameters))


def summary(context: Context, window: Window, spend: list[SpendHour], now_ms: int) -> Summary:
    """Return the figures of a stretch of time."""
    names = ("hooks", "agents", "errors_by_hour", "summary_sessions", "summary_state", "summary_damage")
    if context.shared is not None:
        found = {name: _shared(context, name, window, now_ms, {}) for name in names if name != "summary_state"}
        found["summary_state"] = _state(context, window, now_ms)
    else:
        found = _with_lake(
            context, names, window, lambda db: {name: _run(db, name, window, now_ms, {}) for name in names}
        )
    (sessions,), (state,), (damage,) = (found[name] for name in names[3:])
    return Summary(
        window,
        hooks=hooks_in_order(HookFigures(*row.values()) for row in found["hooks"]),
        agents=agents_in_order(AgentFigures(*row.values()) for row in found["agents"]),
        errors=errors_in_order(ErrorHour(*row.values()) for row in found["errors_by_hour"]),
        spend=spend, sessions=SessionFigures(**sessions), damaged=damage["damaged"], future=state["future"],
        newest_ms=state["newest_at_ms"],
    )  # fmt: skip


def _check(query: str, parameters: dict[str, Any]) -> None:
    if query not in _names():
        raise UsageError(f"unknown query {query!r}", hint=did_you_mean(query, _names()))
    own = set(_PARAMETER.findall(_text(query))) - _GIVEN
    if own != parameters.keys():
        given = ", ".join(sorted(parameters)) or "nothing"
        raise UsageError(f"the query {query} was given {given}", hint=f"it takes {', '.join(sorted(own)) or 'nothing'}")


def _with_lake(
    context: Context, names: Sequence[str], window: Window, run: Callable[[DuckDBPyConnection], Found]
) -> Found:
    """Run queries; when a Parquet file turns out to be damaged inside, run them again over its lines instead."""
    kinds = {kind for name in names for kind in _VIEW.findall(_text(name))}
    wanted = [kind for kind in JOURNALS if kind in kinds or "lines" in kinds]
    distrusted: frozenset[str] = frozenset()
    while True:
        try:
            with lake.opened(context, wanted, distrusted=distrusted) as db:
                if "usage" in kinds:
                    _load_usage(db, context, window)
                return run(db)
        except lake.TooManyRecordsError:
            raise
        except StorageError:
            damaged = frozenset(lake.damaged(context, wanted, deep=True))
            if damaged <= distrusted:
                raise
            distrusted = damaged


def _run(
    db: DuckDBPyConnection, query: str, window: Window, now_ms: int, parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    text = _text(query)
    used = set(_PARAMETER.findall(text))
    bound = {name: value for name, value in _bound(window, now_ms, parameters).items() if name in used}
    done = db.execute(DUCKDB.render(text), bound)
    columns = [column[0] for column in done.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in done.fetchall()]


def _shared(
    context: Context, query: str, window: Window, now_ms: int, parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    return shared.rows(context, _text(query), _bound(window, now_ms, parameters))


def _state(context: Context, window: Window, now_ms: int) -> list[dict[str, Any]]:
    """Ask for the newest record in the stretch first: to look through every partition takes planning alone a second."""
    found = _shared(context, "summary_state", window, now_ms, {"heard_from": window.since_ms})
    return found if found[0]["newest_at_ms"] is not None else _shared(context, "summary_state", window, now_ms, {})


def _bound(window: Window, now_ms: int, parameters: dict[str, Any]) -> dict[str, Any]:
    step = HOUR_MS if window.until_ms - window.since_ms <= _BY_HOUR_MS else DAY_MS
    return {
        "since": window.since_ms,
        "until": window.until_ms,
        "now": now_ms,
        "step": step,
        "heard_from": _EVER_MS,
        **parameters,
    }


def _load_usage(db: DuckDBPyConnection, context: Context, window: Window) -> None:
    """Put what the ledger holds of the stretch into a table, summed by session, model, agent and quarter of an hour."""
    db.execute(f"CREATE TABLE usage ({', '.join(f'{name} {form}' for name, form in _USAGE.items())})")
    lists = ", ".join(f"unnest($column_{name})" for name in _USAGE)
    found = iter(usage.rows(context, window, ("session", "model", "agent")))
    while batch := list(islice(found, _LOADED_AT_ONCE)):
        columns = zip(*(_usage_row(row, window) for row in batch), strict=True)
        bound = {f"column_{name}": list(values) for name, values in zip(_USAGE, columns, strict=True)}
        db.execute(f"INSERT INTO usage SELECT {lists}", bound)


def _usage_row(row: tuple[Any, ...], window: Window) -> tuple[Any, ...]:
    at_ms, session, model, agent, responses, given, said, read, short, long, _, whole, rest, unpriced = row
    cost = None if whole is None else whole + rest / PICO
    written = short + long
    return (
        max(at_ms, window.since_ms), session, model or UNKNOWN, agent, responses, given, said, read, written,
        given + said + written, cost, unpriced,
    )  # fmt: skip


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(place.stem for place in _FOLDER.glob("*.sql")))


@cache
def _text(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
