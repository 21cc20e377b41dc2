"""Gradual rollouts: shares that nest, stages that limits hold, halts nobody has to ask for, ends that are recorded."""

from __future__ import annotations

import itertools
import json
import random
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.release_world import NEEDS_KEYS, World

from agent_studio import clock
from agent_studio.environment import flag_rollout, flags
from agent_studio.environment.config import load
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError, BusyError
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.production import history
from agent_studio.release.rollouts import limits, rollout, switching
from agent_studio.release.rollouts import sample as rollout_sample
from agent_studio.release.rollouts.sample import Sample, Stage
from agent_studio.storage import locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Studio

FLAG = "partyMode"
LIMITS = (
    "features: {partyMode: {enabled: true}}\n"
    "monitoring:\n  thresholds:\n    {agentFailureRate: 10, hookFailureRate: 10, hookExecutionTimeMs: 20, "
    "errorRatePerHour: 20}\n"
)
ME: dict[str, Any] = {"who": "Ada", "why": "a trial"}
needs_keys = NEEDS_KEYS


class Live:
    """A production whose sessions are written as `ingest` writes them, from an hour ago on."""

    def __init__(self, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
        self.studio, self.monkeypatch = studio, monkeypatch
        self.start = clock.now() - timedelta(hours=10)
        self.lines: dict[str, list[str]] = {}
        self.number = 0

    def at(self, hours: float) -> None:
        """Let the clock say so many hours after the start."""
        moment = self.start + timedelta(hours=hours)
        self.monkeypatch.setattr(clock, "now", lambda: moment)

    @property
    def context(self) -> Context:
        return open_context(Project(self.studio.path), Choice(Environment.PRODUCTION, "--env"), {})

    @property
    def past(self) -> flags.History:
        return flags.history(self.context.root)

    def begin(self, percent: int = 10) -> None:
        flag_rollout.put(self.context.root, {FLAG: percent}, who="Ada", why="a trial", release="r1")

    def session(self, *, inside: bool, hours: float, percent: float = 10, failures: int = 0, ms: float = 5.0,
                errors: int = 0, source: str = "startup", runs: int = 20) -> str:  # fmt: skip
        """Write a session of ten minutes with hook and agent runs, on one side of a rollout."""
        while True:
            self.number += 1
            name = f"session-{self.number}"
            if flags.is_inside(FLAG, name, percent) == inside:
                break
        at = self.start + timedelta(hours=hours)
        self._add("sessions/session-log.jsonl", at, name, event="start", source=source)
        for number in range(runs):
            moment = at + timedelta(seconds=30 * number)
            status = number < failures
            self._add("metrics/hooks.jsonl", moment, name, hook="guard", executionTimeMs=ms,
                      status="failure" if status else "success")  # fmt: skip
            self._add("metrics/agents.jsonl", moment, name, agent="a", status="failed" if status else "completed")
        for _ in range(errors):
            self._add("metrics/errors.jsonl", at, name, severity="HIGH", message="it broke")
        return name

    def _add(self, file: str, at: Any, session: str, **fields: Any) -> None:
        record = {"timestamp": clock.timestamp(at), "sessionId": session, **fields, "environment": "production"}
        self.lines.setdefault(file, []).append(json.dumps(record) + "\n")

    def write(self) -> None:
        for file, lines in self.lines.items():
            place = self.studio.path / ".claude" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a") as journal:
                journal.writelines(sorted(lines))
        self.lines.clear()

    def healthy(self, sessions: int = 12, **more: Any) -> None:
        for number in range(sessions):
            self.session(inside=True, hours=1 + number / 2, **more)
            self.session(inside=False, hours=1 + number / 2, failures=10)
        self.write()


@pytest.fixture
def live(bare: Studio, monkeypatch: pytest.MonkeyPatch) -> Live:
    bare.write(".claude/config.production.yaml", LIMITS)
    found = Live(bare, monkeypatch)
    found.at(0)
    found.begin()
    found.at(9)
    return found


def records_of(studio: Studio) -> list[dict[str, Any]]:
    text = (studio.path / ".agent-studio/production/flags.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


# Shares


@given(unit=st.text(min_size=1, max_size=30), flag=st.text(min_size=1, max_size=10),
       one=st.floats(0, 100), other=st.floats(0, 100))  # fmt: skip
def test_who_is_in_a_smaller_share_is_in_every_larger_one(unit: str, flag: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert flags.is_inside(flag, unit, large) or not flags.is_inside(flag, unit, small)
    assert flags.is_inside(flag, unit, 100)
    assert not flags.is_inside(flag, unit, 0)


@given(configured=st.sampled_from([0, 5, 10, 30, 50, 75, 100]), stage=st.sampled_from([None, 10, 50, 100]),
       is_killed=st.booleans(), is_on=st.booleans(), unit=st.text(min_size=1, max_size=20))  # fmt: skip
def test_the_share_is_the_smaller_one_and_a_kill_beats_both(
    tmp_path_factory: pytest.TempPathFactory, configured: int, stage: int | None, *, is_killed: bool, is_on: bool,
    unit: str,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("p")
    (path / ".claude").mkdir()
    text = f"features: {{{FLAG}: {{enabled: {str(is_on).lower()}, rolloutPercentage: {configured}}}}}\n"
    (path / ".claude/config.production.yaml").write_text(text)
    context = open_context(Project(path), Choice(Environment.PRODUCTION, "--env"), {})
    flag_rollout.put(context.root, {FLAG: stage}, **ME, release="r")
    if is_killed:
        flags.kill(context, FLAG, **ME)
    past = flags.history(context.root)
    share = min(configured, stage or 100)
    expected = is_on and not is_killed and flags.bucket_of(FLAG, unit) < share * 100
    assert flags.evaluate(context.config, past, FLAG, unit).value is expected
    assert flags.evaluate(context.config, past, FLAG).value is (is_on and not is_killed and share == 100)
    if is_killed:
        flags.lift(context, FLAG, **ME)
        lifted = flags.evaluate(context.config, flags.history(context.root), FLAG, unit).value
        assert lifted is (is_on and flags.bucket_of(FLAG, unit) < share * 100)


def test_every_answer_names_the_rollout_and_all_screens_agree(live: Live) -> None:
    inside, outside = (live.session(inside=side, hours=1) for side in (True, False))
    found = flags.evaluate(live.context.config, live.past, FLAG, inside)
    assert (found.value, found.reason) == (True, "SPLIT")
    assert "is inside a gradual rollout to 10 % since 20" in found.detail
    assert not flags.evaluate(live.context.config, live.past, FLAG, outside).value
    production = ("--env", "production")
    row = next(one for one in live.studio.json("flags", "list", *production)["flags"] if one["name"] == FLAG)
    assert (row["value"], row["reason"], row["stage"], row["rolloutPercentage"]) == (False, "NO_UNIT", 10, 100)
    assert live.studio.json("flags", "explain", FLAG, "--unit", inside, *production)["value"] is True
    assert live.studio.json("status", *production)["flags"][FLAG] is False
    assert "10 %" in live.studio.run("flags", "list", *production).out
    pytest.importorskip("openfeature")
    from openfeature.evaluation_context import EvaluationContext

    from agent_studio.environment.openfeature import AgentStudioProvider

    provider = AgentStudioProvider(live.context)
    for unit, side in ((inside, True), (outside, False)):
        details = provider.resolve_boolean_details(FLAG, False, EvaluationContext(unit))
        assert details.value is side
        assert "gradual rollout to 10 %" in str(details.flag_metadata["detail"])


# The journal


@pytest.mark.parametrize("cut", range(1, 400, 29))
def test_wherever_a_stages_record_is_torn_the_share_never_grows(live: Live, cut: int) -> None:
    flag_rollout.advance(live.context.root, live.past.rollouts[FLAG], {}, **ME)
    place = live.studio.path / ".agent-studio/production/flags.jsonl"
    first, second = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(first + second[: min(cut, len(second) - 2)])
    past = live.past
    assert past.rollouts[FLAG].percent == 10
    assert past.damaged_lines == 1
    assert FLAG in past.kills  # it may have been a kill
    flags.lift(live.context, FLAG, **ME)
    assert flags.share_of(live.context.config, live.past, FLAG) == 10


@pytest.mark.parametrize("after", ['"all"', "0", "-5", "101", "true", "[10]", "NaN"])
def test_a_stage_that_is_none_is_damage_and_kills_the_flag(live: Live, after: str) -> None:
    place = live.studio.path / ".agent-studio/production/flags.jsonl"
    line = place.read_text().replace('"after":10', f'"after":{after}')
    place.write_text(line)
    past = live.past
    assert (past.damaged_lines, past.rollouts) == (1, {})
    assert FLAG in past.kills


def test_a_lift_returns_to_the_stage_and_begins_it_anew(live: Live) -> None:
    live.healthy(failures=10)
    assert [one.rollout.percent for one in rollout.check(live.context)] == [10]
    live.at(9.5)
    lifted = live.studio.run("flags", "kill", FLAG, "--lift", "--reason", "cause found", "--env", "production")
    assert "at 10 % again" in lifted.out
    assert flags.share_of(live.context.config, live.past, FLAG) == 10
    assert live.past.rollouts[FLAG].since == clock.timestamp(clock.now())
    (one,) = rollout.look(live.context)
    assert (one.verdict, one.sample.sessions_on) == (INSUFFICIENT, 0)
    assert rollout.check(live.context) == []


def test_two_who_advance_at_once_bring_it_one_stage_further(live: Live) -> None:
    standing = live.past.rollouts[FLAG]
    start, outcomes = threading.Barrier(2), []

    def act() -> None:
        start.wait()
        try:
            outcomes.append(len(flag_rollout.advance(live.context.root, standing, {}, **ME).records))
        except BusyError:
            outcomes.append(0)

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, 1]
    assert live.past.rollouts[FLAG].percent == 50
    with pytest.raises(BusyError, match="moved by someone else"):
        flag_rollout.advance(live.context.root, standing, {}, **ME)
    assert flag_rollout.halt(live.context.root, standing, **ME).records == []


# Samples


def test_only_sessions_that_began_in_the_stage_count_and_only_what_is_theirs(live: Live) -> None:
    live.session(inside=True, hours=-2, failures=20)  # before it
    live.session(inside=True, hours=2, source="resume", failures=20)  # began who knows when
    live.session(inside=True, hours=20, failures=20)  # in the future
    live.session(inside=False, hours=3, failures=20)
    live.session(inside=True, hours=3, failures=1, errors=2, ms=30)
    live.lines["metrics/hooks.jsonl"].append(
        json.dumps({"timestamp": clock.timestamp(live.start + timedelta(hours=4)), "status": "failure"}) + "\n"
    )
    live.write()
    place = live.studio.path / ".claude/metrics/hooks.jsonl"
    place.write_text(place.read_text().replace('"environment": "production"', '"environment": "development"', 1))
    (one,) = rollout.look(live.context)
    sample = one.sample
    assert (sample.sessions_on, sample.sessions_off) == (1, 1)
    assert (sample.agent_runs, sample.agent_failures, sample.errors) == (20, 1, 2)
    assert (sample.hook_calls, sample.hook_failures, sample.hook_timed, sample.hook_slow) == (20, 1, 20, 20)
    assert sample.hours == pytest.approx(19 * 30 / 3600 / 2)  # of ten minutes that both sides share
    assert sample.damaged == 1  # it says of no environment that it is its own


def test_gaps_and_what_was_cancelled_are_out() -> None:
    minute = 60_000
    kinds: dict[str, list[Any]] = {
        "sessions": [({"sessionId": "s", "event": "start"}, 0)],
        "agents": [({"sessionId": "s", "status": status}, 10 * minute) for status in ("cancelled", "failed")],
        "hooks": [({"sessionId": "s", "hook": hook, "executionTimeMs": 90, "status": "timeout"}, 60 * minute)
                  for hook in ("decide", "guard")],
        "errors": [({"sessionId": "s", "severity": severity}, 65 * minute) for severity in ("LOW", "CRITICAL")],
    }  # fmt: skip
    (found,) = rollout_sample.taken([Stage("f", 100, 0)], kinds.__getitem__, slow_ms=20, gap_ms=15 * minute)
    assert found == Sample(1, 0, 1, 1, 2, 2, 2, 1, 1, hours=15 / 60)


def test_each_stage_counts_from_its_own_beginning() -> None:
    kinds: dict[str, list[Any]] = {
        "sessions": [({"sessionId": name, "event": "start"}, at) for name, at in (("old", 100), ("new", 200))],
        "hooks": [({"sessionId": name, "hook": "guard", "status": "success"}, 300) for name in ("old", "new")],
        "agents": [], "errors": [],
    }  # fmt: skip
    stages = [Stage("f", 100, 50), Stage("g", 100, 150)]
    found = rollout_sample.taken(stages, kinds.__getitem__, slow_ms=20, gap_ms=1)
    assert [(one.sessions_on, one.hook_calls) for one in found] == [(2, 2), (1, 1)]


def test_what_a_session_did_after_its_start_was_sealed_is_its_time(live: Live) -> None:
    name = live.session(inside=True, hours=1, runs=0)
    live.write()
    place = live.studio.path / ".claude/sessions/session-log.jsonl"
    place.rename(place.with_name(f"session-log.{live.start:%Y-%m-%d}.1.jsonl"))
    for minutes in (10, 20, 30):
        at = live.start + timedelta(hours=1, minutes=minutes)
        live._add("sessions/session-log.jsonl", at, name, event="prompt")
    live.write()
    (found,) = rollout.look(live.context)
    assert found.sample.hours == 0.5


def test_of_a_journal_that_is_too_long_the_newest_part_is_read(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        live.session(inside=True, hours=1 + number / 8, failures=20 if number < 5 else 0)
    live.write()
    (whole,) = rollout.look(live.context)
    assert (whole.sample.hook_calls, whole.sample.hook_failures) == (800, 100)
    size = (live.studio.path / ".claude/metrics/hooks.jsonl").stat().st_size
    monkeypatch.setattr(rollout_sample, "BYTES_MAX", size // 2)
    (half,) = rollout.look(live.context)
    assert 390 <= half.sample.hook_calls <= 400
    assert (half.sample.hook_failures, half.sample.damaged) == (0, 0)
    assert half.sample.sessions_on == 40


# Limits


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("limits")
    (path / ".claude").mkdir()
    (path / ".claude/config.production.yaml").write_text(LIMITS)
    return load(Project(path), Environment.PRODUCTION, {})


def drawn(chance: random.Random, times: float) -> Iterator[Sample]:
    """Yield what is known after each of 400 runs of a flag that is at so many times each limit."""
    failed = slow = errors = 0
    for number in range(1, 401):
        failed += chance.random() < 0.10 * times
        slow += chance.random() < 0.05 * times
        errors += sum(chance.random() < 20 * times / 200 for _ in range(10))  # in a twentieth of an hour
        yield Sample(1, 9, number, failed, number, failed, number, slow, errors, number / 20)


def test_no_halt_at_half_of_every_limit_however_often_one_looks(config: Any) -> None:
    chance, ends = random.Random(8), []
    for _ in range(25):
        verdicts = [one.verdict for sample in drawn(chance, 0.5) for one in limits.limits(config, sample)]
        assert FAIL not in verdicts
        ends += verdicts[-4:]
    assert ends.count(PASS) > 60


def test_five_times_every_limit_is_seen_soon(config: Any) -> None:
    chance = random.Random(8)
    for _ in range(25):
        seen: set[str] = set()
        for sample in itertools.islice(drawn(chance, 5), 150):
            seen |= {one.name for one in limits.limits(config, sample) if one.verdict == FAIL}
            if len(seen) == 4:
                break
        assert len(seen) == 4


def test_nothing_seen_damage_and_what_could_not_be_read_are_no_pass(config: Any) -> None:
    assert {one.verdict for one in limits.limits(config, Sample())} == {INSUFFICIENT}
    good = Sample(5, 50, 200, 0, 200, 0, 200, 0, 0, 10.0)
    assert {one.verdict for one in limits.limits(config, good)} == {PASS}
    damaged = limits.limits(config, good._replace(damaged=300))
    assert {one.verdict for one in damaged} == {INSUFFICIENT}
    assert "300 damaged lines may be more of them" in damaged[0].reason
    unread = limits.limits(config, good, unread=["hooks.2026-01-01.1.jsonl.gz"])
    assert {one.verdict for one in unread} == {INSUFFICIENT}
    bad = limits.limits(config, good._replace(agent_failures=100), unread=["x"])
    assert bad[0].verdict == FAIL


def test_a_limit_that_is_not_set_is_no_pass(live: Live) -> None:
    live.studio.write(
        ".claude/config.production.yaml", LIMITS.replace("errorRatePerHour: 20", "errorRatePerHour: null")
    )
    live.healthy()
    (one,) = rollout.look(live.context)
    assert {limit.name: limit.verdict for limit in one.limits} == {
        "agentFailureRate": PASS, "hookFailureRate": PASS, "hookExecutionTimeMs": PASS,
        "errorRatePerHour": INSUFFICIENT,
    }  # fmt: skip
    assert one.verdict == INSUFFICIENT


# The halt


@pytest.mark.parametrize(
    ("seen", "limit"),
    [({"failures": 10}, "agent runs failed"), ({"ms": 25.0}, "took over 20 ms"), ({"errors": 60}, "an hour")],
)
def test_a_flag_at_five_times_a_limit_is_halted_by_the_first_look(live: Live, seen: dict[str, Any], limit: str) -> None:
    live.healthy(**seen)
    (halted,) = rollout.check(live.context)
    assert limit in halted.reason
    kill = live.past.kills[FLAG]
    assert (kill.who, kill.why) == ("agent-studio", halted.reason)
    assert "broke a limit at 10 % of sessions" in kill.why
    assert rollout.check(live.context) == []
    inside = live.session(inside=True, hours=8)
    assert flags.evaluate(live.context.config, live.past, FLAG, inside).reason == "KILLED"


def test_a_flag_at_half_of_its_limits_goes_on_whatever_sessions_without_it_do(live: Live) -> None:
    for number in range(12):
        live.session(inside=True, hours=1 + number / 2, failures=1, errors=1)
        live.session(inside=False, hours=1 + number / 2, failures=20, errors=50, ms=100)
        live.write()
        assert rollout.check(live.context) == []
    assert live.past.kills == {}


def test_nothing_is_read_when_no_rollout_is_on(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.healthy(failures=20)

    def fail(*_: Any) -> None:
        raise AssertionError("the journals were read")

    for change in (
        lambda: flags.kill(live.context, FLAG, **ME),
        lambda: flag_rollout.put(live.context.root, {FLAG: None}, **ME, release="r"),
        lambda: live.studio.write(".claude/config.production.yaml", LIMITS.replace("true", "false")),
    ):
        before = (live.studio.path / ".agent-studio/production/flags.jsonl").read_bytes()
        change()
        with monkeypatch.context() as patched:
            patched.setattr(rollout_sample.Reading, "__call__", fail)
            assert rollout.check(live.context) == []
        (live.studio.path / ".agent-studio/production/flags.jsonl").write_bytes(before)


def test_a_flag_that_someone_else_is_changing_is_left_to_the_next_look(live: Live) -> None:
    live.healthy(failures=10)
    with locks.exclusive(live.context.root.state, "flags.lock", doing="testing"):
        assert rollout.check(live.context) == []
    assert len(rollout.check(live.context)) == 1


@pytest.mark.parametrize(
    "command", [["ingest"], ["alerts", "list"], ["monitor"], ["monitor", "--alerts"], ["flags", "rollout"]]
)
def test_whoever_looks_at_production_halts_what_broke_a_limit_and_an_alert_tells(
    live: Live, command: list[str]
) -> None:
    live.studio.run("init", "--env", "production", "--no-hooks")
    live.healthy(failures=10)
    live.studio.run(*command, "--env", "production")
    assert live.past.kills[FLAG].who == "agent-studio"
    told = live.studio.json("alerts", "list", "--env", "production")["alerts"]
    (alert,) = [one for one in told if one["rule"] == "flagRollout"]
    assert (alert["label"], alert["state"], alert["severity"]) == (FLAG, "firing", "HIGH")
    assert "halted at 10 % of sessions" in alert["message"]
    entries = (live.studio.path / ".agent-studio/production/log.jsonl").read_text()
    assert '"flag.halted"' in entries
    flags.lift(live.context, FLAG, **ME)
    after = live.studio.json("alerts", "list", "--env", "production")["alerts"]
    assert [one["state"] for one in after if one["rule"] == "flagRollout"] == ["resolved"]


def test_the_daemon_halts_too(live: Live) -> None:
    from agent_studio.serve import _Fresh, _Halting

    live.healthy(failures=10)
    said: list[str] = []
    context = _Halting(_Fresh(live.context, {}), said.append)()
    assert context.environment is Environment.PRODUCTION
    assert [one.split(" ")[0] for one in said] == [FLAG]
    assert FLAG in live.past.kills


# The command


def test_a_stage_goes_on_when_the_limits_hold_and_ends_at_all(live: Live) -> None:
    def at(*arguments: str) -> Any:
        return live.studio.run("flags", "rollout", FLAG, *arguments, "--env", "production", "--json")

    assert at().data["rollouts"][0]["verdict"] == INSUFFICIENT
    early = at("--advance")
    assert early.code == 3
    assert "0 of 0 agent runs failed, limit 10 %; " in early.envelope["problems"][0]["message"]
    assert "more runs without a failure for a verdict" in early.envelope["problems"][0]["message"]
    assert early.data["changed"] is False
    assert [one["hint"] for one in early.envelope["problems"]].count('or: --despite "..."') == 1
    live.healthy()
    would = at("--advance", "--dry-run")
    assert (would.code, would.data["changed"], len(would.data["changes"])) == (0, False, 1)
    done = at("--advance", "--by", "Ada")
    assert (done.code, done.data["changed"], live.past.rollouts[FLAG].percent) == (0, True, 50)
    record = records_of(live.studio)[-1]
    assert (record["action"], record["before"], record["after"], record["who"]) == ("rollout", 10, 50, "Ada")
    assert (record["verdict"], record["release"]) == (PASS, "r1")
    assert at("--advance").code == 3  # the new stage has seen nothing yet
    live.at(9.5)
    done = at("--advance", "--despite", "the release must be out today")
    assert (done.code, live.past.rollouts) == (0, {})
    record = records_of(live.studio)[-1]
    assert (record["after"], record["verdict"], record["despite"]) == (
        100, INSUFFICIENT, "the release must be out today"
    )  # fmt: skip
    assert record["limits"][0][:2] == ["agentFailureRate", INSUFFICIENT]
    assert flags.evaluate(live.context.config, live.past, FLAG).value
    story = live.studio.run("flags", "history", FLAG, "--env", "production").out
    assert "gradual rollout none -> 10 %" in story
    assert "gradual rollout 50 % -> 100 %" in story


def test_to_advance_over_a_broken_limit_halts_whatever_is_said(live: Live) -> None:
    live.healthy(failures=10)
    production = ("--env", "production")
    would = live.studio.run("flags", "rollout", FLAG, "--advance", "--dry-run", *production)
    assert (would.code, live.past.kills) == (1, {})
    done = live.studio.run("flags", "rollout", FLAG, "--advance", "--despite", "I know better", *production)
    assert done.code == 1
    assert "FAIL: partyMode was halted at 10 %" in done.out
    assert FLAG in live.past.kills
    again = live.studio.run("flags", "rollout", FLAG, "--advance", *production)
    assert again.code == 1
    assert "flags kill partyMode --lift" in again.err
    shown = live.studio.run("flags", "rollout", *production).out
    assert "halted at 10 % of sessions" in shown
    assert "flags kill partyMode --lift --reason TEXT --env production" in shown
    assert "agent runs failed" not in shown  # nothing is counted any more
    looked = live.studio.run("monitor", *production)
    assert "gradual rollouts  partyMode halted at 10 %\n" in looked.out
    assert live.studio.run("monitor", *production, "--json").data["rollouts"] == [
        {"flag": FLAG, "percent": 10, "state": "halted"}
    ]  # fmt: skip


def test_a_person_halts_at_once_with_a_reason(live: Live) -> None:
    production = ("--env", "production")
    assert live.studio.run("flags", "rollout", FLAG, "--halt", *production).code == 2
    live.studio.run("flags", "rollout", FLAG, "--halt", "--why", "users complain", "--dry-run", *production)
    assert live.past.kills == {}
    done = live.studio.run("flags", "rollout", FLAG, "--halt", "--reason", "users complain", *production)
    assert done.code == 0
    assert live.past.kills[FLAG].why == "users complain"
    assert live.past.rollouts[FLAG].percent == 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--advance"], "which flag?"),
        ([FLAG, "--halt"], "a halt has a reason"),
        ([FLAG, "--despite", "x"], "--despite says why"),
        ([FLAG, "--advance", "--despite", " "], "--despite says why"),
        ([FLAG, "--advance", "--halt"], "not allowed with"),
        (["knowledgeBase", "--advance"], "in no gradual rollout"),
        (["partMode"], 'did you mean "partyMode"?'),
        ([FLAG, "--env", "staging"], "are production's"),
    ],
)
def test_a_wrong_rollout_command_exits_2_and_changes_nothing(live: Live, arguments: list[str], said: str) -> None:
    before = live.studio.snapshot()
    environment = [] if "--env" in arguments else ["--env", "production"]
    done = live.studio.run("flags", "rollout", *arguments, *environment)
    assert (done.code, said in done.err) == (2, True), done.err
    assert live.studio.snapshot() == before


# Promotion and rollback


def production(world: World) -> tuple[Context, flags.History]:
    context = open_context(Project(world.live), Choice(Environment.PRODUCTION, "--env"), {})
    return context, flags.history(context.root)


@needs_keys
def test_a_gradual_promotion_turns_flags_on_for_ten_per_cent_and_a_rollback_ends_it(world: World) -> None:
    world.studio.write(".claude/config.production.yaml", "release:\n  promoteFlags: false\n")
    first = world.promoted("first")
    world.studio.write(".claude/config.production.yaml", "")
    world.edit("second")
    world.ready()
    planned = world.must("promote", "--gradual", "--dry-run").out
    assert "live for 10 % of sessions at first: advancedElicitation" in planned
    assert production(world)[1].rollouts == {}
    done = world.data("promote", "--gradual", "--yes")
    assert (done["gradual"], done["flags"]) == (["advancedElicitation"], {"advancedElicitation": True})
    context, past = production(world)
    assert (past.rollouts["advancedElicitation"].percent, past.rollouts["advancedElicitation"].release) == (
        10, done["release"]
    )  # fmt: skip
    assert flags.evaluate(context.config, past, "advancedElicitation").reason == "NO_UNIT"
    current = history.read(world.project).current
    assert current is not None
    assert current.record["gradual"] == ["advancedElicitation"]
    for place in (world.project.path, world.live):  # the same from the working checkout and from production itself
        told = world.data("flags", "rollout", "--env", "production", "--project", str(place))
        assert [(one["flag"], one["percent"], one["state"]) for one in told["rollouts"]] == [
            ("advancedElicitation", 10, "running")
        ]  # fmt: skip
    world.must("rollback", "--level", "2", "--reason", "it broke", "--yes", code=3)  # no suite to run
    context, past = production(world)
    assert past.rollouts == {}
    record = past.records[-1]
    assert (record["action"], record["before"], record["after"]) == ("rollout", 10, None)
    assert record["why"] == f"release {first[:12]} is live"
    assert flags.evaluate(context.config, past, "advancedElicitation").reason == "DISABLED"


@needs_keys
def test_a_later_promotion_carries_a_rollout_on_and_begins_its_stage_anew(world: World) -> None:
    world.ready()
    world.must("promote", "--gradual", "--yes")
    before = production(world)[1].rollouts["advancedElicitation"]
    world.edit("second")
    world.ready()
    told = world.must("promote", "--gradual", "--yes")
    assert "turns no flag on" in told.err
    after = production(world)[1].rollouts["advancedElicitation"]
    assert (after.percent, after.release != before.release, after.since > before.since) == (10, True, True)
    world.edit("third")
    world.ready()
    world.must("promote", "--yes")
    assert production(world)[1].rollouts["advancedElicitation"].percent == 10


@needs_keys
def test_a_promotion_that_is_not_gradual_or_goes_back_leaves_no_rollout(world: World) -> None:
    context, _ = production(world)
    flag_rollout.put(context.root, {"advancedElicitation": 10}, **ME, release="of a promotion that was killed")
    world.studio.write(".claude/config.production.yaml", "release:\n  promoteFlags: false\n")
    world.promoted("first")
    assert production(world)[1].rollouts == {}
    world.studio.write(".claude/config.production.yaml", "paths:\n  metrics: .claude/elsewhere\n")
    world.edit("bad")
    world.ready()
    world.must("promote", "--gradual", "--yes", code=1)
    assert production(world)[1].rollouts == {}
    flag_rollout.put(context.root, {"advancedElicitation": 10}, **ME, release="of a promotion that was killed")
    world.studio.write(".claude/config.production.yaml", "")
    world.promoted("good")
    context, past = production(world)
    assert past.rollouts == {}
    assert flags.evaluate(context.config, past, "advancedElicitation").value


@needs_keys
def test_a_promotion_killed_on_its_way_never_turns_a_flag_on_for_all(world: World) -> None:
    import subprocess
    import sys

    world.ready()
    code = (
        "import os\n"
        "from agent_studio.cli.main import main\n"
        "from agent_studio.release.production import switch\n"
        "switch.%s = lambda *_, **__: os._exit(9)\n"
        "main(['promote', '--gradual', '--yes'])\n"
    )
    for point in ("_stage", "_finish"):
        killed = subprocess.run([sys.executable, "-c", code % point], cwd=world.project.path, check=False)
        assert killed.returncode == 9
        assert production(world)[1].rollouts["advancedElicitation"].percent == 10
    world.must("recover")
    context, past = production(world)
    assert context.config["features.advancedElicitation.enabled"] is True
    assert past.rollouts["advancedElicitation"].percent == 10


@needs_keys
def test_a_rollback_killed_before_its_rollouts_follow_is_brought_to_its_end_by_recover(world: World) -> None:
    import subprocess
    import sys

    world.studio.write(".claude/config.production.yaml", "release:\n  promoteFlags: false\n")
    world.promoted("first")
    world.studio.write(".claude/config.production.yaml", "")
    world.edit("second")
    world.ready()
    world.must("promote", "--gradual", "--yes")
    code = (
        "import os\n"
        "from agent_studio.cli.main import main\n"
        "from agent_studio.release.rollouts import switching\n"
        "switching.follow = lambda *_: os._exit(9)\n"
        "main(['rollback', '--level', '2', '--reason', 'a trial', '--yes'])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=world.project.path, check=False, capture_output=True)
    assert killed.returncode == 9
    assert world.reads() == "first"
    assert production(world)[1].rollouts["advancedElicitation"].percent == 10
    world.must("recover")
    assert production(world)[1].rollouts == {}


@needs_keys
def test_flags_that_cannot_be_written_stop_a_promotion_before_anything_is_switched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.edit("second")
    world.ready()
    context, _ = production(world)
    monkeypatch.setattr(switching, "_PATIENCE_S", 0.1)
    context.root.state.make()
    before = world.reads()
    with locks.exclusive(context.root.state, "flags.lock", doing="testing"):
        world.must("promote", "--gradual", "--yes", code=5)
    assert world.reads() == before
    assert history.read(world.project).releases == []


@needs_keys
def test_in_place_a_flag_goes_live_gradually_too(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path, in_place=True)
    world.ready()
    world.must("promote", "--gradual", "--yes")
    told = world.data("flags", "rollout", "--env", "production")
    assert [one["flag"] for one in told["rollouts"]] == ["advancedElicitation"]
    with pytest.raises(AgentStudioError):
        flags.set_flag(production(world)[0], "advancedElicitation", enabled=True, who="", why="")


@needs_keys
def test_from_the_working_checkout_a_kill_in_production_is_of_what_is_live(world: World) -> None:
    world.studio.write(".claude/config.production.yaml", "features: {partyMode: {enabled: true}}\n")
    world.promoted("first")

    def asked(verb: str, place: Path, *more: str) -> dict[str, Any]:
        return world.data("flags", verb, *more, "--env", "production", "--project", str(place))

    world.must("flags", "kill", FLAG, "--reason", "bad", "--env", "production")
    assert FLAG in production(world)[1].kills
    assert not asked("explain", world.live, FLAG)["value"]
    for verb, *more in (["list"], ["explain", FLAG], ["history"]):
        assert asked(verb, world.project.path, *more) == asked(verb, world.live, *more)
    before = world.studio.snapshot()
    refused = world.studio.run("flags", "set", FLAG, "--on", "--reason", "again", "--env", "production")
    assert (refused.code, f"--project {world.live}" in refused.err) == (2, True), refused.err
    assert world.studio.snapshot() == before
    world.must("flags", "kill", FLAG, "--lift", "--reason", "mended", "--env", "production")
    assert production(world)[1].kills == {}
