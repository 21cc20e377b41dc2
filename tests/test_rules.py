"""Limits: bounds that hold what they promise, and what each limit says of figures."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.cost import ledger
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.monitor import alerts, intervals, ledger_tail, limits, rules, watch
from agent_studio.monitor.summary import AgentFigures, ErrorHour, HookFigures, SessionFigures, Summary, Window
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN, Verdict
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.conftest import Studio

STAGING = ("--env", "staging")
NOW = datetime.now(UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY = Window(NOW_MS - 86_400_000, NOW_MS)
NO_SESSIONS = SessionFigures(0, 0, 0, 0)


def _binomial_tail(hits: int, count: int, share: float) -> float:
    return sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(hits, count + 1))


@given(st.integers(1, 300), st.floats(0.001, 0.999), st.data())
def test_a_binomial_tail_is_the_sum_of_its_terms(count: int, share: float, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    assert intervals.at_least(hits, count, share) == pytest.approx(_binomial_tail(hits, count, share), rel=1e-8)


@given(st.integers(1, 200), st.data(), st.sampled_from((0.9, 0.95, 0.999)))
def test_below_the_exact_bound_so_many_hits_are_too_rare(count: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(1, count))
    low = intervals.exact_rate_low(hits, count, confidence)
    assert _binomial_tail(hits, count, low) == pytest.approx(1 - confidence, rel=1e-6)


@given(st.integers(0, 400))
def test_the_bounds_of_a_count_cut_off_a_twentieth_of_each_side(events: int) -> None:
    def at_most(k: int, mean: float) -> float:
        return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k + 1))

    low, high = intervals.count(events)
    assert at_most(events, high) == pytest.approx(0.05, rel=1e-6)
    if events:
        assert 1 - at_most(events - 1, low) == pytest.approx(0.05, rel=1e-6)


def test_known_bounds_of_the_literature_come_out() -> None:
    assert intervals.rate(0, 100).high == pytest.approx(0.02634, abs=1e-5)
    assert intervals.rate(5, 10) == pytest.approx((0.26927, 0.73073), abs=1e-5)
    assert intervals.count(0).high == pytest.approx(2.99573, abs=1e-5)
    assert intervals.count(10) == pytest.approx((5.42541, 16.96222), abs=1e-5)
    assert intervals.count(200_000).low == pytest.approx(200_000 - 1.645 * math.sqrt(200_000), rel=1e-4)
    assert (intervals.size_for_quantile(0.95), intervals.size_for_rate(0.03)) == (59, 88)


@pytest.mark.parametrize("size", [2, 10, 58, 59, 100, 1_000])
def test_the_ranks_of_a_quantile_are_the_tightest_that_hold(size: int) -> None:
    low, high = intervals.quantile_ranks(size, 0.95)
    if low is not None:  # the value of rank low + 1 lies below the quantile in 95 % of samples
        assert _binomial_tail(low + 1, size, 0.95) >= 0.95 > _binomial_tail(low + 2, size, 0.95)
    if high is not None:
        assert _binomial_tail(high + 1, size, 0.95) <= 0.05
    assert (high is None) == (size < 59)


def test_bounds_of_a_p95_are_wrong_no_more_often_than_promised() -> None:
    draw = random.Random(5)
    truth, wrong_low, wrong_high, trials = -math.log(0.05), 0, 0, 2_000
    for _ in range(trials):
        times = sorted(draw.expovariate(1) for _ in range(120))
        low, high = limits.bounds(times)
        assert low is not None
        assert high is not None
        wrong_low += low > truth
        wrong_high += high < truth
    assert wrong_low / trials < 0.06
    assert wrong_high / trials < 0.06


@pytest.mark.parametrize(
    ("hits", "count", "state", "needed"),
    [
        (0, 0, UNKNOWN, 88),
        (0, 87, UNKNOWN, 1),
        (0, 88, OK, 0),
        (2, 96, OK, 0),
        (4, 100, UNKNOWN, 34),  # over the limit, and chance may do it
        (7, 96, BREACH, 0),
        (100, 100, BREACH, 0),
    ],
)
def test_a_rate_is_judged_by_its_lower_bound(hits: int, count: int, state: str, needed: int) -> None:
    found = limits.rate("agentFailureRate", "qa", hits, count, 0.03, "HIGH")
    assert (found.state, found.needed) == (state, needed)
    assert (f"{needed} more run" in found.message) == (needed > 0)
    more = limits.rate("agentFailureRate", "qa", hits, count + needed, 0.03, "HIGH")
    assert more.state == (BREACH if state == BREACH else OK), "what was asked for is enough"


def test_where_none_may_fail_one_is_proof() -> None:
    found = limits.rate("agentFailureRate", "qa", 1, 1, 0, "HIGH")
    assert (found.state, found.certain, found.needed) == (BREACH, True, 0)
    assert limits.rate("agentFailureRate", "qa", 0, 1, 0, "HIGH").state == OK


@given(st.integers(0, 2_000), st.data(), st.sampled_from((0.0, 0.01, 0.05, 0.3, 1.0)))
def test_no_rate_is_within_and_over_its_limit_at_once(count: int, data: st.DataObject, limit: float) -> None:
    hits = data.draw(st.integers(0, count))
    found = limits.rate("r", "", hits, count, limit, "LOW")
    if found.state == BREACH:
        assert found.low is not None
        assert found.low > limit
        assert not found.clear
    if found.state == OK:
        assert hits <= limit * count
        assert found.needed == 0


def test_a_p95_is_judged_by_the_runs_over_it() -> None:
    quick, slow = [1.0] * 95, [50.0] * 5
    assert limits.p95("t", "", quick + slow, 10, "MEDIUM").state == OK
    just = limits.p95("t", "", [1.0] * 93 + [50.0] * 7, 10, "MEDIUM")
    assert (just.state, just.value, just.low, just.needed > 0) == (UNKNOWN, 50.0, 1.0, True)
    over = limits.p95("t", "", [1.0] * 80 + [50.0] * 20, 10, "MEDIUM")
    assert (over.state, over.severity, over.certain) == (BREACH, "HIGH", True)
    assert limits.p95("t", "", [50.0], 10, "MEDIUM").state == UNKNOWN, "one slow run proves nothing"
    assert limits.p95("t", "", [1.0] * 20, 10, "MEDIUM").needed == 39


def test_an_hour_of_errors_is_judged_by_what_chance_can_do() -> None:
    assert [limits.errors("e", "", n, 10, "HIGH", "now").state for n in (0, 10, 11, 15, 16, 60)] == [
        OK, OK, UNKNOWN, UNKNOWN, BREACH, BREACH,
    ]  # fmt: skip
    assert limits.errors("e", "", 60, 10, "HIGH", "now").severity == "CRITICAL"


def _summary(
    hooks: Iterable[HookFigures] = (), agents: Iterable[AgentFigures] = (), errors: Iterable[ErrorHour] = (),
    sessions: SessionFigures = NO_SESSIONS, window: Window = DAY,
) -> Summary:  # fmt: skip
    return Summary(window, list(hooks), list(agents), list(errors), [], sessions, 0, 0, NOW_MS)


def _hook(name: str, calls: int, failures: int = 0, p95_ms: float | None = 1.0) -> HookFigures:
    timed = 0 if p95_ms is None else calls
    return HookFigures(name, calls, failures, 0, timed, p95_ms, p95_ms, p95_ms, p95_ms, NOW_MS)


def _agent(name: str, runs: int, failures: int, cancelled: int = 0) -> AgentFigures:
    return AgentFigures(name, runs, failures, cancelled, 0, 1.0, 1.0, NOW_MS)


def _context(studio: Studio, environment: Environment = Environment.STAGING, *sets: str) -> Context:
    return open_context(Project(studio.path), Choice(environment, "--env"), {}, sets)


def _found(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    return {f"{one.rule} {one.label}".rstrip(): one for one in verdicts}


def test_staging_is_held_to_twice_the_limits_of_production_and_development_to_none(staged: Studio) -> None:
    figures = _summary([_hook("guard", 1_000, 80)], [_agent("qa", 1_000, 45)])
    states = {}
    for environment in Environment:
        found = _found(rules.verdicts(_context(staged, environment), figures))
        states[environment] = [
            found[name].state if name in found else None for name in ("hookFailureRate guard", "agentFailureRate qa")
        ]
    assert states == {
        Environment.DEVELOPMENT: [None, None],
        Environment.STAGING: [OK, OK],
        Environment.PRODUCTION: [BREACH, BREACH],
    }
    assert rules.verdicts(_context(staged, Environment.DEVELOPMENT), figures) == []
    assert rules.verdicts(_context(staged, Environment.STAGING, "monitoring.enabled=false"), figures) == []


def test_a_limit_of_the_configuration_counts_and_unlimited_is_none(staged: Studio) -> None:
    figures = _summary([_hook("guard", 1_000, 20)])
    own = _context(staged, Environment.STAGING, "monitoring.thresholds.hookFailureRate=1")
    assert _found(rules.verdicts(own, figures))["hookFailureRate guard"].state == BREACH
    none = _context(staged, Environment.STAGING, "monitoring.thresholds.hookFailureRate=null")
    assert not any(name.startswith("hookFailureRate") for name in _found(rules.verdicts(none, figures)))


def test_runs_that_a_person_cancelled_are_not_in_the_rate(staged: Studio) -> None:
    found = _found(rules.verdicts(_context(staged), _summary(agents=[_agent("qa", 1_000, 40, cancelled=900)])))
    assert (found["agentFailureRate qa"].value, found["agentFailureRate qa"].state) == (0.4, BREACH)


def test_decision_hooks_have_a_limit_of_their_own(staged: Studio) -> None:
    times = {"decide": [60.0] * 500, "guard": [60.0] * 500}
    figures = _summary([_hook(name, 500, p95_ms=60.0) for name in times])
    found = _found(rules.verdicts(_context(staged), figures, durations=lambda *_: times))
    assert found["hookExecutionTimeMs decide"].state == OK
    assert found["hookExecutionTimeMs guard"].state == BREACH
    assert found["hookExecutionTimeMs"].count == 500, "all together are those under the common limit"


def test_one_hook_that_fails_is_one_alert_and_many_that_fail_a_little_are_one_too(staged: Studio) -> None:
    one = _found(rules.verdicts(_context(staged), _summary([_hook("bad", 100, 60), _hook("good", 100, 0)])))
    assert (one["hookFailureRate bad"].alerting, one["hookFailureRate"].alerting) == (True, False)
    many = _found(rules.verdicts(_context(staged), _summary([_hook(f"h{n}", 10, 2) for n in range(40)])))
    assert (many["hookFailureRate"].state, many["hookFailureRate"].alerting) == (BREACH, True)


def test_a_burst_that_the_day_hides_is_seen(staged: Studio) -> None:
    hour = Window(NOW_MS - 3_600_000, NOW_MS)
    day, last = _summary([_hook("guard", 5_000, 6)]), _summary([_hook("guard", 6, 6)], window=hour)
    found = _found(rules.verdicts(_context(staged), day, last))
    assert (found["hookFailureRate guard"].state, found["hookFailureBurst guard"].state) == (OK, BREACH)
    single = _summary([_hook("guard", 1, 1)], window=hour)
    assert _found(rules.verdicts(_context(staged), day, single))["hookFailureBurst guard"].state == OK


def test_errors_that_do_not_count_do_not_and_the_worst_hour_is_only_shown(staged: Studio) -> None:
    this = NOW_MS // 3_600_000 * 3_600_000
    figures = _summary(errors=[ErrorHour(this, "LOW", 500), ErrorHour(this - 10 * 3_600_000, "HIGH", 90)])
    found = _found(rules.verdicts(_context(staged), figures))
    assert (found["errorRatePerHour"].state, found["errorRatePerHour"].value) == (OK, 0)
    worst = found["errorRatePerHour worst hour"]
    assert (worst.state, worst.alerting) == (BREACH, False)


def test_hooks_that_fall_silent_while_prompts_go_on_are_missed(staged: Studio) -> None:
    hour = Window(NOW_MS - 3_600_000, NOW_MS)
    day = _summary([_hook("guard", 400)], sessions=SessionFigures(1, 0, 44, 1))
    silent = _summary(sessions=SessionFigures(0, 0, 4, 1), window=hour)
    assert _found(rules.verdicts(_context(staged), day, silent))["silence hooks"].state == BREACH
    rare = _summary([_hook("guard", 20)], sessions=SessionFigures(1, 0, 44, 1))
    assert _found(rules.verdicts(_context(staged), rare, silent))["silence hooks"].state == OK, "two were due: chance"
    nobody = _summary(sessions=SessionFigures(0, 0, 0, 0), window=hour)
    assert _found(rules.verdicts(_context(staged), day, nobody))["silence hooks"].state == OK


def test_what_cannot_be_looked_at_is_unknown_and_blinds_nothing_else(staged: Studio) -> None:
    staged.write(".agent-studio/staging/ingest.sqlite3", b"no database" * 1_000)
    staged.write(".claude/config.staging.yaml", "environment: staging\ncost: {budgets: [{per: fortnight, usd: 1}]}\n")
    found = _found(rules.verdicts(_context(staged), _summary([_hook("guard", 100, 90)])))
    assert found["hookFailureRate guard"].state == BREACH
    assert (found["budget"].state, found["silence"].state) == (UNKNOWN, UNKNOWN)
    assert "fortnight" in found["budget"].message


def _events(studio: Studio, *events: Mapping[str, Any], ago: timedelta) -> None:
    at_ns = int((NOW - ago).timestamp() * 1e9)
    lines = "".join(
        json.dumps({"ts": at_ns + number, "pid": 1, "kind": "hook", "payload": event}) + "\n"
        for number, event in enumerate(events)
    )
    with (studio.path / ".claude/staging/metrics/events.jsonl").open("a") as file:
        file.write(lines)


def test_a_line_that_a_killed_recorder_left_torn_waits_for_nobody(staged: Studio) -> None:
    _events(staged, {"hook_event_name": "Stop", "session_id": "s1"}, ago=timedelta(hours=2))
    assert staged.run("ingest", *STAGING).code == 0
    inbox = staged.path / ".claude/staging/metrics/events.jsonl"
    torn = json.dumps({"ts": int((NOW - timedelta(hours=2)).timestamp() * 1e9), "pid": 1}).encode()
    with inbox.open("ab") as file:
        file.write(torn)
    assert _found(rules.verdicts(_context(staged), _summary()))["ingest"].state == OK
    with inbox.open("ab") as file:
        file.write(b"\n")
    assert _found(rules.verdicts(_context(staged), _summary()))["ingest"].state == BREACH


def test_an_agent_that_started_and_never_stopped_is_missed(staged: Studio) -> None:
    common = {"session_id": "s1", "cwd": "/x", "transcript_path": str(staged.path / "none.jsonl")}
    _events(
        staged,
        {**common, "hook_event_name": "SessionStart", "source": "startup"},
        {**common, "hook_event_name": "SubagentStart", "agent_id": "a1", "agent_type": "architect"},
        ago=timedelta(hours=3),
    )
    assert _found(rules.verdicts(_context(staged), _summary()))["ingest"].state == BREACH, "it waits for three hours"
    assert staged.run("ingest", *STAGING).code == 0
    found = _found(rules.verdicts(_context(staged), _summary()))
    assert (found["silence architect"].state, found["ingest"].state) == (BREACH, OK)
    assert found["silence architect"].value == pytest.approx(180, abs=2)
    slow = AgentFigures("architect", 9, 0, 0, 0, 1.0, 2 * 3_600_000, NOW_MS)
    usual = _found(rules.verdicts(_context(staged), _summary(agents=[slow])))
    assert usual["silence architect"].state == OK, "one that takes hours may"
    _events(
        staged, {**common, "hook_event_name": "SubagentStop", "agent_id": "a1"},
        {**common, "hook_event_name": "SessionEnd", "reason": "exit"}, ago=timedelta(minutes=1),
    )  # fmt: skip
    assert staged.run("ingest", *STAGING).code == 0
    assert "silence architect" not in _found(rules.verdicts(_context(staged), _summary()))


def _spend(studio: Studio, tokens: int) -> None:
    done = studio.run(
        "cost", "record", *STAGING, "--model", "claude-opus-5-5", "--output-tokens", str(tokens), "--input-tokens", "0",
    )  # fmt: skip
    assert done.code == 0, done.err


def test_a_budget_warns_before_it_is_used_up(staged: Studio) -> None:
    sets = ("monitoring.thresholds.tokenBudgetPerDay=1000",)
    seen = []
    for tokens in (500, 350, 200):
        _spend(staged, tokens)
        one = _found(rules.verdicts(_context(staged, Environment.STAGING, *sets), _summary()))["tokenBudgetPerDay"]
        seen.append((one.value, one.state, one.warns, one.severity))
    assert seen == [(500, OK, False, "LOW"), (850, OK, True, "MEDIUM"), (1050, BREACH, False, "HIGH")]
    assert staged.json("cost", "budget", *STAGING, "--set", sets[0])["notices"], "looking has noticed nothing away"


def test_each_limit_of_a_budget_has_an_alert_of_its_own(staged: Studio) -> None:
    _spend(staged, 1_000)
    entries = "[{name: team, per: day, usd: 0.0001, tokens: 1000000}, {name: other, per: day, usd: 9}]"
    staged.write(".claude/config.staging.yaml", f"environment: staging\ncost: {{budgets: {entries}}}\n")
    context = _context(staged)
    found = {one.label: one.state for one in rules.verdicts(context, _summary()) if one.rule == "budget"}
    assert found == {"team, $0.0001 per day": BREACH, "team, 1,000,000 tokens per day": OK, "other": OK}
    fired = [one.label for one in alerts.evaluate(context, rules.verdicts(context, _summary()))]
    assert fired == ["team, $0.0001 per day"]


def _ledger(studio: Studio) -> bytes:
    return (studio.path / ".claude/staging/metrics/llm-usage.log").read_bytes()


@pytest.mark.parametrize("damage", ["changed", "cut", "rewritten", "grown", "removed first"])
def test_a_ledger_that_was_touched_is_seen_and_stays_seen(staged: Studio, damage: str) -> None:
    for _ in range(4):
        _spend(staged, 10)
    context = _context(staged)
    assert ledger_tail.look(context) == (4, "")
    whole = _ledger(staged)
    lines = whole.splitlines(keepends=True)
    if damage == "changed":
        data = whole.replace(b'"outputTokens":10', b'"outputTokens":99', 1)
    elif damage == "cut":
        data = b"".join(lines[:2])
    elif damage == "removed first":
        data = b"".join(lines[1:])
    else:
        head, parts = chain.Head(), []
        for line in (*lines, *(lines[-1:] if damage == "grown" else ())):
            body = json.loads(line.rpartition(b',"_seq":')[0] + b"}")
            made, head = chain.seal(head, {**body, "outputTokens": 1})
            parts.append(made)
        data = b"".join(parts)
    staged.write(".claude/staging/metrics/llm-usage.log", data)
    assert ledger_tail.look(context).fault
    assert ledger_tail.look(context).fault, "a second look forgets nothing"
    found = _found(rules.verdicts(context, _summary()))["ledger"]
    assert (found.state, found.severity) == (BREACH, "CRITICAL")
    staged.write(".claude/staging/metrics/llm-usage.log", whole + b'{"torn')
    assert ledger_tail.look(context) == (4, ""), "a line that is being written is no damage"


def test_a_ledger_that_a_reset_moved_aside_whole_is_not_missed(staged: Studio) -> None:
    for _ in range(4):
        _spend(staged, 10)
    assert ledger_tail.look(_context(staged)) == (4, "")
    assert staged.run("cost", "verify", *STAGING).code == 0
    assert staged.json("cost", "report", *STAGING)
    assert staged.run("init", "--reset", "--yes", *STAGING, "--set", "testData.artifactsCount=0").code == 0
    assert ledger_tail.look(_context(staged)) == (0, "")
    assert staged.run("alerts", "list", *STAGING).code == 0
    told = staged.json("cost", "verify", *STAGING)
    report = staged.run("cost", "report", *STAGING)
    assert (report.code, report.err) == (0, "")
    (archived,) = (staged.path / ".agent-studio/staging/archive").iterdir()
    assert [told["verdict"], *(one.rpartition(": ")[2] for one in told["returns"])] == [
        "PASS", f"it is in {archived}/metrics"
    ]  # fmt: skip
    for _ in range(5):
        _spend(staged, 20)
    assert ledger_tail.look(_context(staged)) == (5, "")
    assert staged.run("cost", "verify", *STAGING).code == 0
    staged.write(".claude/staging/metrics/llm-usage.log", _ledger(staged).splitlines(keepends=True)[0])
    assert ledger_tail.look(_context(staged)).fault == "records 2 to 5 of the ledger are gone"
    assert staged.run("cost", "verify", *STAGING).code == 8
    (archived / "metrics/llm-usage.log").unlink()
    assert ledger_tail.look(_context(staged)).fault


def test_a_ledger_that_grows_past_one_look_is_followed(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    context = _context(staged)
    monkeypatch.setattr(ledger_tail, "_TAIL_BYTES", 2_000)
    for _ in range(3):
        for _ in range(6):
            _spend(staged, 10)
        found = ledger_tail.look(context)
        assert not found.fault
        assert 1 <= found.checked < 6
    assert ledger.head(context.root).seq == 18


def _hooks(studio: Studio, runs: Iterable[tuple[str, str, float]]) -> None:
    lines = []
    for number, (hook, status, duration_ms) in enumerate(runs):
        at = clock.timestamp(datetime.now(UTC) - timedelta(seconds=number + 1))
        lines.append({
            "timestamp": at, "hook": hook, "event": "PreToolUse", "tool": "Bash", "executionTimeMs": duration_ms,
            "status": status, "sessionId": "s", "agent": None, "metadata": {}, "eventId": f"{number:032x}",
            "environment": "staging", "release": None,
        })  # fmt: skip
    lines.reverse()
    studio.write(".claude/staging/metrics/hooks.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def test_one_look_goes_from_the_journals_to_verdicts(staged: Studio) -> None:
    _hooks(
        staged, [("slow", "success", 60.0 if n % 4 else 5.0) for n in range(200)] + [("quick", "success", 2.0)] * 200
    )
    found = _found(watch.look(_context(staged)).verdicts)
    assert (found["hookExecutionTimeMs slow"].state, found["hookExecutionTimeMs quick"].state) == (BREACH, OK)
    assert (found["hookExecutionTimeMs slow"].low, found["hookExecutionTimeMs slow"].value) == (60.0, 60.0)
    assert found["hookExecutionTimeMs"].count == 400


@pytest.mark.parametrize(("hits", "count", "state"), [(1, 1, UNKNOWN), (1, 3, UNKNOWN), (2, 2, BREACH), (1, 6, BREACH)])
def test_of_one_failure_in_a_few_runs_nothing_follows(hits: int, count: int, state: str) -> None:
    found = limits.rate("agentFailureRate", "a", hits, count, 0.03, "HIGH")
    assert (found.state, found.severity) == (state, "CRITICAL" if hits > 1 else "HIGH")
