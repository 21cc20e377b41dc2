"""Alerts: each incident told of once, by however many processes look, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench import alert_quality
from hypothesis import given
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.environment import status_file
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.monitor import alert_history, alerts
from agent_studio.monitor.alert import CLEAR_MS, HOLD_MS, step
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN, Verdict, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conftest import Studio

STAGING = ("--env", "staging")
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
HOLD, CLEAR = timedelta(milliseconds=HOLD_MS), timedelta(milliseconds=CLEAR_MS)


def opened(path: Path) -> Context:
    return open_context(Project(path), Choice(Environment.STAGING, "--env"), {})


@pytest.fixture
def context(staged: Studio) -> Context:
    return opened(staged.path)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """Set the clock to some time after the start."""

    def moved(after: timedelta) -> datetime:
        monkeypatch.setattr(clock, "now", lambda: START + after)
        return START + after

    moved(timedelta())
    return moved


def _verdict(state: str = BREACH, *, label: str = "guard", **more: Any) -> Verdict:
    plain = Verdict(
        "hookFailureRate", label, state, "HIGH", 0.2, 0.12, 0.3, 0.1, "ratio", 100, 0, "20 of 100 runs failed",
        clear=state == OK,
    )  # fmt: skip
    return plain._replace(**more)


def _steps(context: Context) -> list[str]:
    place = context.root.state.path / "alerts.jsonl"
    if not place.exists():
        return []
    return [json.loads(line)["step"] for line in place.read_text().splitlines()]


def _states(found: Iterable[alerts.Alert]) -> list[str]:
    return [one.state for one in found]


def test_an_alert_fires_once_and_is_resolved_once(context: Context) -> None:
    for minute in range(0, 60, 5):
        found = alerts.evaluate(context, [_verdict()], START + timedelta(minutes=minute))
        assert _states(found) == ["firing"]
        assert found[0].since == clock.timestamp(START)
    for minute in range(60, 120, 5):
        found = alerts.evaluate(context, [_verdict(OK)], START + timedelta(minutes=minute))
    assert _states(found) == ["resolved"]
    assert _steps(context) == ["firing", "clearing", "resolved"]


def test_an_alert_ends_only_when_its_figure_has_been_clear_for_a_while(context: Context) -> None:
    for moment, state in ((timedelta(), BREACH), (timedelta(seconds=1), OK), (CLEAR, OK)):
        assert _states(alerts.evaluate(context, [_verdict(state)], START + moment)) == ["firing"]
    assert _states(alerts.evaluate(context, [_verdict(OK)], START + CLEAR + timedelta(seconds=1))) == ["resolved"]


def test_a_breach_that_is_not_certain_must_last(context: Context) -> None:
    weak = _verdict(certain=False)
    assert _states(alerts.evaluate(context, [weak], START)) == ["pending"]
    assert _states(alerts.evaluate(context, [weak], START + HOLD - timedelta(seconds=1))) == ["pending"]
    assert _states(alerts.evaluate(context, [weak], START + HOLD)) == ["firing"]
    alerts.evaluate(context, [_verdict(certain=False, label="other"), weak], START)
    alerts.evaluate(context, [_verdict(UNKNOWN, label="other"), weak], START + HOLD)
    assert _steps(context) == ["pending", "firing", "pending", "dropped"]


def test_a_figure_that_hovers_at_its_limit_makes_one_alert(context: Context) -> None:
    for minute in range(0, 24 * 60, 5):
        state = BREACH if minute % 10 else OK
        alerts.evaluate(context, [_verdict(state, clear=False)], START + timedelta(minutes=minute))
    assert _steps(context) == ["firing"]


def test_a_relapse_before_it_is_resolved_is_the_same_alert(context: Context) -> None:
    for number in range(6):
        alerts.evaluate(context, [_verdict(OK if number % 2 else BREACH)], START + number * (CLEAR / 2))
    assert _steps(context) == ["firing", "clearing", "relapsed", "clearing", "relapsed", "clearing"]


def test_unknown_neither_raises_an_alert_nor_ends_one(context: Context) -> None:
    assert alerts.evaluate(context, [unknown("ledger", "CRITICAL", "no rights")], START) == []
    alerts.evaluate(context, [_verdict()], START)
    for minute in (5, 60, 600):
        blind = [unknown("hookFailureRate", "HIGH", "could not be read", label="guard")]
        found = alerts.evaluate(context, blind, START + timedelta(minutes=minute))
        assert _states(found) == ["firing"]
        assert found[0].message == "20 of 100 runs failed", "what was known is still shown"
    assert _steps(context) == ["firing"]


def test_an_alert_whose_subject_is_gone_ends(context: Context) -> None:
    alerts.evaluate(context, [_verdict()], START)
    assert _states(alerts.evaluate(context, [], START + timedelta(minutes=5))) == ["resolved"]
    later = START + timedelta(minutes=10)
    again = alerts.evaluate(context, [_verdict()], later)
    assert _states(again) == ["firing", "resolved"]
    assert again[0].id != again[1].id, "the next incident is another alert"
    assert alerts.current(context, later + timedelta(days=1, minutes=1)) == again[:1]


def test_what_gets_worse_is_told_once_more_and_must_be_acknowledged_again(context: Context) -> None:
    (one,) = alerts.evaluate(context, [_verdict()], START)
    alerts.acknowledge(context, one.id, "ada", "on it")
    (one,) = alerts.evaluate(context, [_verdict(severity="CRITICAL")], START + timedelta(minutes=5))
    assert (one.severity, one.acknowledged) == ("CRITICAL", None)
    alerts.evaluate(context, [_verdict(severity="HIGH")], START + timedelta(minutes=10))
    alerts.evaluate(context, [_verdict(severity="CRITICAL")], START + timedelta(minutes=15))
    assert _steps(context) == ["firing", "acknowledged", "escalated"]


def test_a_budget_that_is_nearly_used_is_an_alert_within_its_limit(context: Context) -> None:
    (one,) = alerts.evaluate(context, [_verdict(OK, rule="budget", label="team", warns=True, clear=False)], START)
    assert (one.rule, one.state) == ("budget", "firing")


def test_what_is_only_to_be_seen_becomes_no_alert(context: Context) -> None:
    assert alerts.evaluate(context, [_verdict(alerting=False)], START) == []


def test_a_clock_that_goes_back_holds_nothing_open(context: Context) -> None:
    alerts.evaluate(context, [_verdict(certain=False)], START)
    back = START - timedelta(days=3)
    assert _states(alerts.evaluate(context, [_verdict(certain=False)], back)) == ["firing"]
    alerts.evaluate(context, [_verdict(OK)], back)
    assert _states(alerts.evaluate(context, [_verdict(OK)], back + CLEAR)) == ["resolved"]


def test_the_status_line_counts_what_fires_and_nobody_looks_after(
    staged: Studio, context: Context, at: Callable[[timedelta], datetime]
) -> None:
    status = staged.path / ".agent-studio/staging/status.json"
    alerts.evaluate(context, [_verdict(OK)], at(timedelta()))
    assert not status.exists(), "nothing to say"
    staged.write(".agent-studio/staging/status.json", '{"openAlerts": 0, "budgetLeftUsd": "1.50", "updatedAt": ""}')
    found = alerts.evaluate(context, [_verdict(), _verdict(label="other"), _verdict(label="third", certain=False)])
    assert json.loads(status.read_text()) == {
        "openAlerts": 2, "budgetLeftUsd": "1.50", "updatedAt": clock.timestamp(START),
    }  # fmt: skip
    alerts.acknowledge(context, found[0].id, "ada")
    assert json.loads(status.read_text())["openAlerts"] == 1
    alerts.silence(context, "hookFailureRate:other", START + timedelta(hours=1), "ada", "known")
    assert json.loads(status.read_text())["openAlerts"] == 0


def test_of_what_alerts_and_budgets_tell_the_status_line_at_once_neither_is_lost(context: Context) -> None:
    def told(name: str) -> int:
        """Tell a part again and again; return how often it was not there afterwards."""
        lost = 0
        for number in range(1, 17):
            status_file.tell(context.root, **{name: number})
            lost += json.loads(context.root.state.read("status.json"))[name] != number
        return lost

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(told, ("openAlerts", "budgetLeftUsd"))) == [0, 0]


def test_a_silenced_alert_is_told_of_when_the_silence_is_over(
    staged: Studio, at: Callable[[timedelta], datetime]
) -> None:
    staged.write(".claude/config.staging.yaml", "environment: staging\nmonitoring: {notify: [{channel: log}]}\n")
    context = open_context(Project(staged.path), Choice(Environment.STAGING, "--env"), {})
    alerts.silence(context, "hookFailureRate:g*", START + timedelta(hours=1), "ada", "deploying")
    (one,) = alerts.evaluate(context, [_verdict()], at(timedelta(minutes=1)))
    assert one.silenced is not None
    assert one.silenced["why"] == "deploying"
    assert alert_history.read(context.root).messages == []
    alerts.evaluate(context, [_verdict()], at(timedelta(minutes=61)))
    alerts.evaluate(context, [_verdict()], at(timedelta(minutes=66)))
    assert [one.record["step"] for one in alert_history.read(context.root).messages] == ["released"]
    assert alerts.silences(context) == []
    alerts.silence(context, "hookFailure*", START + timedelta(hours=9), "ada", "again")
    alerts.evaluate(context, [_verdict(), _verdict(label="short")], at(timedelta(minutes=70)))
    alerts.silence(context, "hookFailure*", at(timedelta(minutes=74)), "ada", "over")
    alerts.evaluate(context, [], at(timedelta(minutes=75)))
    steps = [(one.record["label"], one.record["step"]) for one in alert_history.read(context.root).messages]
    assert steps == [("guard", "released"), ("guard", "resolved")], "nobody hears of the end of what nobody heard of"


def test_an_acknowledgement_needs_one_open_alert(context: Context) -> None:
    with pytest.raises(UsageError, match="no open alert"):
        alerts.acknowledge(context, "", "ada")
    found = alerts.evaluate(context, [_verdict(), _verdict(label="other")], START)
    with pytest.raises(UsageError, match="no open alert"):
        alerts.acknowledge(context, "zzz", "ada")
    before = _steps(context)
    alerts.acknowledge(context, found[0].id[:8], "ada", "on it")
    assert _steps(context) == [*before, "acknowledged"]
    assert alerts.current(context, START)[0].acknowledged == {
        "at": _last(context)["timestamp"], "who": "ada", "note": "on it",
    }  # fmt: skip


def _last(context: Context) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((context.root.state.path / "alerts.jsonl").read_text().splitlines()[-1])
    return parsed


def test_hostile_names_and_secrets_end_at_the_history(context: Context) -> None:
    secret = "ghp_" + "a1B2" * 9
    hostile = f"\x1b]0;pwned\x07<script>{secret}\u202e\n{{"
    (one,) = alerts.evaluate(context, [_verdict(label=hostile, message=f"{hostile} failed", value=float("nan"))], START)
    alerts.evaluate(context, [_verdict(label=hostile)], START + timedelta(minutes=5))
    alerts.silence(context, f"hookFailureRate:{hostile}", START, hostile, secret)
    text = (context.root.state.path / "alerts.jsonl").read_text()
    assert secret not in text
    assert not any(character in text for character in "\x1b\x07\u202e")
    assert one.label.isprintable()
    assert _steps(context) == ["firing", "silence"], "and it is known again"


def test_a_damaged_history_is_read_as_far_as_it_goes(context: Context) -> None:
    alerts.evaluate(context, [_verdict(), _verdict(label="other")], START)
    place = context.root.state.path / "alerts.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(lines[0][:50] + b"\n" + b'{"step": "resolved"}\n[]\n' + lines[1] + b'{"timestamp": "2026')
    assert [one.label for one in alerts.current(context, START)] == ["other"]
    assert alert_history.read(context.root).damaged == 4
    found = alerts.evaluate(context, [_verdict(), _verdict(label="other")], START + timedelta(minutes=5))
    assert sorted(one.label for one in found) == ["guard", "other"]
    assert all(one.state == "firing" for one in alerts.current(context, START + timedelta(minutes=6)))


@given(
    st.lists(
        st.tuples(st.sampled_from((BREACH, OK, UNKNOWN, "none")), st.booleans(), st.booleans(), st.integers(0, 40)),
        max_size=30,
    )
)
def test_steps_always_follow_each_other_as_they_may(looks: list[tuple[str, bool, bool, int]]) -> None:
    may = {
        None: {"pending", "firing"}, "pending": {"firing", "dropped"}, "firing": {"clearing", "resolved", "escalated"},
        "clearing": {"relapsed", "resolved", "escalated"},
    }  # fmt: skip
    state, held, minute = None, None, 0
    for verdict_state, certain, clear, minutes in looks:
        minute += minutes
        verdict = None if verdict_state == "none" else _verdict(verdict_state, certain=certain, clear=clear)
        happens = step(held, verdict, lambda since, now=minute: (now - int(since)) * 60_000)  # type: ignore[misc]
        if happens is None:
            continue
        assert happens in may[state]
        state = {"dropped": None, "resolved": None, "relapsed": "firing", "escalated": "firing"}.get(happens, happens)
        held = None if state is None else alerts.Alert(
            "", "r", "", "pending" if state == "pending" else "firing", "HIGH", None, None, None, None, "", 0, "",
            str(minute), str(minute), clearing=str(minute) if state == "clearing" else None,
        )  # fmt: skip


def _failing(studio: Studio, hooks: int = 1, ago_minutes: float = 10) -> None:
    start = datetime.now(UTC) - timedelta(minutes=ago_minutes)
    lines = [
        json.dumps({
            "timestamp": clock.timestamp(start + timedelta(seconds=number)), "hook": f"guard-{hook}",
            "event": "PreToolUse", "tool": "Bash", "executionTimeMs": 1.0,
            "status": "failure" if number % 2 else "success", "sessionId": "s", "agent": None, "metadata": {},
            "eventId": f"{hook:016x}{number:016x}", "environment": "staging", "release": None,
        }) + "\n"
        for hook in range(hooks) for number in range(40)
    ]  # fmt: skip
    studio.write(".claude/staging/metrics/hooks.jsonl", "".join(lines))


_AT_ONCE = """
import sys, time
from pathlib import Path
from tests.test_alerts import START, alerts, timedelta, opened, _verdict
context = opened(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    verdicts = [_verdict("BREACH" if which <= number else "UNKNOWN", label=f"hook-{which}") for which in range(40)]
    alerts.evaluate(context, verdicts, START + timedelta(minutes=number))
"""


def test_processes_that_evaluate_at_the_same_moment_make_each_step_once(staged: Studio, context: Context) -> None:
    alerts.evaluate(context, [], START)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _AT_ONCE, str(staged.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=Path(__file__).resolve().parent.parent,
        )
        for _ in range(3)
    ]  # fmt: skip
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.wait(60) for one in running] == [0, 0, 0]
    for one in running:
        one.communicate()
    lines = (context.root.state.path / "alerts.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["label"] for line in lines) == sorted(f"hook-{number}" for number in range(40))


def test_four_processes_that_look_at_once_make_each_alert_once(staged: Studio) -> None:
    _failing(staged, hooks=5)
    command = [sys.executable, "-m", "agent_studio", "alerts", "list", *STAGING, "--json"]
    running = [subprocess.Popen(command, cwd=staged.path, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [json.loads(one.communicate(timeout=60)[0])["data"] for one in running]
    assert {one.returncode for one in running} == {1}
    assert {len(one["alerts"]) for one in told} == {5}
    assert len({one["id"] for data in told for one in data["alerts"]}) == 5
    text = (staged.path / ".agent-studio/staging/alerts.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == ["firing"] * 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_a_kill_at_any_moment_loses_no_alert_and_doubles_none(staged: Studio) -> None:
    _failing(staged, hooks=20)
    command = [sys.executable, "-m", "agent_studio", "alerts", "list", *STAGING]
    for hundredths in range(20, 60, 4):
        process = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(hundredths / 100)
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = staged.json("alerts", "list", *STAGING)["alerts"]
    assert sorted(one["label"] for one in found) == sorted(f"guard-{number}" for number in range(20))
    lines = (staged.path / ".agent-studio/staging/alerts.jsonl").read_bytes().splitlines()
    begun = [json.loads(line)["label"] for line in lines if b'"step":"firing"' in line and line.endswith(b"}")]
    assert len(begun) == len(set(begun)) == 20


def test_the_list_is_a_verdict_for_scripts(staged: Studio) -> None:
    assert staged.run("alerts", "list", *STAGING).code == 0
    _failing(staged)
    shown = staged.run("alerts", "list", *STAGING)
    assert (shown.code, "20 of 40 runs failed (50 %), limit 10 %" in shown.out) == (1, True)
    (one,) = staged.json("alerts", "list", *STAGING)["alerts"]
    assert (one["rule"], one["label"], one["state"], one["severity"]) == (
        "hookFailureRate", "guard-0", "firing", "CRITICAL",
    )  # fmt: skip
    acknowledged = staged.run("alerts", "ack", one["id"][:6], "--note", "rolled back", "--by", "ada", *STAGING)
    assert acknowledged.code == 0, acknowledged.err
    listed = staged.run("alerts", "list", *STAGING)
    assert (listed.code, "ada: rolled back" in listed.out, "acknowledged" in listed.out) == (0, True, True)


def test_list_without_evaluating_changes_nothing(staged: Studio) -> None:
    _failing(staged)
    before = staged.snapshot(".agent-studio")
    assert staged.json("alerts", "list", "--no-evaluate", *STAGING)["alerts"] == []
    assert staged.snapshot(".agent-studio") == before


def test_development_has_no_alerts(staged: Studio) -> None:
    done = staged.run("alerts", "list", "--env", "development")
    assert (done.code, "nothing is watched" in done.out) == (0, True)
    _failing(staged)
    staged.run("alerts", "list", *STAGING)
    off = staged.run("alerts", "list", *STAGING, "--set", "monitoring.enabled=false", "--json")
    assert (off.code, [one["state"] for one in off.data["alerts"]]) == (0, ["resolved"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silence", "hookFailurRate", "--for", "2h", "--why", "x"), 'did you mean "hookFailureRate"?'),
        (("silence", "ledger", "--for", "2x", "--why", "x"), "30m, 2h or 7d"),
        (("silence", "ledger", "--for", "31d", "--why", "x"), "30 days"),
        (("silence", "ledger", "--for", "0h", "--why", "x"), "30 days"),
        (("silence", "ledger", "--for", "2h"), "--reason"),
        (("silence", "ledger"), "--for 2h"),
        (("silence",), "nothing to silence"),
        (("ack", "abc"), "no open alert"),
        (("test", "--channel", "ops"), "there is no channel 'ops'"),
    ],
)
def test_a_wrong_word_is_one_clear_error_and_changes_nothing(
    staged: Studio, arguments: tuple[str, ...], said: str
) -> None:
    before = staged.snapshot(".agent-studio")
    done = staged.run("alerts", *arguments, *STAGING)
    assert done.code == 2
    assert said in done.err
    kept = staged.snapshot(".agent-studio")
    kept.pop(".agent-studio/staging/alerts.lock", None)
    assert kept == before


def test_a_silence_holds_from_the_command_line_and_is_lifted(staged: Studio) -> None:
    _failing(staged)
    assert staged.run("alerts", "silence", "hook*", "--for", "2h", "--why", "known", *STAGING).code == 0
    found = staged.run("alerts", "list", *STAGING)
    assert (found.code, "silenced" in found.out, "known" in found.out) == (0, True, True)
    assert staged.run("alerts", "silence", "hook*", "--lift", *STAGING).code == 0
    assert staged.run("alerts", "list", *STAGING).code == 1


def test_what_is_not_silenced_cannot_be_lifted(staged: Studio) -> None:
    done = staged.run("alerts", "silence", *STAGING, "hookFailureRate:nobody", "--lift")
    assert done.code == 2
    assert "is not silenced" in done.err


def test_what_is_kept_is_for_its_owner_only(staged: Studio) -> None:
    _failing(staged)
    staged.run("alerts", "list", *STAGING)
    state = staged.path / ".agent-studio/staging"
    modes = {place.name: place.stat().st_mode & 0o777 for place in state.iterdir() if place.name.startswith("alerts")}
    assert set(modes.values()) == {0o600} or os.name == "nt"


def test_alerts_are_quiet_at_half_the_limit_and_soon_at_five_times() -> None:
    ours, raw = alert_quality.ours, alert_quality.raw_rate
    quiet = alert_quality.alarms_a_week(ours, 0.5, 150, 1)
    assert quiet <= alert_quality.FALSE_ALARMS_MOST
    assert quiet < alert_quality.alarms_a_week(raw, 0.5, 40, 1) / 10
    assert alert_quality.hours_to_see(ours, 5, 150, 1, is_warm=False) <= alert_quality.HOURS_MOST
    assert alert_quality.hours_to_see(ours, 5, 60, 1, is_warm=True) <= 12
