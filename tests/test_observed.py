"""Observed hours, and which records are of the candidate: against a plain count of what was generated."""

from __future__ import annotations

import gzip
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.burnin_world import AGENTS, ERRORS, HOOKS, SESSIONS, BurninWorld, agent_of, error_of, hook_of

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.release.burnin.observed import Observed, observe
from agent_studio.release.statistics import observed_ms

if TYPE_CHECKING:
    from datetime import datetime

    from tests.conftest import Studio

MOMENTS = st.lists(st.integers(0, 5_000), max_size=60)
GAP = st.integers(1, 300)


@pytest.fixture
def world(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> BurninWorld:
    return BurninWorld(staged, monkeypatch)


def seen(world: BurninWorld, since: datetime, **options: Any) -> Observed:
    context = open_context(world.project, Choice(Environment.STAGING, "--env"), {})
    since_ms, now_ms = (int(one.timestamp() * 1000) for one in (since, world.now))
    options.setdefault("candidate", world.candidate)
    return observe(context, since_ms, now_ms, **options)


@given(MOMENTS, GAP)
def test_observed_time_is_the_union_of_what_follows_each_moment(moments: list[int], gap: int) -> None:
    """Every millisecond between two moments is observed when the moments on both its sides are a gap apart at most."""
    ordered = sorted(set(moments))
    truth = sum(
        1
        for at in range(min(moments, default=0), max(moments, default=0))
        if min(one for one in ordered if one > at) - max(one for one in ordered if one <= at) <= gap
    )
    assert observed_ms(moments, gap) == truth


@given(MOMENTS, GAP, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(moments: list[int], gap: int, dice: random.Random) -> None:
    shuffled = moments + dice.choices(moments, k=5) if moments else []
    dice.shuffle(shuffled)
    assert observed_ms(shuffled, gap) == observed_ms(moments, gap)


@given(MOMENTS, st.integers(0, 5_000), GAP)
def test_a_further_moment_never_takes_away(moments: list[int], further: int, gap: int) -> None:
    assert observed_ms([*moments, further], gap) >= observed_ms(moments, gap)


def test_a_gap_of_just_the_limit_counts_and_a_longer_one_does_not() -> None:
    minute = 60_000
    assert observed_ms([0, 15 * minute], 15 * minute) == 15 * minute
    assert observed_ms([0, 15 * minute + 1], 15 * minute) == 0
    assert observed_ms([0, 10 * minute, 40 * minute, 50 * minute], 15 * minute) == 20 * minute


def test_what_is_read_is_what_was_generated(world: BurninWorld) -> None:
    dice = random.Random(5)
    since = world.now
    old, other = "before", "elsewhere"
    world.session(old, since - timedelta(hours=1))
    world.session(other, since + timedelta(minutes=1), release="0" * 64)
    truth: dict[str, Any] = {"hooks": [0, 0], "agents": [0, 0], "errors": 0, "slow": 0}
    moments = []
    for number in range(6):
        name, at = f"s{number}", since + timedelta(hours=4 * number, seconds=1)
        world.session(name, at)
        moments.append(at)
        for _ in range(dice.randint(20, 60)):
            at += timedelta(minutes=dice.uniform(0.1, 20))
            moments.append(at)
            status = dice.choice(["success"] * 7 + ["blocked", "failure", "timeout"])
            ms = dice.choice([5.0, 30.0])
            world.add(HOOKS, at, **hook_of(name, ms, status))
            truth["hooks"][0] += 1
            truth["hooks"][1] += status in {"failure", "timeout"}
            truth["slow"] += ms > 20 or status == "timeout"
            ended = dice.choice(["completed", "completed", "failed", "cancelled"])
            world.add(AGENTS, at, **agent_of(name, ended))
            truth["agents"][0] += ended != "cancelled"
            truth["agents"][1] += ended == "failed"
            severity = dice.choice(["LOW", "MEDIUM", "HIGH"])
            world.add(ERRORS, at, **error_of(name, severity))
            truth["errors"] += severity != "LOW"
            for stranger in (old, other, None):
                world.add(HOOKS, at, **hook_of(stranger))
    world.now = max(moments) + timedelta(minutes=1)
    found = seen(world, since)
    assert [found.hooks.real, found.hooks.real_hits] == truth["hooks"]
    assert [found.agents.real, found.agents.real_hits] == truth["agents"]
    assert sum(found.errors.values()) == truth["errors"]
    assert found.slower_than(20).real_hits == truth["slow"]
    assert (found.sessions, found.synthetic_sessions) == (6, 0)
    expected = observed_ms([round(one.timestamp() * 1000) for one in moments], 900_000) / 3_600_000
    assert found.hours(15) == pytest.approx(expected, abs=0.001)


def test_a_session_counts_from_when_it_loaded_the_definitions(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("old", since - timedelta(minutes=1))
    starts: list[tuple[str, dict[str, Any]]] = [
        ("old", {"source": "compact"}),  # goes on with what it has loaded
        ("cleared-old", {"source": "clear"}),
        ("cleared-unknown", {"source": "clear", "ends": False}),
        ("fresh", {"source": "startup"}),
        ("resumed", {"source": "resume"}),
    ]
    for number, (name, fields) in enumerate(starts):
        at = world.passes(minutes=number + 1)
        if fields.pop("ends", fields["source"] == "clear"):
            world.add(SESSIONS, at, sessionId="old", event="end", reason="clear")
        world.session(name, at, **fields)
        for resumed in ("resumed", "old") if name == "fresh" else ():
            world.add(HOOKS, **hook_of(resumed))  # of the process that ran before it was resumed
    at = world.passes(minutes=10)
    world.add(SESSIONS, at, sessionId="fresh", event="end", reason="clear")
    world.session("cleared-fresh", at, source="clear")
    world.passes(minutes=1)
    for name in ("old", "cleared-old", "cleared-unknown", "fresh", "resumed", "cleared-fresh"):
        world.add(HOOKS, **hook_of(name))
    world.passes(minutes=1)
    found = seen(world, since)
    assert found.hooks.real == 3
    assert found.sessions == 3


def test_replayed_runs_are_told_apart_and_add_no_time(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("real")
    at = world.passes(minutes=5)
    world.session("within")  # starts while an exercise runs
    exercise = (
        int((at - timedelta(seconds=1)).timestamp() * 1000),
        int((at + timedelta(minutes=1)).timestamp() * 1000),
    )
    world.session("seeded", metadata={"synthetic": True})
    for minutes in (1, 9, 9, 9):
        world.passes(minutes=minutes)
        for name in ("within", "seeded"):
            world.add(HOOKS, **hook_of(name))
        world.add(HOOKS, **hook_of("exercise-1", status="failure", metadata={"synthetic": True}))
    world.passes(minutes=1)
    found = seen(world, since, exercises=[exercise])
    assert found.hooks == (0, 0, 12, 4)
    assert (found.sessions, found.synthetic_sessions) == (1, 2)
    assert found.moments == [int(since.timestamp() * 1000)]


def test_errors_of_no_session_count_and_those_of_older_sessions_do_not(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("mine")
    for name in ("mine", None, "older"):
        world.add(ERRORS, **error_of(name, "MEDIUM"))
    world.add(ERRORS, **error_of("mine", "LOW"))
    world.add(ERRORS, **error_of("mine", "?"))  # what cannot be ranked is not taken for harmless
    world.passes(minutes=1)
    found = seen(world, since)
    assert sum(found.errors.values()) == 3
    assert found.left_out == 1


def test_garbage_is_counted_and_nothing_else(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("mine")
    world.add(HOOKS, **hook_of("mine"))
    place = world.studio.path / ".claude/staging" / HOOKS
    with place.open("ab") as journal:
        journal.write(b'{"timestamp":"2026-01-31T09:30:00.000Z","environ\n[1]\n\xff\xfe\n{"environment":"staging"}\n')
    world.add(HOOKS, **hook_of("mine", status=["success"]))  # type: ignore[arg-type]
    world.add(HOOKS, **hook_of("mine", ms="soon"))  # type: ignore[arg-type]
    world.add(HOOKS, **hook_of({"a": 1}))  # type: ignore[arg-type]
    world.add(HOOKS, world.now + timedelta(days=1), **hook_of("mine"))
    world.passes(minutes=1)
    found = seen(world, since)
    assert (found.damaged, found.future, found.left_out) == (4, 1, 1)
    assert (found.hooks.real, found.hooks.real_hits) == (3, 1)
    assert len(found.real_ms) == 2


def test_closed_days_count_as_the_running_one(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("mine")
    world.work(1, every_minutes=1, session="mine")
    expected = seen(world, since)
    folder = world.studio.path / ".claude/staging/metrics"
    data = (folder / "hooks.jsonl").read_bytes()
    (folder / "hooks.2026-01-31.1.jsonl.gz").write_bytes(gzip.compress(data))
    (folder / "hooks.jsonl").write_bytes(b"")
    found = seen(world, since)
    assert found == expected
    assert found.hooks.real == 61
    (folder / "hooks.2026-01-31.1.jsonl.gz").write_bytes(gzip.compress(data)[:-20])
    assert seen(world, since).damaged > 0


def test_the_clock_is_heard_going_back(world: BurninWorld) -> None:
    since = world.passes(minutes=1)
    world.session("one", world.passes(hours=5))
    world.add(SESSIONS, world.now - timedelta(minutes=14), sessionId="one", event="prompt")
    assert seen(world, since).backward == 0
    world.add(SESSIONS, world.now, sessionId="one", event="prompt")
    world.add(SESSIONS, world.now - timedelta(minutes=16), sessionId="one", event="prompt")
    assert seen(world, since).backward == 1
