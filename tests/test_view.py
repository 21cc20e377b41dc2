"""What dashboards draw: words, bars and tables fit and do no harm, whatever the records say."""

from __future__ import annotations

import io
import json
import re
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from tests.monitor_records import Records

from agent_studio.dashboard import figures, grid, sheets, terminal, view, words
from agent_studio.dashboard.grid import Column
from agent_studio.dashboard.sparkline import gauge, sparkline
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.monitor.summary import HOUR_MS, ErrorHour, SessionFigures, SpendHour, Summary, Window

if TYPE_CHECKING:
    from tests.conftest import Studio

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\r\nb\tc", "\u202edrowssap", "\u200b\u2066\ufeff", "[bold red]x[/]",
    "\ud800", "\x00\x7f\x85", "界" * 90, "e" + "\u0301" * 90, "<script>", "'; DROP TABLE hooks; --", "", " " * 50,
)  # fmt: skip
NEVER = {chr(code) for code in (*range(32), 0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


@given(st.text(max_size=300), st.integers(1, 100))
def test_a_text_on_the_screen_is_one_line_that_cannot_act(text: str, most: int) -> None:
    shown = words.plain(text, most)
    assert shown.isprintable()
    assert len(shown) <= most


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "-"),
        (0.4213, "ms", "0.42 ms"),
        (8.12, "ms", "8.1 ms"),
        (456.7, "ms", "457 ms"),
        (1_234, "ms", "1.2 s"),
        (150_000, "ms", "2 min"),
        (5_400_000, "ms", "1.5 h"),
        (0.0421, "ratio", "4.2 %"),
        (12_345.0, "usd", "$12,345.00"),
        (0.0012, "usd", "$0.0012"),
        (0, "usd", "$0.00"),
        (1_000, "tokens", "1,000"),
        (1_234_567, "tokens", "1.23M"),
        (2.5, "errors", "2.5"),
    ],
)
def test_an_amount_has_its_unit(value: float | None, unit: str, shown: str) -> None:
    assert words.amount(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(3, "now"), (40, "40 s"), (130, "2 min"), (7_200, "2 h"), (100_000, "28 h"), (260_000, "3 d")],
)
def test_an_age_is_short(seconds: float, shown: str) -> None:
    assert words.age(seconds) == shown


def test_bars_start_at_zero_and_a_gap_is_no_zero() -> None:
    assert sparkline([0, 1, 2, 4, None, 8], 10) == "▁▂▃▅ █"
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([0, 1, 8], 10, unicode=False) == "_.#"
    assert sparkline([], 10) == ""


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), min_size=1), st.integers(1, 40))
def test_the_highest_of_many_values_stays_in_sight(values: list[float | None], width: int) -> None:
    bars = sparkline(values, width)
    assert len(bars) == min(len(values), width)
    if max((value for value in values if value is not None), default=0) > 0:
        assert "█" in bars


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.integers(4, 60))
def test_a_gauge_is_as_wide_as_asked(value: float, low: float, high: float, limit: float, width: int) -> None:
    assert len(gauge(value, min(low, high), max(low, high), limit, width)) == width


def test_a_gauge_shows_which_side_of_the_limit_a_value_lies() -> None:
    under, over = gauge(5, 4, 6, 10, 20), gauge(11, 9, 12, 10, 20)
    assert under.index("●") < under.index("│")
    assert over.index("●") > over.index("│")
    assert gauge(50, 40, 60, 10, 20).endswith("›")


@given(
    st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60), min_size=1, max_size=5),
    st.integers(50, 140),
)
def test_no_line_of_a_table_is_wider_than_its_terminal(names: list[str], width: int) -> None:
    columns = (
        Column("hook", str), Column("calls", lambda _: "1,234,567"), Column("p95", lambda _: "12.3 ms"),
        Column("p50", lambda _: "12.3 ms", 2), Column("seen", lambda _: "12 min", 4),
    )  # fmt: skip
    for line in grid.lines(columns, names, width):
        assert line.cell_len <= width


def test_names_are_cut_in_their_middle_and_the_least_important_column_goes_first() -> None:
    columns = (Column("hook", str), Column("calls", lambda _: "1"), Column("p50", lambda _: "9 ms", 1))
    names = [f"plugin-with-a-long-name:PostToolUse:tool_{number}.sh" for number in (1, 2)]
    wide, narrow = grid.lines(columns, names, 60), grid.lines(columns, names, 34)
    assert "p50" in wide[0].plain
    assert "p50" not in narrow[0].plain
    assert narrow[1].plain != narrow[2].plain
    assert "…" in narrow[1].plain


@pytest.mark.parametrize("width", [60, 70, 80])
def test_on_a_narrow_terminal_a_limit_is_still_told_from_others(width: int) -> None:
    data = _overview("guard_bash.py")
    failing = {**data["limits"][0], "unit": "ratio", "value": 0.195, "limit": 0.1}
    data["limits"] = [{**failing, "rule": rule} for rule in ("hookFailureRate", "hookFailureBurst")]
    data["limits"] += [{**failing, "label": "", "state": "UNKNOWN", "needed": 49}]
    shown = [line.plain for line in terminal.overview(data, terminal.Look(width)).renderables if hasattr(line, "plain")]
    assert "newest 2 h ago" in shown[0]
    rows = [line for line in shown if "BREACH" in line and line.startswith("hook failures")]
    assert [row.partition("gu")[0] for row in rows] == ["hook failures ", "hook failures, 1 h "]
    assert all("10 %" in row for row in rows)


