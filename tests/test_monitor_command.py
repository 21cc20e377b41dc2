"""The dashboard in a terminal: true figures, once, live and in a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.monitor_records import Records

from agent_studio import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Studio

STAGING = ("--env", "staging")
HOOKS = "metrics/hooks.jsonl"


def _busy(studio: Studio) -> Records:
    """A day of staging whose every figure is known."""
    found = Records(studio, "staging")
    for number in range(100):
        found.hook("guard", ms=float(number), minutes_ago=10 + number, status="failure" if number < 4 else "success")
    found.hook("guard", ms=None, minutes_ago=3, status="timeout")
    found.hook("format", ms=2.0, minutes_ago=2, status="blocked")
    found.hook("format", ms=2.0, minutes_ago=3 * 24 * 60)
    for number in range(4):
        found.agent(
            "reviewer", minutes_ago=20 + number, status=("completed", "failed", "cancelled", "completed")[number]
        )
    found.error(severity="HIGH", minutes_ago=5)
    found.error(severity="LOW", minutes_ago=5)
    found.session("start", minutes_ago=30)
    found.session("prompt", minutes_ago=29)
    return found


def test_the_summary_holds_what_the_journals_say(staged: Studio) -> None:
    records = _busy(staged)
    records.write((HOOKS, '{"torn": \n'))
    records.hook("later", minutes_ago=-90)
    records.write()
    done = staged.run("monitor", *STAGING, "--json")
    data = done.data
    assert done.envelope["schema"] == "agent-studio/monitor/1"
    guard, blocked = data["hooks"]
    assert (guard["hook"], guard["calls"], guard["failures"], guard["timed"]) == ("guard", 101, 5, 100)
    assert guard["failureRate"] == pytest.approx(5 / 101, abs=1e-6)
    assert (guard["avgMs"], guard["p50Ms"]) == (pytest.approx(49.5), pytest.approx(49.5))
    assert (guard["p95Ms"], guard["p99Ms"]) == (pytest.approx(94.05), pytest.approx(98.01))
    assert (blocked["hook"], blocked["calls"], blocked["blocked"], blocked["failures"]) == ("format", 1, 1, 0)
    (agent,) = data["agents"]
    assert (agent["runs"], agent["failures"], agent["cancelled"]) == (4, 1, 1)
    assert agent["failureRate"] == pytest.approx(1 / 3, abs=1e-6)
    assert (data["errors"]["total"], data["errors"]["counted"]) == (2, 1)
    assert sum(one["count"] for one in data["errors"]["hours"]) == 2
    assert data["sessions"]["prompts"] == 1
    assert data["damagedLines"] == 1
    assert data["futureRecords"] == 1
    assert data["newest"] is not None
    assert {"window", "hooks", "agents", "errors", "spend", "damagedLines", "unrouted", "alerts"} <= data.keys()
    assert (datetime.fromisoformat(data["window"]["to"]) - datetime.fromisoformat(data["window"]["from"])).days == 1


def test_a_record_without_a_name_is_not_taken_for_all_together(staged: Studio) -> None:
    found = _busy(staged)
    found.hook("", status="failure")
    found.agent("", status="failed")
    found.write()
    for hours in ("24", "49"):
        data = staged.run("monitor", *STAGING, "--json", "--hours", hours).data
        assert {"unknown", "guard"} <= {one["hook"] for one in data["hooks"]}
        together = [one for one in data["limits"] if (one["rule"], one["label"]) == ("hookFailureRate", "")]
        assert [one["count"] for one in together] == [103]


def _slow(studio: Studio) -> Records:
    """A hook that is over its limit beyond doubt."""
    found = Records(studio, "staging")
    for number in range(300):
        found.hook("guard", ms=90.0, minutes_ago=10 + number)
    found.session("prompt", minutes_ago=29)
    found.write()
    return found


def _open_alerts(studio: Studio, *arguments: str) -> list[str]:
    data = studio.run("monitor", *STAGING, "--json", *arguments).data
    return [one["rule"] for one in data["alerts"] if one["open"]]


def test_a_journal_that_was_emptied_is_no_good_news(staged: Studio) -> None:
    _slow(staged)
    assert _open_alerts(staged) == ["hookExecutionTimeMs"]
    (staged.path / ".claude/staging" / HOOKS).write_bytes(b"")
    data = staged.run("monitor", *STAGING, "--json").data
    assert [one["rule"] for one in data["alerts"] if one["open"]] == ["hookExecutionTimeMs"]
    states = {(one["rule"], one["label"]): one["state"] for one in data["limits"]}
    assert states["silence", "hooks"] == "UNKNOWN"


def test_of_a_day_without_any_record_nothing_is_said_to_be_well(staged: Studio) -> None:
    found = Records(staged, "staging")
    found.hook("guard", minutes_ago=10 * 24 * 60)
    found.write()
    limits = staged.run("monitor", *STAGING, "--json").data["limits"]
    assert {one["state"] for one in limits if one["rule"] == "errorRatePerHour" and not one["label"]} == {"UNKNOWN"}


def test_where_nothing_is_watched_any_more_every_alert_ends(staged: Studio) -> None:
    _slow(staged)
    assert _open_alerts(staged) == ["hookExecutionTimeMs"]
    staged.write(".claude/config.staging.yaml", "environment: staging\nmonitoring: {enabled: false}\n")
    assert staged.run("monitor", *STAGING, "--alerts").code == 0
    assert _open_alerts(staged) == []


def test_limits_that_are_only_supposed_wake_nobody(staged: Studio) -> None:
    found = Records(staged, "staging")
    for number in range(300):
        found.hook("guard", ms=9.0, minutes_ago=10 + number)
    found.write()
    data = staged.run("monitor", *STAGING, "--json", "--set", "monitoring.thresholds.hookExecutionTimeMs=1").data
    assert (data["state"], data["alerts"]) == ("BREACH", [])
    assert not (staged.path / ".agent-studio/staging/alerts.jsonl").exists()


@pytest.mark.parametrize("typed", ["--hourz", "--hour"])
def test_an_option_that_is_misspelt_is_named_not_its_value(staged: Studio, typed: str) -> None:
    done = staged.run("monitor", *STAGING, typed, "3")
    assert done.code == 2
    assert typed in done.err
    assert "did you mean --hours?" in done.err


def test_both_engines_and_the_alias_show_the_same(staged: Studio) -> None:
    _busy(staged).write()
    short, long = (staged.json("dashboard", *STAGING, "--hours", hours)["hooks"] for hours in ("47", "49"))
    assert short == long


def test_in_a_pipe_there_is_no_colour_and_no_line_over_80_columns(staged: Studio) -> None:
    records = _busy(staged)
    for number in range(20):
        records.hook(f"a-plugin-with-a-very-long-name-{number}:PostToolUse:mcp__server__tool_{number}", ms=1e6 * number)
    records.hook("\x1b[2Jevil\x07\u202e")
    records.hook("later", minutes_ago=-90)
    records.write()
    staged.write(".agent-studio/unrouted.jsonl", '{"ts": 1, "pid": 1, "kind": "hook", "env": "x", "reason": "r"}\n')
    staged.write(".claude/staging/metrics/events.jsonl", "x" * 14_000)
    for arguments in ((), ("--trends",), ("--alerts",), ("--all",), ("--hours", "1")):
        done = staged.process("monitor", *STAGING, *arguments, variables={"COLUMNS": "300", "PYTHONUTF8": "1"})
        assert done.code in {0, 1}, done.err
        assert "\x1b" not in done.out
        assert "\u202e" not in done.out
        assert max(map(len, done.out.splitlines())) <= 80, done.out
    shown = staged.run("monitor", *STAGING).out
    assert "1 record from the future" in shown
    assert "1 unrouted event" in shown
    assert "14 kB recorded, not yet ingested" in shown
    assert "11 more hooks: --all" in shown
    assert "tool_19" in staged.run("monitor", *STAGING, "--all").out
    latin = staged.process("monitor", *STAGING, variables={"PYTHONIOENCODING": "ascii"})
    assert latin.out.isascii()
    assert "\\u" not in latin.out.replace("\\u202e", "")


def test_all_shows_every_limit_too(staged: Studio) -> None:
    budgets = "".join(f"    - {{name: team-{number}, per: day, usd: 5}}\n" for number in range(20))
    staged.write(".claude/config.staging.yaml", f"environment: staging\ncost:\n  budgets:\n{budgets}")
    few, every = (staged.run("monitor", *STAGING, *more).out for more in ((), ("--all",)))
    assert ("more limits: --all" in few, "team-19" in few) == (True, False)
    assert ("more limits" in every, "team-19" in every) == (False, True)


def test_the_hours_asked_for_are_the_hours_shown(staged: Studio) -> None:
    _busy(staged).write()
    assert staged.json("monitor", *STAGING, "--hours", "1")["hooks"][0]["calls"] == 51
    assert staged.json("monitor", *STAGING, "--hours", "96")["hooks"][1]["calls"] == 2


def test_trends_are_really_by_day(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: noon)
    records = Records(staged, "staging")
    for day in range(8):
        for number in range(day + 1):
            records.hook("guard", ms=10.0 * (day + 1), minutes_ago=day * 1_440 + number)
    records.hook("guard", ms=1.0, minutes_ago=12 * 60 + 0.001)  # the last moment of the day before
    records.hook("guard", ms=1.0, minutes_ago=12 * 60)  # the first one of today
    records.write()
    days = staged.json("monitor", *STAGING, "--trends")["days"]
    assert [day["date"] for day in days] == [f"2026-03-{number:02}" for number in range(4, 11)]
    assert [day["calls"] for day in days] == [7, 6, 5, 4, 3, 3, 2]
    assert (days[0]["p95Ms"], days[0]["runs"], days[0]["costUsd"]) == (70.0, 0, None)
    assert "2026-03-10 so far" in staged.run("monitor", *STAGING, "--trends").out


def test_alerts_are_a_gate(staged: Studio) -> None:
    assert staged.run("monitor", *STAGING, "--alerts").code == 0
    records = Records(staged, "staging")
    for number in range(200):
        records.hook("slow", ms=90.0, minutes_ago=1 + number / 10)
    records.write()
    done = staged.run("monitor", *STAGING, "--alerts", "--json")
    assert done.code == 1
    assert {one["label"] for one in done.data["alerts"] if one["state"] == "firing"} >= {"slow"}
    assert done.data["state"] == "BREACH"
    shown = staged.run("monitor", *STAGING)
    assert (shown.code, "BREACH" in shown.out, "firing" in shown.out) == (0, True, True)
    (row,) = [one for one in staged.json("monitor", *STAGING)["hooks"] if one["hook"] == "slow"]
    assert row["state"] == "BREACH"


def test_another_stretch_than_a_day_raises_no_alert(staged: Studio) -> None:
    records = Records(staged, "staging")
    for number in range(200):
        records.hook("slow", ms=90.0, minutes_ago=1 + number / 10)
    records.write()
    assert staged.json("monitor", *STAGING, "--hours", "1")["alerts"] == []
    assert not (staged.path / ".agent-studio/staging/alerts.jsonl").exists()


def test_development_has_no_limits_and_no_alerts(bare: Studio) -> None:
    data = bare.json("monitor")
    assert (data["state"], data["limits"], data["alerts"], data["hooks"], data["newest"]) == ("OFF", [], [], [], None)
    shown = bare.run("monitor").out
    assert "no limits" in shown
    assert "no records yet" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--hours", "0"), "--hours is 0"),
        (("--hours", "-3"), "--hours is -3"),
        (("--hours", "nan"), "--hours is nan"),
        (("--hours", "9000"), "--hours is 9000"),
        (("--hours", "soon"), "invalid float value"),
        (("--hours", "3", "--trends"), "--hours does not go with --trends"),
        (("--live", "--trends"), "not allowed with"),
        (("--live",), "needs a terminal"),
        (("--live", "--json"), "--live is for people"),
        (("compair",), "invalid choice"),
    ],
)
def test_a_wrong_option_is_one_clear_error(staged: Studio, arguments: tuple[str, ...], said: str) -> None:
    done = staged.run("monitor", *STAGING, *arguments)
    assert (done.code, said in done.err + done.out) == (2, True), done.err


class Terminal:
    """A terminal of some size in which the dashboard runs."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.descriptor, self.process, self.written = descriptor, process, b""

    def until(self, text: str, seconds: float = 30) -> str:
        """Read until a text is on the screen; return all that was written since the last time."""
        end = time.monotonic() + seconds
        while text.encode() not in self.written:
            left = end - time.monotonic()
            assert left > 0, self.written.decode("utf-8", "replace")[-3_000:]
            if select.select([self.descriptor], [], [], left)[0]:
                try:
                    self.written += os.read(self.descriptor, 1 << 16)
                except OSError:
                    break
        found, self.written = self.written.decode("utf-8", "replace"), b""
        return found

    def press(self, key: str) -> None:
        os.write(self.descriptor, key.encode())


