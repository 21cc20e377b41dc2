"""`--from fleet`: figures, alerts, costs, the gate and the page of all machines, by the public commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests import fleet_servers
from tests.burnin_world import BurninWorld
from tests.conftest import until
from tests.fleet_rows import row

from agent_studio.fleet.address import address
from agent_studio.fleet.batch import Batch
from agent_studio.fleet.engines.opening import opened
from agent_studio.fleet.source import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Finished, Studio
    from tests.release_world import World

    from agent_studio.fleet.batch import Row

HOUR = 3_600_000
PICO = 10**12


class Fleet:
    """An engine, and a project that reads from it."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.project = studio, studio.path.name
        self.engine = fleet_servers.postgresql_server().database()
        self._count = 0
        with self._opened() as engine:
            engine.init(90)

    def _opened(self) -> Any:
        from agent_studio.environment.context import open_context
        from agent_studio.environment.detect import Choice, Environment
        from agent_studio.environment.roots import Project

        choice = Choice(Environment.STAGING, "--env")
        config = open_context(Project(self.studio.path), choice, {}, [f"{KEY}={self.engine}"]).config
        where = address(config, KEY, {"AGENT_STUDIO_FLEET_PASSWORD": fleet_servers.PASSWORD})
        return opened(where, self.project)

    def row(self, table: str, at_ms: int, **values: Any) -> Row:
        self._count += 1
        return row(table, self._count, at_ms, project=self.project, **values)

    def send(self, **rows: list[Row]) -> None:
        with self._opened() as engine:
            engine.insert(Batch(self.project, "ci-1", rows))

    def run(self, *arguments: str, env: str | None = "staging") -> Finished:
        chosen = ("--env", env) if env else ()
        return self.studio.run(*arguments, *self.options, *chosen)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--from", "fleet", "--set", f"{KEY}={self.engine}")


@pytest.fixture
def fleet(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("AGENT_STUDIO_FLEET_PASSWORD", fleet_servers.PASSWORD)
    return Fleet(staged)


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def hooks(fleet: Fleet, many: int, *, failed: int = 0, **values: Any) -> list[Row]:
    """Runs of a hook in the last hour, some of which failed."""
    now = now_ms()
    return [
        fleet.row("hooks", now - 1_000 - number * 60, hook="lint", event="Stop", duration_ms=5.0,
                  status="failure" if number < failed else "success", session_id="s1", **values)
        for number in range(many)
    ]  # fmt: skip


def test_figures_are_of_all_machines_and_say_so(fleet: Fleet) -> None:
    fleet.send(hooks=[*hooks(fleet, 30), *hooks(fleet, 12, machine="ci-2")])
    found = fleet.run("monitor", "--json")
    assert (found.code, found.err) == (0, "")
    assert (found.data["from"], found.data["totals"]["calls"]) == ("fleet", 42)
    assert (found.data["waitingBytes"], found.data["unrouted"]) == (None, None)
    assert "from the fleet" in fleet.run("monitor").out
    own = fleet.studio.run("monitor", "--env", "staging", "--json").data
    assert (own["from"], own["totals"]["calls"]) == ("journals", 0)
    trends = fleet.run("monitor", "--trends", "--json").data
    assert (trends["from"], sum(day["calls"] for day in trends["days"])) == ("fleet", 42)
    compared = fleet.studio.json("monitor", "compare", "staging", "production", *fleet.options)
    (calls,) = (
        one["a"]["count"] for one in compared["metrics"] if (one["rule"], one["label"]) == ("hookFailureRate", "")
    )
    assert (compared["from"], calls) == ("fleet", 42)


def test_alerts_on_the_fleet_are_kept_apart_from_those_of_this_machine(fleet: Fleet) -> None:
    fleet.send(hooks=hooks(fleet, 60, failed=60))
    for _ in range(2):
        found = fleet.run("monitor", "--alerts", "--json")
    assert found.code == 1
    assert {"hookFailureRate"} <= {one["rule"] for one in found.data["alerts"] if one["open"]}
    state = fleet.studio.path / ".agent-studio/staging"
    assert (state / "fleet/alerts.jsonl").exists()
    assert not (state / "alerts.jsonl").exists()
    own = fleet.studio.run("monitor", "--env", "staging", "--alerts", "--json")
    assert (own.code, own.data["alerts"]) == (0, [])


def usage(fleet: Fleet, response: str, seq: int, tokens: int, **values: Any) -> Row:
    counts = dict.fromkeys(
        ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "web_searches", "output_tokens"), 0
    )
    told = {"provider": "anthropic", "model": "opus", "session_id": "s1", "pico_usd": tokens * PICO, **counts, **values}
    return fleet.row("usage", now_ms() - HOUR, response=response, seq=seq, input_tokens=tokens, **told)


