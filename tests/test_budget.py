"""Budgets: what is used, when it will be gone, each crossing noticed once, and a gate."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.cost import spending
from agent_studio.cost.budgets import faults
from agent_studio.cost.periods import Zone, zone

if TYPE_CHECKING:
    from tests.conftest import Studio

STAGING = ("--env", "staging")
NOW = datetime.now(UTC)


def _budgets(studio: Studio, *entries: str) -> None:
    listed = "".join(f"    - {entry}\n" for entry in entries)
    limit = "monitoring: {thresholds: {tokenBudgetPerDay: 1000000000}}"
    text = f"environment: staging\n{limit}\ncost:\n  budgets:\n{listed}"
    studio.write(".claude/config.staging.yaml", text)


def _calls(studio: Studio, *calls: dict[str, Any]) -> None:
    plain = {"model": "claude-opus-5-5", "inputTokens": 0, "timestamp": clock.timestamp(NOW)}
    text = "".join(json.dumps({**plain, **call}) + "\n" for call in calls)
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", "cost", "record", *STAGING, "--stdin"], cwd=studio.path, input=text,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _found(studio: Studio, *more: str) -> dict[str, dict[str, Any]]:
    told = studio.run("cost", "budget", *STAGING, "--json", *more).data["budgets"]
    return {f"{one['name']} {one['key']}".strip(): one for one in told}


def test_each_scope_counts_what_is_its_own(staged: Studio) -> None:
    _budgets(
        staged,
        "{name: all, per: day, usd: 10}",
        "{name: architect, per: day, usd: 10, agent: architect}",
        "{name: opus, per: day, tokens: 1000, model: 'claude-opus*'}",
        "{name: each, per: total, tokens: 500, agent: '*'}",
        "{name: sessions, per: session, tokens: 100}",
    )
    _calls(
        staged,
        {"outputTokens": 100_000, "agent": "architect", "sessionId": "one"},
        {"outputTokens": 50, "agent": "qa", "sessionId": "two"},
        {
            "model": "claude-haiku-5-5",
            "inputTokens": 30,
            "cacheReadTokens": 9_000,
            "cacheWrite5mTokens": 20,
            "sessionId": "two",
        },
        {"outputTokens": 100_000, "timestamp": clock.timestamp(NOW - timedelta(days=40))},
    )
    found = _found(staged)
    assert found["all"]["used"] == pytest.approx(2 + 0.001 + 0.0000955)
    assert found["architect"]["used"] == 2
    assert found["opus"]["used"] == 100_050
    assert {name: one["used"] for name, one in found.items() if name.startswith(("each", "sessions"))} == {
        "each architect": 100_000, "each qa": 50, "each -": 100_050, "sessions one": 100_000, "sessions two": 100,
    }  # fmt: skip
    assert found["all"]["remaining"] == pytest.approx(10 - found["all"]["used"])


def test_the_gate_refuses_when_one_is_over_and_when_there_is_none(staged: Studio) -> None:
    _budgets(staged, "{name: day, per: day, usd: 1}", "{name: month, per: month, usd: 100}")
    assert staged.run("cost", "budget", "check", *STAGING).code == 0
    _calls(staged, {"outputTokens": 45_000})
    warned = staged.run("cost", "budget", "check", *STAGING)
    assert (warned.code, "90 %" in warned.err) == (0, True)
    assert staged.run("cost", "budget", "check", *STAGING, "--warn-as-error").code == 1
    _calls(staged, {"outputTokens": 10_000})
    over = staged.run("cost", "budget", "check", *STAGING)
    assert over.code == 1
    assert "day: $1.10 of $1.00 used, 110 %" in over.err
    assert staged.run("cost", "budget", "check", *STAGING, "--name", "month").code == 0
    assert staged.run("cost", "budget", *STAGING).code == 0, "only check is a gate"
    unlimited = {"AGENT_STUDIO_ENV": "development"}
    staged.write(".claude/config.yaml", "environments: {development: {root: .claude/development}}\n")
    assert staged.run("init", "--env", "development").code == 0
    assert staged.run("cost", "budget", "check", variables=unlimited).code == 3


def test_tokens_without_a_price_are_said_beside_a_budget_in_usd(staged: Studio) -> None:
    _budgets(staged, "{name: day, per: day, usd: 1, warnAt: [10]}")
    _calls(staged, {"outputTokens": 10_000}, {"model": "house-model", "outputTokens": 7})
    found = staged.run("cost", "budget", *STAGING, "--json")
    assert found.data["budgets"][0]["unpricedTokens"] == 7
    assert "at least $0.20 of $1.00" in staged.run("cost", "budget", *STAGING).err


def test_the_built_in_budget_is_the_threshold(staged: Studio) -> None:
    staged.write(
        ".claude/config.staging.yaml", "environment: staging\nmonitoring: {thresholds: {tokenBudgetPerDay: 100}}\n"
    )
    _calls(staged, {"outputTokens": 101, "cacheReadTokens": 5_000})
    found = _found(staged)["tokenBudgetPerDay"]
    assert (found["used"], found["limit"], found["level"]) == (101, 100, 100)


def test_each_crossing_is_noticed_once_by_however_many_look(staged: Studio) -> None:
    _budgets(staged, "{name: day, per: day, usd: 1, warnAt: [50, 80, 100]}")
    _calls(staged, {"outputTokens": 30_000})
    command = [sys.executable, "-m", "agent_studio", "cost", "budget", *STAGING, "--json"]
    running = [subprocess.Popen(command, cwd=staged.path, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [json.loads(one.communicate()[0])["data"]["notices"] for one in running]
    assert sorted(len(notices) for notices in told) == [0, 0, 0, 1]
    _calls(staged, {"outputTokens": 30_000})
    levels = [notice["level"] for notice in staged.run("cost", "budget", *STAGING, "--json").data["notices"]]
    assert levels == [80, 100]
    assert staged.run("cost", "budget", *STAGING, "--json").data["notices"] == []


def test_the_status_line_shows_what_is_left(staged: Studio) -> None:
    _budgets(staged, "{name: day, per: day, usd: 1}", "{name: agent, per: day, usd: 0.1, agent: qa}")
    _calls(staged, {"outputTokens": 30_000})
    staged.write(".agent-studio/staging/status.json", '{"openAlerts": 2, "budgetLeftUsd": null, "updatedAt": ""}')
    staged.run("cost", "budget", *STAGING)
    held = json.loads((staged.path / ".agent-studio/staging/status.json").read_text())
    assert (held["budgetLeftUsd"], held["openAlerts"]) == ("0.4", 2)
    for name in ("agent", "day"):
        staged.run("cost", "budget", "check", *STAGING, "--name", name)
        told = json.loads((staged.path / ".agent-studio/staging/status.json").read_text())
        assert told == held, f"only {name} was asked about"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{usd: 1}", "`per` is missing"),
        ("{per: dya, usd: 1}", 'did you mean "day"?'),
        ("{per: day}", "no limit"),
        ("{per: day, usd: -1}", "`usd` is -1"),
        ("{per: day, usd: .nan}", "`usd` is nan"),
        ('{per: day, usd: "5"}', "`usd` is '5'"),
        ('{per: day, tokens: "2000"}', "`tokens` is '2000'"),
        ("{per: day, usd: 1, warnAt: [0.5]}", "`warnAt`"),
        ("{per: day, tokens: 1.5}", "`tokens` is 1.5"),
        ("{per: day, tokens: true}", "`tokens` is True"),
        ("{per: day, usd: 1, warnAt: [0]}", "`warnAt`"),
        ("{per: day, usd: 1, agnet: qa}", 'did you mean "agent"?'),
        ("{per: day, usd: 1, timezone: Europe/Berln}", 'did you mean "Europe/Berlin"?'),
        ("{per: day, usd: 1, onFailure: closed}", "`action: block`"),
        ("{per: day, usd: 1, environment: production}", "does not share"),
        ("7", "a list of mappings"),
    ],
)
def test_a_wrong_budget_is_one_clear_error(staged: Studio, entry: str, said: str) -> None:
    _budgets(staged, "{per: day, usd: 1}", entry)
    done = staged.run("cost", "budget", *STAGING)
    assert done.code == 2
    assert said in done.err
    if entry != "7":
        assert "cost.budgets[1]" in done.err
        checked = staged.run("config", "check", *STAGING)
        assert (checked.code, said in checked.out + checked.err) == (2, True)


BERLIN = Zone("Europe/Berlin", ZoneInfo("Europe/Berlin"))


@given(st.integers(1_704_067_200_000, 1_893_456_000_000), st.sampled_from(("day", "week", "month")))
def test_periods_follow_each_other_without_a_gap(at_ms: int, per: str) -> None:
    start, end = spending.span(per, BERLIN, at_ms)
    assert end is not None
    assert start <= at_ms < end
    assert spending.span(per, BERLIN, end)[0] == end
    assert spending.span(per, BERLIN, start) == (start, end)
    hours = (end - start) / 3_600_000
    assert (
        hours
        in {
            "day": {23, 24, 25},
            "week": {167, 168, 169},
            "month": {h + d for h in (672, 696, 720, 744) for d in (-1, 0, 1)},
        }[per]
    )


def test_a_forecast_is_a_range_of_both_paces(staged: Studio) -> None:
    _budgets(staged, "{name: month, per: total, usd: 100}")
    days = [{"outputTokens": 50_000, "timestamp": clock.timestamp(NOW - timedelta(days=day))} for day in range(20)]
    _calls(staged, *days)
    forecast = _found(staged)["month"]["forecast"]
    left_days = 80 / 1.0
    latest = datetime.fromisoformat(forecast["latest"])
    assert NOW + timedelta(days=left_days * 0.8) < latest < NOW + timedelta(days=left_days * 1.1)
    assert datetime.fromisoformat(forecast["earliest"]) <= latest


def test_of_too_little_nothing_is_forecast(staged: Studio) -> None:
    _budgets(staged, "{name: all, per: total, usd: 100}")
    _calls(staged, {"outputTokens": 50_000}, {"outputTokens": 50_000})
    assert _found(staged)["all"]["forecast"] is None


@given(
    st.dictionaries(
        st.text(max_size=8), st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.lists(st.integers()))
    )
)
def test_no_entry_breaks_the_check(entry: dict[str, Any]) -> None:
    assert faults({"per": "day", "usd": 1, **entry}) is not None
    assert zone("UTC").name == "UTC"
