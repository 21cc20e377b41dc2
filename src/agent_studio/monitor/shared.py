"""The records of many machines, asked of the engine that holds them: the named queries, and what other readers need.

What an engine holds is by project and environment; every query here is about one project, and nearly all are about one
environment.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.monitor import lake
from agent_studio.monitor.dialect import DIALECTS
from agent_studio.monitor.lines import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.shared_records import Fetched, SharedRecords
    from agent_studio.monitor.summary import Window

_FOLDER = Path(__file__).with_name("queries") / "shared"
_PARAMETER = re.compile(r"\$([a-z_]+)")
_VIEW = re.compile(r"\bFROM (hooks|agents|errors|sessions|usage|lines|newest)\b( /\* copies too \*/)?")
"""What is not a matter of how many may count a row that arrived twice, which spares an engine the comparison."""
_EVER_MS = 1 << 53
_MORE: Mapping[str, Mapping[str, str]] = {"errors": {"event_id": "eventId", "metadata": "metadata"}}
"""Columns that a shared table has beyond those of the lake, by the field that each is from."""
COST_COLUMNS: Mapping[str, str] = {
    "session": "session_id", "model": "model", "agent": "agent", "skill": "skill", "project": "folder",
    "environment": "environment", "provider": "provider", "source": "source",
}  # fmt: skip
"""The columns of `cost.table.NAMES` as the shared table has them."""


def rows(context: Context, query: str, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the text of a query."""
    found = _fetch(_of(context), query, {"environment": str(context.environment), **bound})
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def records(context: Context, kind: str, since_ms: int) -> Iterator[tuple[dict[str, Any], int] | None]:
    """Yield each record from a moment on as its journal has it, in order of time, after None for each damaged line.

    There is no order but that of time: whether a machine's clock went back cannot be told.
    """
    shared, fields = _of(context), _fields(kind)
    bound = {"environment": str(context.environment), "since": since_ms, "kind": kind}
    for (damaged,) in _fetch(shared, _text("damage"), bound).rows:
        yield from [None] * damaged
    text = _text("records").replace("{columns}", _columns(kind)).replace("{table}", f"agent_studio.{kind}")
    for at_ms, release, is_synthetic, *values in _fetch(shared, text, bound).rows:
        told = {name: None if value == UNKNOWN else value for name, value in zip(fields, values, strict=True)}
        record = {"environment": bound["environment"], "release": release, **told}
        record["metadata"] = {"synthetic": bool(is_synthetic)}
        yield record, at_ms


def moments(context: Context, since_ms: int) -> list[tuple[int, str]]:
    """Return when models responded from a moment on, ms since 1970, each with its session."""
    bound = {"environment": str(context.environment), "since": since_ms, "until": _EVER_MS}
    return [(at_ms, session or "") for at_ms, session in _fetch(_of(context), _text("moments"), bound).rows]


def usage_sums(
    context: Context, columns: Sequence[str], since_ms: int, until_ms: int | None, *, every: bool
) -> Iterable[Sequence[Any]]:
    """Return rows for `cost.gathered`, of `every` environment or the own one; `columns` are some of `COST_COLUMNS`."""
    listed = "".join(f", {COST_COLUMNS[one]}" for one in columns)
    bound = {"since": since_ms, "until": _EVER_MS if until_ms is None else until_ms}
    own = {} if every else {"environment": str(context.environment)}
    return _fetch(_of(context), _text("sums").replace("{columns}", listed), {**own, **bound}).rows


def first_usage_ms(context: Context) -> int | None:
    """Return when the first response of an environment was."""
    ((first_ms,),) = _fetch(_of(context), _text("first"), {"environment": str(context.environment)}).rows
    return None if first_ms is None else int(first_ms)


def machines(context: Context, window: Window, release: str) -> int:
    """Return how many machines sent records of a release and a stretch of time."""
    bound = {"since": window.since_ms, "until": window.until_ms, "release": release}
    own = {"environment": str(context.environment), **bound}
    ((count,),) = _fetch(_of(context), _text("machines"), own).rows
    return int(count)


def _of(context: Context) -> SharedRecords:
    if context.shared is None:
        raise ValueError("the records are this machine's own")
    return context.shared


def _fetch(shared: SharedRecords, query: str, bound: Mapping[str, Any]) -> Fetched:
    text = query
    while _VIEW.search(text):
        text = _VIEW.sub(lambda match: f"FROM ({_view(match[1], once=not match[2])}) AS {match[1]}", text)
    text = text.replace("{own}", " AND environment = $environment" if "environment" in bound else "")
    used = set(_PARAMETER.findall(text))
    given = {"project": shared.project, **bound}
    statement = DIALECTS[shared.dialect].render(text)
    return shared.fetch(statement, {name: value for name, value in given.items() if name in used})


def _view(name: str, *, once: bool) -> str:
    if name not in lake.COLUMNS:
        return _text(name)
    text = _text("kind").replace("{columns}", _columns(name))
    return text.replace("{table}", f"agent_studio.{name}").replace("{once}", "{once}" if once else "")


def _columns(kind: str) -> str:
    return "".join(f", {name}" for name in (*lake.COLUMNS[kind], *_MORE.get(kind, ())))


def _fields(kind: str) -> list[str]:
    return [field for field, _ in lake.COLUMNS[kind].values()] + list(_MORE.get(kind, {}).values())


@cache
def _text(name: str) -> str:
    """Return a file of SQL without the line that says what it is."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8").partition("\n")[2].rstrip()