def test_costs_are_of_all_machines_each_response_as_it_was_told_of_last(fleet: Fleet) -> None:
    fleet.send(
        usage=[
            usage(fleet, "a", 1, 100), usage(fleet, "a", 7, 300), usage(fleet, "b", 2, 5, machine="ci-2"),
            usage(fleet, "c", 3, 1_000), usage(fleet, "c", 4, 0, source="replaced"),
            usage(fleet, "d", 1, 11, environment="production"), usage(fleet, "e", 9, 40, pico_usd=None, model="odd"),
        ]
    )  # fmt: skip
    found = fleet.run("cost", "report", "--by", "model", "--json")
    assert (found.code, found.data["from"], found.data["source"]) == (0, "fleet", "ledger")
    models = {one["model"]: (one["responses"], one["input_tokens"], one["usd"]) for one in found.data["models"]}
    assert models == {"opus": (2, 305, 305.0), "odd": (1, 40, None)}
    assert found.data["unpricedTokens"] == 40
    every = fleet.run("cost", "report", "--by", "environment", "--json").data["environments"]
    assert {one["environment"]: one["usd"] for one in every} == {"staging": 305.0, "production": 11.0}
    assert [
        one["session"]
        for one in fleet.run("cost", "report", "--by", "session", "--session", "s", "--json").data["sessions"]
    ] == ["s1"]
    assert "from the fleet" in fleet.run("cost", "report").out
    spent = fleet.run("monitor", "--json").data["totals"]
    assert (spent["tokens"], spent["costUsd"]) == (345, 305.0)


@pytest.mark.parametrize("wrong", [("--verify",), ("--source", "transcripts"), ("--all-projects",)])
def test_what_is_this_machines_own_is_not_asked_of_the_fleet(fleet: Fleet, wrong: tuple[str, ...]) -> None:
    found = fleet.run("cost", "report", *wrong)
    assert found.code == 2
    assert "leave --from fleet out" in found.err


@pytest.mark.parametrize("command", [("monitor",), ("cost", "report"), ("gate",)])
def test_without_an_engine_or_with_one_that_is_down_there_is_one_clear_error(
    fleet: Fleet, command: tuple[str, ...]
) -> None:
    found = fleet.studio.run(*command, "--from", "fleet", "--env", "staging")
    assert found.code == 2
    assert "fleet.engine is not set" in found.err
    assert ".claude/config.yaml: fleet: {engine: postgresql://HOST/DB}" in found.err
    fleet.engine = f"postgresql://postgres@127.0.0.1:{fleet_servers.free_port()}/nowhere"
    down = fleet.run(*command)
    assert down.code == 5
    assert down.err.count("error") == 1
    assert "127.0.0.1" in down.err
    assert "Traceback" not in down.err


