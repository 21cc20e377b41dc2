"""The smaller screens of a terminal: trends day by day, alerts, two environments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from agent_studio.dashboard import grid, words
from agent_studio.dashboard.grid import Column
from agent_studio.dashboard.sparkline import sparkline
from agent_studio.dashboard.terminal import VERDICTS, at_most, header, rule, severity, state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.dashboard.terminal import Look

_ID_SHOWN = 8
"""Characters of an id: the start of one is enough to name it."""
_TRENDS = (
    # heading, field, unit, rank
    ("calls", "calls", "count", 0),
    ("hook fail", "failureRate", "ratio", 0),
    ("p50", "p50Ms", "ms", 6),
    ("p95", "p95Ms", "ms", 0),
    ("runs", "runs", "count", 4),
    ("agent fail", "agentFailureRate", "ratio", 3),
    ("errors", "errors", "count", 0),
    ("sessions", "sessions", "count", 5),
    ("tokens", "tokens", "count", 2),
    ("spend", "costUsd", "usd", 1),
)


def trends(data: dict[str, Any], look: Look) -> Group:
    """Draw `view.trends`: a row a day, and a last one of bars."""
    days = data["days"]
    bars = {"day": "", **{field: sparkline([day[field] for day in days], len(days), unicode=look.unicode)
                          for _, field, _, _ in _TRENDS}}  # fmt: skip

    def column(heading: str, field: str, unit: str, rank: int) -> Column:
        return Column(
            heading,
            lambda day: Text(bars[field], "cyan") if day is bars else words.amount(day[field], unit),
            rank,
        )

    columns = (
        Column("day (UTC)", lambda day: "" if day is bars else _day(day, data)),
        *(column(*one) for one in _TRENDS),
    )
    title = Text.assemble((data["environment"], "bold"), f"  {len(days)} days")
    return Group(title, Text(), *grid.lines(columns, [*days, bars], look.width, look.cut))


def _day(day: dict[str, Any], data: dict[str, Any]) -> str:
    return f"{day['date']} so far" if data["window"]["to"].startswith(day["date"]) else str(day["date"])


def alerts(data: dict[str, Any], look: Look) -> Group:
    """Draw the alerts of `view.overview`, and where nothing can be said yet."""
    rows = data["alerts"]
    columns = (
        Column("alert", rule),
        Column("value", lambda one: words.amount(one["value"], one["unit"])),
        Column("at most", at_most, 2),
        Column("", lambda one: severity(one["severity"], look), is_left=True),
        Column("", _standing, is_left=True),
        Column("since", lambda one: words.age(words.seconds_between(one["since"], data["window"]["to"])), 1),
        Column("id", lambda one: words.plain(one["id"], _ID_SHOWN)),
    )
    parts: list[Text] = [header(data, look), Text()]
    parts += grid.lines(columns, rows, look.width, look.cut) if rows else [Text("no alerts", "dim")]
    if any(one["open"] for one in rows):
        parts += [Text(), Text("agent-studio alerts ack ID says that somebody looks after it", "dim")]
    return Group(*parts, *_open_questions(data, look))


def _standing(one: dict[str, Any]) -> Text:
    if one["silenced"]:
        return Text("silenced", "dim")
    if one["acknowledged"]:
        return Text("acknowledged", "dim")
    return Text(one["state"], "bold" if one["state"] == "firing" else "dim")


def _open_questions(data: dict[str, Any], look: Look) -> Iterable[Text]:
    """Say what has no verdict yet, and how much that takes."""
    unknown = [one for one in data["limits"] if one["state"] == "UNKNOWN"]
    if unknown:
        yield Text()
    for one in unknown:
        if not one["label"]:
            line = Text(no_wrap=False)
            line.append_text(state("UNKNOWN", look, rule(one)))
            line.append(f": {words.plain(one['message'])}", "dim")
            yield line
    if rare := sum(1 for one in unknown if one["label"]):
        yield Text(f"{words.many(rare, 'figure')} of single hooks and agents without a verdict: too few runs", "dim")


def comparison(data: dict[str, Any], look: Look) -> Group:
    """Draw `comparison.compare`: each metric with its bounds and limit in both environments, and what has shifted."""
    left, right = data["a"]["environment"], data["b"]["environment"]
    columns = (
        Column("", _metric),
        Column(left, lambda one: _side(one, "a", look), is_left=True),
        Column("between", lambda one: _bounds(one, "a", look), 2, is_left=True),
        Column("at most", lambda one: _limit(one, "a")),
        Column(right, lambda one: _side(one, "b", look), is_left=True),
        Column("between", lambda one: _bounds(one, "b", look), 3, is_left=True),
        Column("at most", lambda one: _limit(one, "b")),
        Column("shift", _shift, 1, is_left=True),
    )
    verdict = state(VERDICTS[data["verdict"]], look, data["verdict"])
    title = Text.assemble((f"{left} beside {right}", "bold"), f"  last {data['window']['hours']:g} h  ", verdict)
    rows = sorted(data["metrics"], key=lambda one: (_ORDER.index(one["rule"]), one["label"] != "", one["label"]))
    lines = grid.lines(columns, rows, look.width, look.cut, name_least=18)
    reasons = [Text(words.plain(reason, 300), "dim") for reason in data["reasons"]]
    return Group(title, Text(), *lines, *([Text(), *reasons] if reasons else []))


def _metric(one: dict[str, Any]) -> Text:
    """Draw a name; below the figure of all together, those of each."""
    return Text(f"  {words.plain(one['label'])}") if one["label"] else Text(rule(one), "bold")


_ORDER = ("hookExecutionTimeMs", "hookFailureRate", "agentFailureRate", "errorRatePerHour", "tokenBudgetPerDay")
_SHIFTS = {"WORSE": "worse", "BETTER": "better", "NONE": "-", "UNKNOWN": "too few"}


def _side(one: dict[str, Any], name: str, look: Look) -> Text:
    side, unit = one[name], one["unit"]
    if side is None or side["value"] is None:
        return Text("-", "dim")
    mark = state(side["state"], look, " ")
    return Text.assemble(mark.plain.strip() + " ", words.amount(side["value"], unit), style=mark.style)


def _bounds(one: dict[str, Any], name: str, look: Look) -> Text:
    side, unit = one[name], one["unit"]
    if side is None or None in {side["low"], side["high"]} or side["low"] == side["high"]:
        return Text()
    return Text(f"{_bare(side['low'], unit)}{'–' if look.unicode else '-'}{_bare(side['high'], unit)}", "dim")


def _bare(value: float, unit: str) -> str:
    return words.amount(value, unit).removesuffix(" ms").removesuffix(" %")


def _limit(one: dict[str, Any], name: str) -> Text:
    return Text("-", "dim") if one[name] is None else at_most({**one[name], "unit": one["unit"]})


def _shift(one: dict[str, Any]) -> Text:
    found = one["shift"]
    if found is None:
        return Text()
    return Text(_SHIFTS[found["verdict"]], "yellow" if found["verdict"] == "WORSE" else "dim")
