"""The dashboard in a terminal: the dicts of `dashboard.view` as Rich renderables, for any width from 40 columns up.

Without colour nothing is lost: a state is a mark and a word. Texts of records are made harmless (`words.plain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group
from rich.text import Text

from agent_studio.dashboard import grid, words
from agent_studio.dashboard.grid import Column
from agent_studio.dashboard.sparkline import gauge, sparkline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import OverflowMethod, RenderableType

_MARKS = {"OK": "✓", "BREACH": "✗", "UNKNOWN": "?", "OFF": "·"}
_PLAIN_MARKS = {"OK": "+", "BREACH": "X", "UNKNOWN": "?", "OFF": "-"}
_STYLES = {"OK": "green", "BREACH": "bold red", "UNKNOWN": "yellow", "OFF": "dim"}
_SEVERITY_STYLES = {"CRITICAL": "bold red", "HIGH": "red", "MEDIUM": "yellow"}
_RULES = {
    "hookExecutionTimeMs": "hook p95",
    "hookFailureRate": "hook failures", "hookFailureBurst": "hook failures, 1 h",
    "agentFailureRate": "agent failures", "agentFailureBurst": "agent failures, 1 h",
    "errorRatePerHour": "errors an hour", "tokenBudgetPerDay": "tokens today", "budget": "budget",
    "flagRollout": "rollout halted",
}  # fmt: skip
"""Limits that have a figure, as people call them."""
_WATCHED = {("silence", ""): "agents end", ("silence", "hooks"): "hooks report", ("ingest", ""): "ingest keeps up"}
"""What else is watched."""
_WIDE = 110
_NAME_MAX = 120
_SAID_MAX = 300
_STALE_S = 15 * 60
_DAYS_FROM_H = 72
_THOUSANDS = 10_000
VERDICTS = {"PASS": "OK", "FAIL": "BREACH", "INSUFFICIENT": "UNKNOWN"}
"""The state that a verdict is drawn as."""
SORTS = ("calls", "p95Ms", "failureRate")
"""By what hooks can be in order, the most first."""


class Look(NamedTuple):
    """How much room there is and what can be shown in it."""

    width: int
    unicode: bool = True
    rows: int | None = None
    """Hooks and agents at most, each; None: all."""
    limits: int | None = 12
    """Limits at most; None: all."""
    is_airy: bool = True
    """Whether a blank line stands between sections."""
    more: str = ": --all"
    """What shows the rows that are left out."""
    sort: str = SORTS[0]

    @property
    def gap(self) -> list[Text]:
        """What stands between sections."""
        return [Text()] if self.is_airy else []

    @property
    def cut(self) -> str:
        """What stands for what is left out of a name."""
        return "…" if self.unicode else "~"

    @property
    def overflow(self) -> OverflowMethod:
        """What happens to a line that is too long."""
        return "ellipsis" if self.unicode else "crop"


def overview(data: dict[str, Any], look: Look) -> Group:
    """Draw `view.overview`."""
    return Group(
        header(data, look),
        *_limits(data, look),
        *_alert_lines(data["alerts"], look),
        *_burnin(data.get("burnin"), look),
        *_rollouts(data.get("rollouts", ()), look),
        *_hooks(data, look),
        *_agents(data, look),
        *look.gap,
        *_activity(data, look),
        *_data_lines(data, look),
    )


def header(data: dict[str, Any], look: Look) -> Text:
    """Draw one line: environment, state, stretch of time, how fresh it is."""
    hours = data["window"]["hours"]
    text = Text(no_wrap=True, overflow=look.overflow)
    text.append(f"{data['environment']}  ", "bold")
    text.append_text(state(data["state"], look))
    text.append(f"  {f'{hours:g} h' if hours < _DAYS_FROM_H else f'{hours / 24:g} d'}")
    until, fresh = f" to {words.moment(data['window']['to'])} UTC", _fresh(data["ageSeconds"])
    if text.cell_len + len(until) + fresh.cell_len <= look.width:
        text.append(until, "dim")
    return text.append_text(fresh)


def _fresh(age: float | None) -> Text:
    if age is None:
        return Text("  no records yet", "yellow")
    said = words.age(age)
    return Text(f"  newest {said}" + (" ago" if said != "now" else ""), "yellow" if age > _STALE_S else "dim")


def state(name: str, look: Look, word: str = "") -> Text:
    """Draw a state: a mark and a word."""
    marks = _MARKS if look.unicode else _PLAIN_MARKS
    return Text(f"{marks.get(name, '?')} {word or _word(name)}", _STYLES.get(name, ""))


def severity(name: str, look: Look, word: str = "") -> Text:
    """Draw the severity of an alert."""
    return Text(f"{'▲' if look.unicode else '!'} {word or name}", _SEVERITY_STYLES.get(name, ""))


def _word(name: str) -> str:
    return "no limits" if name == "OFF" else name


def _limits(data: dict[str, Any], look: Look) -> Iterable[RenderableType]:
    known = [one for one in data["limits"] if one["rule"] in _RULES]
    shown = [one for one in data["limits"] if one["state"] == "BREACH"]
    shown += [one for one in known if one["state"] != "BREACH" and (not one["label"] or one["rule"] == "budget")]
    watched = [
        one for one in data["limits"]
        if one["rule"] not in _RULES and one["state"] != "BREACH" and (not one["label"] or one["label"] == "hooks")
    ]  # fmt: skip
    if not shown:
        return
    width = 10 if look.width < _WIDE else 36
    columns = (
        Column("limit", rule),
        Column("now", lambda one: Text(_now(one, look), _STYLES.get(one["state"], ""))),
        Column("at most", at_most),
        Column("", lambda one: _gauge(one, width, look), 2, is_left=True),
        Column("", lambda one: state(one["state"], look), is_left=True),
        Column("", _needed, 1, is_left=True),
    )
    yield from look.gap
    yield from grid.lines(columns, shown[: look.limits], look.width, look.cut, name_least=40)
    if look.limits is not None and len(shown) > look.limits:
        yield Text(f"{words.many(len(shown) - look.limits, 'more limit')}{look.more}", "dim")
    if watched:
        yield _watched(watched, look)


def _watched(found: Sequence[dict[str, Any]], look: Look) -> Text:
    """Draw what has no figure worth a line while nothing is wrong with it."""
    line = Text(no_wrap=True, overflow=look.overflow)
    for number, one in enumerate(found):
        line.append("  " if number else "")
        line.append_text(state(one["state"], look, rule(one)))
    return line


def rule(one: dict[str, Any]) -> str:
    """Return what a limit is called, with the hook or agent that it is of."""
    name = _WATCHED.get((one["rule"], one["label"]))
    return name or words.plain(f"{_RULES.get(one['rule'], one['rule'])} {one['label']}".strip(), _NAME_MAX)


def at_most(one: dict[str, Any]) -> Text:
    """Draw a limit."""
    return Text(words.amount(one["limit"], one["unit"]).replace(".0 ", " "), "dim")


def _now(one: dict[str, Any], look: Look) -> str:
    if one["value"] is None and one["high"] is not None:  # of all together only a bound is known
        return f"{'≤' if look.unicode else '<='} {words.amount(one['high'], one['unit'])}"
    return words.amount(one["value"], one["unit"])


def _gauge(one: dict[str, Any], width: int, look: Look) -> Text:
    if one["limit"] is None:
        return Text()
    bar = gauge(
        one["high"] if one["value"] is None else one["value"],
        one["low"],
        one["high"],
        one["limit"],
        width,
        unicode=look.unicode,
    )
    return Text(bar, _STYLES.get(one["state"], ""))


def _needed(one: dict[str, Any]) -> Text:
    """Draw how many more runs a verdict takes."""
    needed = one["needed"]
    if one["state"] != "UNKNOWN" or not needed:
        return Text()
    return Text(f"{words.count(needed) if needed < _THOUSANDS else f'{needed // 1_000}k'} more", _STYLES["UNKNOWN"])


def _alert_lines(alerts: Sequence[dict[str, Any]], look: Look) -> Iterable[RenderableType]:
    """Draw how many alerts there are; what they are about stands among the limits."""
    firing = [one for one in alerts if one["state"] == "firing"]
    if not firing:
        return
    open_ = [one for one in firing if one["open"]]
    worst = (open_ or firing)[0]["severity"]
    line = Text(no_wrap=True, overflow=look.overflow)
    line.append_text(severity(worst, look, f"{words.many(len(firing), 'alert')} firing"))
    if len(open_) < len(firing):
        line.append(f", {len(firing) - len(open_)} acknowledged or silenced")
    line.append(f"  the worst {worst}, the oldest since {words.moment(min(one['since'] for one in firing))}", "dim")
    yield from look.gap
    yield line


def _burnin(found: dict[str, Any] | None, look: Look) -> Iterable[RenderableType]:
    """Draw where a burn-in stands in one line."""
    if found is None:
        return
    line = Text(no_wrap=True, overflow=look.overflow)
    line.append_text(state(VERDICTS[found["verdict"]], look, f"burn-in {found['verdict']}"))
    if found["observedHours"] is not None:
        line.append(f"  {found['observedHours']:.1f} of {found['hours']:g} h")
    line.append(f"  {words.plain(found['message'], _SAID_MAX)}", "dim")
    yield from look.gap
    yield line


def _rollouts(found: Sequence[dict[str, Any]], look: Look) -> Iterable[RenderableType]:
    """Draw where gradual rollouts stand in one line."""
    if not found:
        return
    told = [
        f"{words.plain(one['flag'], _SAID_MAX)} {'' if one['state'] == 'running' else one['state'] + ' at '}"
        f"{one['percent']:g} %"
        for one in found
    ]
    yield from look.gap
    yield Text(f"gradual rollouts  {', '.join(told)}", no_wrap=True, overflow=look.overflow)


def _hooks(data: dict[str, Any], look: Look) -> Iterable[RenderableType]:
    columns = (
        Column("hook", lambda one: _named(one, "hook", look)),
        Column("calls", lambda one: words.count(one["calls"])),
        Column("failed", _rate),
        Column("blocked", lambda one: words.count(one["blocked"]), 3),
        Column("avg", lambda one: words.duration(one["avgMs"]), 5),
        Column("p50", lambda one: words.duration(one["p50Ms"]), 2),
        Column("p95", lambda one: Text(words.duration(one["p95Ms"]), _state_style(one))),
        Column("p99", lambda one: words.duration(one["p99Ms"]), 1),
        Column("seen", lambda one: _ago(one, data), 4),
    )
    rows = sorted(data["hooks"], key=lambda one: -(one[look.sort] or 0))
    rows.sort(key=lambda one: one["state"] != "BREACH")
    yield from _section(columns, rows, look, "hook")


def _agents(data: dict[str, Any], look: Look) -> Iterable[RenderableType]:
    columns = (
        Column("agent", lambda one: _named(one, "agent", look)),
        Column("runs", lambda one: words.count(one["runs"])),
        Column("failed", _rate),
        Column("cancelled", lambda one: words.count(one["cancelled"]), 3),
        Column("avg", lambda one: words.duration(one["avgMs"]), 2),
        Column("p95", lambda one: words.duration(one["p95Ms"])),
        Column("tokens", lambda one: words.count(one["tokens"]), 1),
        Column("seen", lambda one: _ago(one, data), 4),
    )
    rows = sorted(data["agents"], key=lambda one: (one["state"] != "BREACH", -one["runs"]))
    yield from _section(columns, rows, look, "agent")


def _section(
    columns: Sequence[Column], rows: Sequence[dict[str, Any]], look: Look, noun: str
) -> Iterable[RenderableType]:  # fmt: skip
    yield from look.gap
    if not rows:
        yield Text(f"no {noun} ran", "dim")
        return
    yield from grid.lines(columns, rows[: look.rows], look.width, look.cut)
    if look.rows is not None and len(rows) > look.rows:
        yield Text(f"{words.many(len(rows) - look.rows, f'more {noun}')}{look.more}", "dim")


def _named(one: dict[str, Any], kind: str, look: Look) -> Text:
    name = words.plain(one[kind], _NAME_MAX)
    if one["state"] != "BREACH":
        return Text(name)
    return Text.assemble((f"{(_MARKS if look.unicode else _PLAIN_MARKS)['BREACH']} ", _STYLES["BREACH"]), name)


def _rate(one: dict[str, Any]) -> Text:
    if not one["failures"]:
        return Text("0", "dim")
    return Text(f"{words.count(one['failures'])} {words.amount(one['failureRate'], 'ratio'):>7}", _state_style(one))


def _state_style(one: dict[str, Any]) -> str:
    return _STYLES["BREACH"] if one["state"] == "BREACH" else ""


def _ago(one: dict[str, Any], data: dict[str, Any]) -> Text:
    return Text(words.age(words.seconds_between(one["last"], data["window"]["to"])), "dim")


def _activity(data: dict[str, Any], look: Look) -> Iterable[Text]:
    """Draw errors, spend, tokens and sessions, each with its hours."""
    width = 24 if look.width < _WIDE else 48
    severities = ", ".join(f"{n} {words.plain(name, 12)}" for name, n in data["errors"]["bySeverity"].items())
    dearest = ", ".join(
        f"{words.plain(one['model'], 32)} {words.amount(one['costUsd'], 'usd')}" for one in data["models"]
    )
    totals, told = data["totals"], data["sessions"]
    unpriced = f"{words.count(totals['unpricedTokens'])} without a price" if totals["unpricedTokens"] else ""
    rows = (
        ("errors", words.count(data["errors"]["total"]), _spark(data, "errors", width, look), severities),
        ("spend", words.amount(totals["costUsd"], "usd"), _spark(data, "costUsd", width, look), dearest),
        ("tokens", words.count(totals["tokens"]), _spark(data, "tokens", width, look), unpriced),
        (
            "sessions", words.count(told["started"]), Text(f"{told['open']} open, {told['ended']} ended"),
            words.many(told["prompts"], "prompt"),
        ),
    )  # fmt: skip
    for name, number, chart, rest in rows:
        line = Text(f"{name:<8}  {number:>9}  ", no_wrap=True, overflow=look.overflow)
        line.append_text(chart)
        line.append(" " * (width - len(chart) + 2) + rest)
        line.rstrip()
        yield line


def _spark(data: dict[str, Any], name: str, width: int, look: Look) -> Text:
    style = "red" if name == "errors" else "cyan"
    return Text(sparkline([hour[name] for hour in data["timeline"]], width, unicode=look.unicode), style)


def _data_lines(data: dict[str, Any], look: Look) -> Iterable[RenderableType]:
    """Say what is missing from all this."""
    parts = []
    if data.get("from") == "fleet":
        parts.append(("from the fleet: what waits on its machines is not known here", "dim"))
    if data["waitingBytes"]:
        parts.append((f"{words.size(data['waitingBytes'])} recorded, not yet ingested", "yellow"))
    for number, noun, nouns in (
        (data["damagedLines"], "damaged line", "damaged lines"),
        (data["futureRecords"], "record from the future", "records from the future"),
        (data["unrouted"], "unrouted event", "unrouted events"),
    ):
        if number:
            parts.append((words.many(number, noun, nouns), "yellow"))
    if parts:
        line = Text(" · " if look.unicode else " - ").join(Text(said, style) for said, style in parts)
        line.no_wrap, line.overflow = True, look.overflow
        yield line