@contextmanager
def _live(studio: Studio, *more: str, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    import fcntl
    import termios

    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "monitor", *STAGING, "--live", *more], cwd=studio.path,
        stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        yield Terminal(controller, process)
    finally:
        process.kill()
        process.communicate()
        os.close(controller)


def test_the_live_dashboard_follows_the_journals_and_q_ends_it(staged: Studio) -> None:
    _busy(staged).write()
    with _live(staged, "--set", "monitoring.dashboardRefreshMs=200") as screen:
        screen.until("q quit")
        fresh = Records(staged, "staging")
        fresh.hook("just-born", ms=1.0, minutes_ago=0)
        fresh.write()
        screen.until("just-born")
        screen.press("s")
        screen.until("s sort (p95)")
        screen.press("w")
        screen.until("w window (168 h)")
        screen.press("q")
        assert screen.process.wait(10) == 0
        assert "\x1b[?1049l" in screen.until("\x1b[?1049l"), "the terminal has its own screen back"


def test_the_live_dashboard_fits_the_smallest_usual_terminal(staged: Studio) -> None:
    records = _busy(staged)
    for number in range(30):
        records.hook(f"hook-{number}", ms=90.0, minutes_ago=5)
        records.agent(f"agent-{number}", minutes_ago=5)
    records.write()
    with _live(staged, lines=24, columns=60) as screen:
        shown = screen.until("q quit").rpartition("\x1b[H")[2]
        last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "").split("\n")
        assert len(last) <= 25
        assert any(line.startswith("spend") for line in last)
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(10) == 0


def test_after_the_clock_went_back_nothing_is_older_than_nothing(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    _busy(staged).write()
    earlier = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: earlier)
    data = staged.json("monitor", *STAGING)
    assert data["futureRecords"] > 0
    assert data["ageSeconds"] is None or data["ageSeconds"] >= 0


def test_the_dashboard_in_a_browser_is_served_until_it_is_ended(staged: Studio) -> None:
    command = [sys.executable, "-m", "agent_studio", "monitor", "web", *STAGING, "--port", "0"]
    process = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = said.removeprefix("dashboard: ").partition("#")[0].strip()
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert staged.run("monitor", "web", *STAGING, "--port", "70000").code == 2