def _overview(name: str) -> dict[str, Any]:
    """What `view.overview` gives of records that hold one text everywhere."""
    limit = {
        "rule": "hookExecutionTimeMs", "label": name, "state": "BREACH", "severity": "HIGH", "value": 43.1, "low": 40.0,
        "high": 47.0, "limit": 20.0, "unit": "ms", "count": 90, "needed": 0, "message": name,
    }  # fmt: skip
    hook = {
        "hook": name, "calls": 1_234_567, "failures": 12, "blocked": 3, "timed": 9, "failureRate": 0.5, "avgMs": 1.0,
        "p50Ms": 1.0, "p95Ms": 12.0, "p99Ms": None, "last": "2026-01-31T09:00:00.000Z", "state": "BREACH",
    }  # fmt: skip
    agent = {
        "agent": name, "runs": 3, "failures": 1, "cancelled": 1, "failureRate": 0.5, "tokens": 10, "avgMs": None,
        "p95Ms": None, "last": "2026-01-31T09:00:00.000Z", "state": "OK",
    }  # fmt: skip
    return {
        "environment": "staging", "state": "BREACH", "hooks": [hook] * 30, "agents": [agent] * 9,
        "window": {"from": "2026-01-30T09:30:00.000Z", "to": "2026-01-31T09:30:00.000Z", "hours": 24.0},
        "limits": [limit, {**limit, "label": "", "state": "UNKNOWN", "needed": 5}, {**limit, "rule": name}],
        "errors": {"total": 3, "counted": 3, "bySeverity": {name: 3}, "hours": []}, "spend": [],
        "models": [{"model": name, "tokens": 1, "costUsd": None, "unpricedTokens": 1}],
        "totals": {"tokens": 5, "costUsd": None, "unpricedTokens": 5}, "sessions": SessionFigures(1, 2, 3, 4)._asdict(),
        "timeline": [{"hour": "", "errors": 1, "tokens": 1, "costUsd": None}] * 25, "newest": None, "ageSeconds": 7_000,
        "damagedLines": 1, "futureRecords": 2, "waitingBytes": 3, "unrouted": 4,
        "alerts": [{**limit, "id": name, "state": "firing", "since": "2026-01-31T09:00:00.000Z", "acknowledged": None,
                    "silenced": None, "open": True}],
    }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_neither_act_nor_break_the_screen(name: str) -> None:
    data = _overview(name)
    for width, unicode, draw in product((50, 80, 120, 200), (True, False), (terminal.overview, sheets.alerts)):
        written = io.StringIO()
        console = Console(file=written, width=width, highlight=False, emoji=False)
        console.print(draw(data, terminal.Look(width, unicode, 5)))
        for line in written.getvalue().splitlines():
            assert NEVER.isdisjoint(line), repr(line)
            assert cell_len(line) <= width, line


def test_without_colour_a_state_is_still_a_mark_and_a_word() -> None:
    for unicode in (True, False):
        shown = {terminal.state(name, terminal.Look(80, unicode)).plain for name in ("OK", "BREACH", "UNKNOWN", "OFF")}
        assert len({text[0] for text in shown}) == 4
        assert all(len(text) > 2 for text in shown)


def test_every_hour_of_the_stretch_is_in_the_timeline() -> None:
    start = 1_769_852_000_000 // HOUR_MS * HOUR_MS
    window = Window(start + 600_000, start + 600_000 + 24 * HOUR_MS)
    summary = Summary(
        window, [], [],
        [ErrorHour(start, "LOW", 7), ErrorHour(start, "HIGH", 2), ErrorHour(start + HOUR_MS, "MEDIUM", 1)],
        [SpendHour(start + 23 * HOUR_MS, "m", 5, None, 5), SpendHour(start + 23 * HOUR_MS, "n", 6, 10**12, 0)],
        SessionFigures(0, 0, 0, 0), 0, 0, None,
    )  # fmt: skip
    hours = figures.timeline(summary)
    assert len(hours) == 25
    assert [one["errors"] for one in hours[:3]] == [2, 1, 0]
    assert (hours[23]["tokens"], hours[23]["costUsd"]) == (11, 1.0)
    assert figures.total(summary.spend) == {"tokens": 11, "costUsd": 1.0, "unpricedTokens": 5}
    assert figures.of_errors(summary.errors)["counted"] == 3
    assert [one["model"] for one in figures.of_models(summary.spend)] == ["n", "m"]


