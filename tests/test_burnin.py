"""A burn-in from its start to its evidence, with 24 hours compressed by the clock; each way that it starts anew."""

from __future__ import annotations

import json
import math
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.burnin_world import AGENTS, ERRORS, HOOKS, SESSIONS, BurninWorld, agent_of, error_of, hook_of
from tests.conftest import Studio
from tests.release_world import World

from agent_studio import clock
from agent_studio.capture import inbox
from agent_studio.dashboard.contexts import Contexts
from agent_studio.dashboard.questions import VIEWS, question
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.release import evidence
from agent_studio.release.burnin import progress, report, rules
from agent_studio.release.burnin.observed import Observed, Sample
from agent_studio.release.burnin.rules import Limits
from agent_studio.release.checklists import reviewed
from agent_studio.release.production import history
from agent_studio.release.production.sides import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

STAGING = ".claude/staging"
NEVER = Limits("staging", math.inf, math.inf, math.inf, math.inf)


@pytest.fixture
def world(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> BurninWorld:
    return BurninWorld(staged, monkeypatch)


def whole_day(world: BurninWorld, name: str = "s1", **options: Any) -> None:
    world.passes(minutes=1)
    world.session(name)
    world.work(24.1, session=name, **options)


def test_a_day_of_good_work_passes_and_is_kept_as_evidence(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    found = world.burnin("status", code=0)
    assert found["verdict"] == "PASS"
    assert found["observedHours"] == pytest.approx(24.1)
    assert {one["verdict"] for one in found["requirements"]} == {"PASS"}
    assert all(one["needed"] == 0 for one in found["requirements"])
    kept = world.burnin("report", code=0)["evidence"]
    assert [(one["kind"], one["verdict"], one["recorded"]) for one in kept] == [
        ("burnin", "PASS", True), ("performance", "PASS", True), ("errors", "PASS", True), ("comparison", "PASS", True),
    ]  # fmt: skip
    held = evidence.of(world.project, SOURCE, world.candidate).evidence
    assert held["burnin"].data["observedHours"] == pytest.approx(24.1)
    assert all(one.data["reason"] for one in held.values())
    again = world.burnin("report", code=0)["evidence"]
    assert not any(one["recorded"] for one in again)


def test_nothing_is_insufficient_and_says_what_it_takes(world: BurninWorld) -> None:
    before = world.burnin("status", code=3)
    assert (before["verdict"], before["since"]) == ("INSUFFICIENT", None)
    assert "burnin start" in before["message"]
    world.start()
    world.passes(minutes=5)
    found = world.burnin("status", code=3)
    needed = {one["name"]: one["needed"] for one in found["requirements"]}
    assert needed["observed-hours"] == 24
    assert needed["hook-time"] == 80
    assert needed["agent-failures"] == 66
    assert all(one["verdict"] == "INSUFFICIENT" for one in found["requirements"] if one["name"] != "clock")
    kept = world.burnin("report", code=3)["evidence"]
    assert {one["verdict"] for one in kept} == {"INSUFFICIENT"}


def test_the_minimum_is_said_before_it_starts(world: BurninWorld) -> None:
    done = world.run("start", "--dry-run")
    assert "days cannot be told" in done.out
    assert not (world.studio.path / ".agent-studio/staging/burnin.json").exists()
    world.session()
    world.work(12)
    world.passes(hours=24)
    found = world.burnin("start", code=0)
    minimum = {one["name"]: one["needed"] for one in found["minimum"]}
    assert minimum == {
        "observed-hours": 24, "hook-time": 80, "hook-failures": 39, "agent-failures": 66,
        "errors-per-hour": pytest.approx(0.2, abs=0.1),
    }  # fmt: skip
    assert found["slowest"] == "observed-hours"
    assert found["days"] == pytest.approx(24 / (12 / 7), rel=0.01)
    assert found["started"]


def test_of_next_to_nothing_no_number_of_days_is_made_up(world: BurninWorld) -> None:
    world.session()
    world.work(0.2)
    assert "  over a year at the rate of the last week (observed-hours takes longest)" in world.run("start").out


def test_starting_again_changes_nothing_unless_asked(world: BurninWorld) -> None:
    world.start()
    first = world.burnin("status", code=3)["since"]
    world.passes(hours=1)
    assert world.burnin("start", code=0)["started"] is False
    assert world.burnin("status", code=3)["since"] == first
    assert world.burnin("start", "--restart", code=0)["started"] is True
    after = world.burnin("status", code=3)
    assert after["since"] > first
    assert after["starts"] == 2
    assert "started 2 times" in after["message"]


@pytest.mark.parametrize(
    ("work", "name"),
    [
        ({"ms": 50.0}, "hook-time"),
        ({"status": "timeout", "ms": 1.0}, "hook-time"),
        ({"status": "failure"}, "hook-failures"),
    ],
)
def test_a_limit_that_is_broken_fails(world: BurninWorld, work: dict[str, Any], name: str) -> None:
    world.start()
    whole_day(world, **work)
    verdicts = world.verdicts(code=1)
    assert verdicts[name] == "FAIL"
    assert verdicts["observed-hours"] == "PASS"


def test_to_block_is_no_failure_and_decision_hooks_have_their_own_limit(world: BurninWorld) -> None:
    world.start()
    world.passes(minutes=1)
    world.session()
    world.work(24.1, status="blocked")
    world.lines(HOOKS, [(world.now, hook_of("s1", 90.0, hook="decide"))] * 300)
    assert world.verdicts(code=0)["hook-time"] == "PASS"


def test_agents_that_fail_and_errors_that_pile_up_fail(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    world.lines(AGENTS, [(world.now, agent_of("s1", "failed"))] * 100)
    world.lines(ERRORS, [(world.now, error_of("s1", "MEDIUM"))] * 900)
    found = world.burnin("status", code=1)
    verdicts = {one["name"]: one for one in found["requirements"]}
    assert verdicts["agent-failures"]["verdict"] == "FAIL"
    assert verdicts["errors-per-hour"]["verdict"] == "FAIL"
    assert "most in one hour: 900" in verdicts["errors-per-hour"]["message"]
    assert found["errors"] == [{"hour": clock.timestamp(world.now)[:13] + ":00:00.000Z", "count": 900}]


def test_runs_that_were_cancelled_are_in_no_rate(world: BurninWorld) -> None:
    world.start()
    whole_day(world, agents=0)
    world.lines(AGENTS, [(world.now, agent_of("s1", "cancelled"))] * 100)
    assert world.verdicts(code=3)["agent-failures"] == "INSUFFICIENT"


def test_production_targets_fail_only_where_that_is_proven(world: BurninWorld) -> None:
    world.start()
    whole_day(world, ms=15.0)  # production's limit is 10 ms, staging's 20 ms
    verdicts = world.verdicts(code=1)
    assert (verdicts["hook-time"], verdicts["production-targets"]) == ("PASS", "FAIL")
    world.start("--restart")
    world.passes(minutes=1)
    world.session("s2")
    world.work(24.1, session="s2")
    world.lines(HOOKS, [(world.now, hook_of("s2", 15.0))] * 10)  # 4 %: nothing is proven
    assert world.verdicts(code=0)["production-targets"] == "PASS"


def test_pauses_longer_than_the_gap_are_no_observed_time(world: BurninWorld) -> None:
    world.start()
    for number in range(5):
        world.passes(minutes=20)
        world.session(f"s{number}")
        world.work(2, session=f"s{number}")
    assert world.burnin("status", code=3)["observedHours"] == pytest.approx(10)


def test_an_edit_makes_another_candidate_and_the_burn_in_begins_anew(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    world.burnin("report", code=0)
    world.studio.write(".claude/agents/code-reviewer.md", "---\nname: code-reviewer\ndescription: Other\n---\n")
    found = world.burnin("report", code=3)
    assert "the burn-in was started on" in found["message"]
    assert {one["verdict"] for one in found["evidence"]} == {"INSUFFICIENT"}
    assert evidence.of(world.project, SOURCE, world.candidate).evidence["burnin"].verdict == "INSUFFICIENT"


def test_the_same_bytes_written_again_begin_it_anew(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ran before they were written may have run on others; sessions that run on have loaded those."""
    time.sleep(0.05)
    world = BurninWorld(staged, monkeypatch)
    world.now = datetime.now(UTC)
    world.start()
    world.session("before")
    world.add(HOOKS, **hook_of("before"))
    world.now = datetime.now(UTC)
    assert world.burnin("status", code=3)["sessions"] == 1
    place = staged.path / ".claude/agents/code-reviewer.md"
    text = place.read_bytes()
    place.write_bytes(b"---\nname: other\n---\n")
    place.write_bytes(text)
    world.now = datetime.now(UTC) + timedelta(minutes=1)
    world.add(HOOKS, **hook_of("before"))
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["sinceWhy"], found["leftOut"]) == (0, "a definition was written", 1)
    world.session("after")
    world.work(1, session="after")
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["observedHours"]) == (1, 1)


def test_a_write_of_the_same_bytes_counts_as_a_start_and_hides_no_failure(world: BurninWorld) -> None:
    world.start()
    whole_day(world, ms=50.0)
    world.burnin("report", code=1)
    os.utime(world.studio.path / ".claude/agents/code-reviewer.md", (ahead := world.now.timestamp() - 60, ahead))
    assert world.burnin("status", code=3)["starts"] == 2
    found = world.burnin("report", code=3)
    assert "started 2 times" in found["message"]
    assert world.burnin("report", code=3)["starts"] == 2  # noted once
    world.passes(hours=1)
    world.start("--restart")
    assert world.burnin("status", code=3)["starts"] == 3


def test_what_is_no_definition_and_what_the_proof_of_isolation_plants_begin_nothing_anew(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.05)
    world = BurninWorld(staged, monkeypatch)
    world.now = datetime.now(UTC)
    world.start()
    begun = world.burnin("status", code=3)["since"]
    sha256 = world.candidate
    time.sleep(0.05)
    (staged.path / ".claude/skills/.DS_Store").write_text("x")
    (staged.path / ".claude/agents/__pycache__").mkdir()
    assert staged.run("doctor", "isolation", "--env", "staging").code in {0, 3}
    world.now = datetime.now(UTC) + timedelta(minutes=1)
    found = world.burnin("status", code=3)
    assert (found["since"], found["sinceWhy"], found["starts"]) == (begun, "the burn-in was started", 1)
    place = staged.path / ".claude/agents/.canary-0123456789abcdef"
    place.write_text("left by a probe that was killed\n")
    assert world.candidate == sha256


def test_sessions_of_a_definition_that_came_and_went_say_so_and_do_not_count(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = BurninWorld(staged, monkeypatch)
    world.start()
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})

    def session(name: str) -> None:
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=4))
        at_ns = int(clock.now().timestamp() * 1e9)
        for event in (
            {"hook_event_name": "SessionStart", "source": "startup"},
            {"hook_event_name": "UserPromptSubmit"},
        ):
            inbox.append(context.root, "hook", [json.dumps({"session_id": name, **event}).encode()], ts=at_ns)
        time.sleep(0.01)
        assert staged.run("ingest", "--env", "staging").code == 0

    place = staged.write(".claude/agents/guest.md", "---\nname: guest\ndescription: Guest\n---\n")
    session("with the guest")
    place.unlink()
    session("without")
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(minutes=1))
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["sinceWhy"]) == (1, "the burn-in was started")
    assert found["leftOut"] >= 1


@pytest.mark.parametrize("step", [history.RESTART, history.NUCLEAR, history.ROLLBACK])
def test_a_rollback_begins_anew(world: BurninWorld, step: str) -> None:
    world.start()
    whole_day(world)
    world.passes(minutes=1)
    line: dict[str, Any] = {"step": step, "id": "x", "release": "r", "candidate": "c"}
    history.append(world.project, line)
    found = world.burnin("status", code=3)
    assert found["observedHours"] == 0
    assert "rolled back" in found["sinceWhy"]


def test_a_clock_that_is_wrong_proves_nothing(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    world.add(SESSIONS, world.now, sessionId="s1", event="prompt")
    world.passes(hours=-3)
    found = world.burnin("status", code=3)
    verdicts = {one["name"]: one for one in found["requirements"]}
    assert verdicts["clock"]["verdict"] == "INSUFFICIENT"
    assert "from the future" in verdicts["clock"]["message"]
    world.add(SESSIONS, world.now, sessionId="s1", event="prompt")
    world.passes(hours=4)
    assert world.verdicts(code=3)["clock"] == "INSUFFICIENT"  # the log still says that it went back
    world.passes(hours=-60)
    assert "is to come" in world.burnin("status", code=3)["requirements"][5]["message"]


def test_replayed_runs_count_for_half_and_their_failures_in_full(world: BurninWorld) -> None:
    world.start()
    world.passes(minutes=1)
    world.session()
    synthetic: dict[str, Any] = {"metadata": {"synthetic": True}}
    world.lines(HOOKS, [(world.now, hook_of("exercise", **synthetic))] * 500)
    assert world.verdicts(code=3)["hook-time"] == "INSUFFICIENT"
    found = world.burnin("status", code=3)["requirements"]
    assert next(one["needed"] for one in found if one["name"] == "hook-time") == 40
    world.lines(HOOKS, [(world.now, hook_of("s1"))] * 39)
    assert world.verdicts(code=3)["hook-time"] == "INSUFFICIENT"
    world.lines(HOOKS, [(world.now, hook_of("s1"))])
    assert world.verdicts(code=3)["hook-time"] == "PASS"
    world.lines(HOOKS, [(world.now, hook_of("exercise", 50.0, **synthetic))] * 100)
    assert world.verdicts(code=3)["hook-time"] == "INSUFFICIENT"
    world.lines(HOOKS, [(world.now, hook_of("exercise", 50.0, **synthetic))] * 2_000)
    assert world.verdicts(code=1)["hook-time"] == "FAIL"


def test_replays_alone_break_no_limit(world: BurninWorld) -> None:
    world.start()
    world.passes(minutes=1)
    world.lines(HOOKS, [(world.now, hook_of("exercise", 50.0, "failure", metadata={"synthetic": True}))] * 500)
    verdicts = world.verdicts(code=3)
    assert (verdicts["hook-time"], verdicts["hook-failures"]) == ("INSUFFICIENT", "INSUFFICIENT")
    assert verdicts["production-targets"] != "FAIL"
    found = {one["kind"]: one for one in world.json("report")["evidence"]}["comparison"]
    assert found["verdict"] == "INSUFFICIENT"
    assert "replays alone break no limit" in found["reason"]


@given(st.integers(0, 200), st.integers(0, 30), st.integers(0, 2_000), st.integers(0, 60), st.floats(0.01, 0.2))
def test_more_replays_never_make_up_for_too_few_real_runs(
    real: int, real_hits: int, synthetic: int, synthetic_hits: int, limit: float
) -> None:
    sample = Sample(real + real_hits, real_hits, synthetic + synthetic_hits, synthetic_hits)
    found = rules._share("hook-failures", sample, limit, "calls failed")
    capped = sample._replace(synthetic=max(min(sample.real, sample.synthetic), synthetic_hits))
    if found.verdict == "PASS":
        assert rules._share("hook-failures", capped, limit, "calls failed").verdict == "PASS"
        assert sample.real > 0
    if found.verdict == "INSUFFICIENT" and found.needed < 10_000:
        enough = sample._replace(real=sample.real + int(found.needed))
        assert rules._share("hook-failures", enough, limit, "calls failed").verdict == "PASS"


def test_no_limit_asks_for_nothing_and_a_limit_of_nought_for_what_cannot_be() -> None:
    empty = Observed.nothing(0)
    free = {one.name: one for one in rules.requirements(empty, 30, 24, NEVER, NEVER)}
    assert {free[name].verdict for name in ("hook-time", "hook-failures", "errors-per-hour")} == {"PASS"}
    assert free["production-targets"].verdict == "PASS"
    strict = NEVER._replace(agent_failures=0.0)
    busy = empty._replace(agents=Sample(5_000, 0))
    found = {one.name: one for one in rules.requirements(busy, 30, 24, strict, NEVER)}["agent-failures"]
    assert (found.verdict, found.needed) == ("INSUFFICIENT", math.inf)


def test_a_burst_in_the_first_minutes_is_no_rate_of_an_hour() -> None:
    seen = Observed.nothing(0)._replace(errors={0: 30})
    limits = NEVER._replace(errors_per_hour=20.0)
    early, late = (rules.requirements(seen, hours, 24, limits, NEVER)[4].verdict for hours in (0.1, 1.0))
    assert (early, late) == ("INSUFFICIENT", "INSUFFICIENT")
    many = seen._replace(errors={0: 60})
    assert rules.requirements(many, 0.5, 24, limits, NEVER)[4].verdict == "INSUFFICIENT"
    assert rules.requirements(many, 1.0, 24, limits, NEVER)[4].verdict == "FAIL"


def test_what_cannot_be_read_is_said_and_changes_nothing(world: BurninWorld) -> None:
    place = world.studio.path / ".agent-studio/staging/burnin.json"
    place.write_text('{"since": "soon"}')
    done = world.run("status")
    assert done.code == 1
    assert "burnin start --restart" in done.err
    assert place.read_text() == '{"since": "soon"}'
    world.start("--restart")
    assert json.loads(place.read_text())["candidate"] == world.candidate


def test_a_start_of_one_that_runs_says_from_when_on_it_counts(world: BurninWorld) -> None:
    world.start()
    os.utime(world.studio.path / ".claude/agents/code-reviewer.md", (later := world.now.timestamp() + 60, later))
    world.passes(hours=1)
    assert "(a definition was written), and goes on" in world.run("start").out
    assert world.burnin("start", code=0)["since"] == world.burnin("status", code=3)["since"]


def test_a_limit_of_nought_is_told_apart_from_what_nobody_recorded(world: BurninWorld) -> None:
    text = "monitoring:\n  thresholds:\n    hookFailureRate: 0\n"
    (world.studio.path / ".claude/config.staging.yaml").write_text(text)
    assert "no number of runs can show a limit of 0" in world.run("start", "--dry-run").out


def test_a_damaged_journal_is_set_aside_by_a_restart(world: BurninWorld) -> None:
    world.start()
    place = world.studio.path / ".agent-studio/staging/burnin.jsonl"
    place.write_text(place.read_text().replace("start", "stork"))
    damaged = place.read_bytes()
    assert world.run("status").code == 8
    told = world.studio.run("doctor", "--json").data["findings"]
    assert "burnin-damage" in {one["code"] for one in told}
    done = world.run("start", "--restart")
    assert done.code == 0, done.err
    assert "is forgotten" in done.err or "are forgotten" in done.err
    (aside,) = place.parent.glob("burnin.jsonl.damaged-*Z")
    assert aside.read_bytes() == damaged
    assert world.burnin("status", code=3)["starts"] == 1


def test_production_has_no_burn_in(bare: Studio, tmp_path: Path) -> None:
    world = World(bare, tmp_path)
    world.promoted("one\n")
    live = Studio(world.live)
    done = live.run("burnin", "status")
    assert done.code == 2
    assert f"this is the production of {world.project.path}" in done.err
    assert f"this is the production of {world.project.path}" in live.run("status", "--env", "production").out


def test_the_monitor_has_a_line_of_it_and_the_browser_a_page(world: BurninWorld) -> None:
    run = world.studio.run
    assert world.studio.json("monitor", "--env", "staging")["burnin"] is None
    world.start()
    world.passes(minutes=1)
    world.session()
    world.work(3)
    found = world.studio.json("monitor", "--env", "staging")["burnin"]
    assert (found["verdict"], found["observedHours"], found["hours"]) == ("INSUFFICIENT", 3, 24)
    assert "burn-in INSUFFICIENT  3.0 of 24 h" in run("monitor", "--env", "staging").out
    assert "burn-in" not in run("monitor", "--env", "development").out
    contexts = Contexts(open_context(world.project, Choice(Environment.DEVELOPMENT, "default"), {}), {})
    page = VIEWS["burnin"](contexts, question({}))
    assert page["burnin"] == world.burnin("status", code=3)
    (world.studio.path / ".agent-studio/staging/burnin.json").write_text("{}")
    assert "does not say since when" in world.studio.json("monitor", "--env", "staging")["burnin"]["message"]


def test_what_the_recorder_hears_and_ingest_writes_is_observed(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own events, by the way that they take."""
    world = BurninWorld(staged, monkeypatch)
    world.start()
    begun = world.passes(minutes=1)
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})

    def heard(minutes: float, kind: str, **payload: Any) -> None:
        at_ns = int((begun + timedelta(minutes=minutes)).timestamp() * 1e9)
        inbox.append(context.root, kind, [json.dumps({"session_id": "real", **payload}).encode()], ts=at_ns)

    heard(0, "hook", hook_event_name="SessionStart", source="startup")
    for minute in range(1, 31):
        heard(minute, "hook", hook_event_name="UserPromptSubmit", prompt="go on")
        heard(minute, "exec", hook="PreToolUse:guard.sh", exit=0, duration_ms=4.5)
    heard(31, "hook", hook_event_name="Stop")
    heard(33, "hook", hook_event_name="SessionEnd", reason="other")
    world.now = begun + timedelta(hours=1)
    assert staged.run("ingest", "--env", "staging").code == 0
    found = world.burnin("status", code=3)
    assert (found["sessions"], found["leftOut"]) == (1, 0)
    assert found["observedHours"] == pytest.approx(33 / 60, abs=0.001)
    calls = next(one for one in found["requirements"] if one["name"] == "hook-time")
    assert (calls["value"], calls["message"][:7]) == (0, "0 of 30")


def test_development_has_no_burn_in_and_programs_no_live_view(world: BurninWorld) -> None:
    assert world.run("status", "--env", "development").code == 2
    assert world.run("status", "--live", "--json").code == 2
    assert world.run("status", "--live").code == 2
    assert world.run("exercise", "--runs", "0").code == 2


@pytest.mark.parametrize(
    ("ours_ms", "theirs_ms", "verdict", "said"),
    [
        (12.0, 2.0, "FAIL", "proven to be worse than production's and over its limit"),
        (8.0, 2.0, "PASS", "worse without breaking a limit: hookExecutionTimeMs"),
        (12.0, 13.0, "PASS", "nothing is proven"),
        (30.0, 40.0, "FAIL", "breaks staging's limit"),
        (5.0, None, "PASS", "production has no figures to compare with"),
        (None, 5.0, "INSUFFICIENT", "staging has no figures"),
    ],
)
def test_staging_beside_production(
    world: BurninWorld, ours_ms: float | None, theirs_ms: float | None, verdict: str, said: str
) -> None:
    done = world.studio.run("init", "--env", "production", "--no-hooks")
    assert done.code == 0, done.err
    world.passes(minutes=1)
    world.start()
    world.passes(minutes=1)
    for ms, environment, root in ((ours_ms, "staging", "../staging"), (theirs_ms, "production", "..")):
        if ms is not None:
            rows = [(world.now, hook_of("s1", ms + number % 7 / 10)) for number in range(200)]
            world.lines(f"{root}/{HOOKS}", [(at, {**row, "environment": environment}) for at, row in rows])
    world.passes(minutes=1)
    found = {one["kind"]: one for one in world.json("report")["evidence"]}["comparison"]
    assert found["verdict"] == verdict
    assert said in found["reason"]
    assert "400 runs" not in found["reason"]  # all hooks together are no more than there were


def test_looking_is_free(world: BurninWorld) -> None:
    """Whatever was seen on the way, the same records end in the same verdict, and nothing is kept by looking."""
    world.start()
    world.passes(minutes=1)
    world.session()
    before = world.studio.snapshot(".agent-studio/staging/evidence")
    for _ in range(12):
        world.work(2.1)
        world.json("status")
    assert world.burnin("status", code=0)["verdict"] == "PASS"
    assert world.studio.snapshot(".agent-studio/staging/evidence") == before


def test_variables_and_options_of_who_reports_loosen_no_limit(world: BurninWorld) -> None:
    world.start()
    whole_day(world, ms=50.0)
    loose = ("--set", "monitoring.thresholds.hookExecutionTimeMs=1000")
    kept = {one["kind"]: one["verdict"] for one in world.burnin("report", *loose, code=1)["evidence"]}
    assert (kept["burnin"], kept["comparison"], kept["performance"]) == ("FAIL", "FAIL", "FAIL")
    done = world.studio.run("burnin", "status", variables={"HOOK_EXECUTION_THRESHOLD": "1000"})
    assert done.code == 1


def test_a_burn_in_that_starts_anew_leaves_no_pass_on_record(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    world.burnin("report", code=0)
    world.start()  # which goes on
    held = evidence.of(world.project, SOURCE, world.candidate).evidence
    assert {one.verdict for one in held.values()} == {"PASS"}
    world.passes(minutes=1)
    world.start("--restart")
    held = evidence.of(world.project, SOURCE, world.candidate).evidence
    assert {kind: one.verdict for kind, one in held.items()} == dict.fromkeys(progress.EVIDENCE, "INSUFFICIENT")
    assert "started anew" in held["errors"].data["reason"]


def test_the_gate_looks_at_what_happened_since_the_report(world: BurninWorld) -> None:
    def said() -> tuple[str, str]:
        found = world.studio.run("gate", "--json").data["requirements"]
        return next((one["verdict"], one["reason"]) for one in found if one["name"] == "burnin")

    world.start()
    whole_day(world)
    world.burnin("report", code=0)
    assert world.studio.run("candidate", "create").code == 0
    assert said()[0] == "PASS"
    world.lines(AGENTS, [(world.now, agent_of("s1", "failed"))] * 100)
    verdict, reason = said()
    assert verdict == "FAIL"
    assert "fails since: agent-failures" in reason


def test_what_is_missing_is_told_as_it_is_now(world: BurninWorld) -> None:
    world.start()
    world.burnin("report", code=3)
    world.passes(minutes=1)
    world.session()
    world.work(23)
    world.burnin("report", code=3)
    held = evidence.of(world.project, SOURCE, world.candidate).evidence["burnin"]
    assert "23.0 of 24 h" in held.data["reason"]
    again = world.burnin("report", code=3)["evidence"]
    assert not any(one["recorded"] for one in again)


def test_a_look_at_the_errors_stays_when_the_same_bytes_are_written_again(world: BurninWorld) -> None:
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})
    world.start()
    whole_day(world)
    world.lines(ERRORS, [(world.now, error_of("s1", "MEDIUM"))])
    world.passes(minutes=1)
    (group,) = reviewed.errors(context, reviewed.since_of(context))
    reviewed.acknowledge(context, group.id, who="Uma", why="known")
    world.burnin("report", code=0)
    since = reviewed.since_of(context)
    os.utime(world.studio.path / ".claude/agents/code-reviewer.md", (later := world.now.timestamp(), later))
    assert reviewed.since_of(context) == since
    world.passes(minutes=1)
    world.start("--restart")
    assert reviewed.since_of(context) > since


def test_limits_of_another_project_are_nobodys(world: BurninWorld, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    (loose / ".claude").mkdir(parents=True)
    (loose / ".claude/config.yaml").write_text("monitoring:\n  thresholds:\n    hookExecutionTimeMs: 5000\n")
    world.start()
    whole_day(world, ms=15.0)
    done = world.run("report", "--set", f"release.target={loose}")
    assert done.code == 2
    assert "release.target comes from" in done.err
    assert evidence.of(world.project, SOURCE, world.candidate).evidence == {}


@pytest.mark.parametrize("limit", [65, 67, 70, 90, 99.5])
def test_every_limit_can_be_judged(world: BurninWorld, limit: float) -> None:
    thresholds = f"monitoring:\n  thresholds:\n    hookFailureRate: {limit / 2}\n"
    (world.studio.path / ".claude/config.production.yaml").write_text(thresholds)
    world.passes(minutes=1)
    world.start()
    whole_day(world)
    assert world.verdicts(code=0)["hook-failures"] == "PASS"


@pytest.mark.parametrize("written", ["null", "100000"])
def test_limits_of_staging_count_at_most_twice_productions(world: BurninWorld, written: str) -> None:
    names = ("hookExecutionTimeMs", "hookFailureRate", "agentFailureRate", "errorRatePerHour")
    rates = {name: "100" if "FailureRate" in name and written != "null" else written for name in names}
    text = "".join(f"    {name}: {value}\n" for name, value in rates.items())
    (world.studio.path / ".claude/config.staging.yaml").write_text(f"monitoring:\n  thresholds:\n{text}")
    world.passes(minutes=1)
    world.start()
    world.passes(minutes=1)
    world.session()
    for _ in range(25):
        world.add(SESSIONS, sessionId="s1", event="prompt")
        for _ in range(4):
            world.passes(minutes=15)
            world.add(SESSIONS, sessionId="s1", event="prompt")
    found = world.burnin("report", code=3)
    verdicts = {one["name"]: one["verdict"] for one in found["requirements"]}
    assert {verdicts[name] for name in ("hook-time", "hook-failures", "agent-failures")} == {"INSUFFICIENT"}
    assert found["limits"]["staging"] == {
        "hookExecutionTimeMs": 20, "hookFailureRate": 10, "agentFailureRate": 6, "errorRatePerHour": 20,
    }  # fmt: skip
    assert any("twice production's" in note for note in world.run("status").out.splitlines())


def test_the_verdict_names_the_limits_that_it_was_judged_by(world: BurninWorld) -> None:
    world.start()
    whole_day(world)
    found = world.burnin("report", code=0)
    reason = found["evidence"][0]["reason"]
    for told in ("hook-time 20 ms", "hook-failures 10 %", "agent-failures 6 %", "errors-per-hour 20 /h"):
        assert told in reason
    assert "10 ms" in found["evidence"][1]["reason"]
    held = evidence.of(world.project, SOURCE, world.candidate).evidence["burnin"].data
    assert held["limits"]["production"]["hookExecutionTimeMs"] == 10


def test_where_nobody_has_a_limit_that_is_said(world: BurninWorld) -> None:
    for environment in ("production", "staging"):
        text = "monitoring:\n  thresholds:\n    agentFailureRate: null\n"
        (world.studio.path / f".claude/config.{environment}.yaml").write_text(text)
    world.passes(minutes=1)
    world.start()
    whole_day(world, agents=0)
    found = world.burnin("status", code=0)
    assert "agent-failures no limit" in found["message"]


def test_a_policy_of_the_live_release_governs_and_not_the_candidates_own(
    tmp_path: Path, bare: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    world = World(bare, tmp_path)
    world.promoted("first")
    bare.write(".claude/config.production.yaml", "release:\n  policy:\n    burnin:\n      hours: 1\n")
    ours = BurninWorld(bare, monkeypatch)
    assert ours.burnin("status", code=3)["policy"]["hours"] == 24


def test_definitions_that_change_meanwhile_leave_no_evidence(
    world: BurninWorld, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    world.start()
    whole_day(world)
    real = report._comparison

    def edited(*arguments: Any) -> Any:
        world.studio.write(".claude/agents/new.md", "---\nname: new\ndescription: New\n---\n")
        return real(*arguments)

    monkeypatch.setattr(report, "_comparison", edited)
    done = world.run("report")
    assert done.code == 3
    assert "no evidence was kept" in done.err
    assert evidence.of(world.project, SOURCE, world.candidate).evidence == {}