def _observed(
    fleet: Fleet, release: str | None, since_ms: int, status: str = "success", **values: Any
) -> dict[str, list[Row]]:
    """A session that worked for a day, as another machine would have sent it."""
    session = f"of {release}"
    told = {"session_id": session, "release": release, **values}
    many = 243
    return {
        "sessions": [fleet.row("sessions", since_ms, event="start", source="startup", **told)],
        "hooks": [
            fleet.row("hooks", since_ms + number * 360_000, hook="guard", event="Stop", duration_ms=2.0,
                      status=status, **told)
            for number in range(many)
        ],
        "agents": [
            fleet.row("agents", since_ms + number * 360_000, agent="planner", duration_ms=9.0,
                      status="completed", **told)
            for number in range(many)
        ],
    }  # fmt: skip


def test_the_gate_counts_what_ran_on_all_machines_on_the_candidate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_STUDIO_FLEET_PASSWORD", fleet_servers.PASSWORD)
    fleet, burnin = Fleet(world.studio), BurninWorld(world.studio, monkeypatch)
    burnin.start()
    begun = int(burnin.now.timestamp() * 1000) + 60_000
    fleet.send(**_observed(fleet, burnin.candidate, begun, machine="ci-2"))
    fleet.send(**_observed(fleet, None, begun))
    fleet.send(**_observed(fleet, "another", begun, status="failure"))
    burnin.passes(hours=25)
    own = _requirement(world.studio.run("gate", "--json"), "burnin")
    assert own["verdict"] == "INSUFFICIENT"
    found = world.studio.run("gate", "--json", *fleet.options)
    source = {"from": "fleet", "engine": "postgresql", "project": fleet.project, "machines": 1}
    assert found.data["source"] == source
    burned = _requirement(found, "burnin")
    assert burned["verdict"] == "PASS", burned
    assert "from the fleet: project" in burned["reason"]
    kept = sorted((world.studio.path / ".agent-studio/staging/evidence").glob("burnin-*.json"))
    assert json.loads(kept[-1].read_text())["data"]["source"] == source
    assert "from the fleet" in world.studio.run("gate", *fleet.options).out


def _requirement(found: Finished, name: str) -> dict[str, Any]:
    (one,) = (one for one in found.data["requirements"] if one["name"] == name)
    return dict(one)


def test_the_gate_asks_the_fleet_about_the_working_checkout_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_STUDIO_FLEET_PASSWORD", fleet_servers.PASSWORD)
    fleet = Fleet(world.studio)
    made = world.studio.json("candidate", "create")["candidate"]
    world.studio.write(".claude/commands/ship.md", "another")
    found = world.studio.run("gate", "--candidate", made[:12], *fleet.options)
    assert found.code == 2
    assert "working checkout" in found.err


@contextmanager
def _page(fleet: Fleet) -> Iterator[str]:
    """Serve the page in a process of its own and give its address."""
    arguments = ["monitor", "web", "--port", "0", "--env", "staging", *fleet.options]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", *arguments], cwd=fleet.studio.path, env=dict(os.environ),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "dashboard: " in line, line
        yield line.partition("dashboard: ")[2].partition("/dashboard")[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def _asked(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_page_stays_when_the_engine_goes_and_says_so(fleet: Fleet) -> None:
    fleet.send(hooks=hooks(fleet, 9))
    server = fleet_servers.postgresql_server()

    def calls(url: str) -> Any:
        (own,) = (
            one
            for one in json.loads(_asked(f"{url}/api/overview")[1])["environments"]
            if one["environment"] == "staging"
        )
        return own["problem"]["message"] if own.get("problem") else (own["from"], own["totals"]["calls"])

    with _page(fleet) as url:
        assert calls(url) == ("fleet", 9)
        server.stop(signal.SIGQUIT)
        try:
            until(lambda: isinstance(calls(url), str), 60)
            assert "127.0.0.1" in calls(url)
            code, body = _asked(f"{url}/api/hooks?env=staging")
            assert (code, "127.0.0.1" in json.loads(body)["problem"]["message"]) == (503, True)
            assert _asked(f"{url}/dashboard")[0] == 200
        finally:
            server.start()
        until(lambda: calls(url) == ("fleet", 9), 60)