def _promised(function: Any) -> dict[str, Any]:
    """The names in the first `{...}` of a docstring, each with those of the objects that it holds."""
    text = re.sub(r"\([^()]*\)|\s|\[|\]", "", function.__doc__)
    words = iter(re.findall(r"\w+|[{},]", text[text.index("{") + 1 :]))

    def names() -> dict[str, Any]:
        found: dict[str, Any] = {}
        last = ""
        for word in words:
            if word == "}":
                break
            if word == "{":
                found[last] = names()
            elif word != ",":
                last, found[word] = word, {}
        return found

    return names()


def _check(promised: dict[str, Any], data: Any, place: str) -> None:
    for one in data if isinstance(data, list) else [data]:
        if one is not None and promised:
            assert promised.keys() <= one.keys(), place
            for name, inner in promised.items():
                _check(inner, one[name], f"{place}.{name}")


def test_every_view_is_json_and_holds_what_it_promises(staged: Studio) -> None:
    records = Records(staged, "staging")
    for number in range(30):
        records.hook(
            "guard", ms=float(number + 1), minutes_ago=number + 1, status="failure" if number < 3 else "success"
        )
    records.hook("quiet", minutes_ago=5)
    records.agent("reviewer")
    records.error()
    records.session("start", minutes_ago=40)
    records.write()
    context = open_context(Project(staged.path), Choice(Environment.STAGING, "test"), {})
    window = view.last(24)
    seen = {
        view.overview: view.overview(context, window),
        view.hooks: view.hooks(context, window),
        view.hook: view.hook(context, "guard", window),
        view.agents: view.agents(context, window),
        view.errors: view.errors(context, window),
        view.costs: view.costs(context, window),
        view.sessions: view.sessions(context, window),
        view.session: view.session(context, "s1", window),
        view.trends: view.trends(context),
        view.alerts: view.alerts(context),
    }
    for function, data in seen.items():
        json.dumps(data, allow_nan=False)
        _check(_promised(function), data, function.__name__)
    kinds = {one["kind"] for one in seen[view.session]["events"]}
    assert kinds == {"session", "hook", "agent", "error"}
    assert sum(one["calls"] for one in seen[view.hook]["histogram"]) == 30
    assert seen[view.hooks]["slowest"][0]["durationMs"] == 30.0
    assert seen[view.errors]["groups"][0]["count"] == 1
    assert seen[view.sessions]["sessions"][0]["calls"] == 31
    assert view.hook(context, "nobody", window)["hook"] is None


def _staging(studio: Studio) -> tuple[Records, Any]:
    return Records(studio, "staging"), open_context(Project(studio.path), Choice(Environment.STAGING, "test"), {})


def test_the_rare_error_is_first_and_has_its_records_however_many_others_came_later(staged: Studio) -> None:
    records, context = _staging(staged)
    records.error(severity="CRITICAL", minutes_ago=90, message="the ledger is gone")
    for number in range(3):
        records.error(severity="HIGH", minutes_ago=80 + number, message=f"no answer from {number}")
    for number in range(250):
        records.error(severity="LOW", minutes_ago=1 + number / 10, message="slow")
    for number in range(250):
        records.error(severity="LOW", minutes_ago=30 + number / 10, message=f"kind {chr(97 + number % 26)}{number}")
    records.write()
    found = view.errors(context, view.last(24))
    assert [one["severity"] for one in found["groups"]][:2] == ["CRITICAL", "HIGH"]
    of = {
        one["shape"]: [record["message"] for record in found["latest"] if record["shape"] == one["shape"]]
        for one in found["groups"]
    }
    assert of["the ledger is gone"] == ["the ledger is gone"]
    assert of["no answer from #"] == ["no answer from 0", "no answer from 1", "no answer from 2"]
    assert len(of["slow"]) == 40
    times = [one["time"] for one in found["latest"]]
    assert times == sorted(times, reverse=True)


def test_a_record_names_its_group_though_another_begins_alike(staged: Studio) -> None:
    records, context = _staging(staged)
    records.error(message="timeout")
    records.error(message="timeout of the lock")
    records.write()
    found = view.errors(context, view.last(24))
    assert {(one["message"], one["shape"]) for one in found["latest"]} == {
        ("timeout", "timeout"),
        ("timeout of the lock", "timeout of the lock"),
    }


def test_a_hook_is_shown_beside_the_limit_it_is_judged_by(staged: Studio) -> None:
    records, context = _staging(staged)
    for number in range(30):
        records.hook("decide", ms=50.0, minutes_ago=number + 1)
        records.hook("guard", ms=5.0, minutes_ago=number + 1)
    records.write()
    assert view.hook(context, "decide", view.last(24))["limitMs"] == 100
    guard = view.hook(context, "guard", view.last(24))["limitMs"]
    assert guard == context.config["monitoring.thresholds.hookExecutionTimeMs"]


def test_a_text_of_a_megabyte_does_not_pass_through_whole(staged: Studio) -> None:
    records, context = _staging(staged)
    records.error(message="x" * 1_000_000)
    records.hook("h" * 5_000)
    records.write()
    for data in (view.errors(context, view.last(24)), view.hooks(context, view.last(24))):
        assert len(json.dumps(data)) < 30_000
    (error,) = view.errors(context, view.last(24))["latest"]
    assert (len(error["message"]), error["message"][-1]) == (500, "…")
