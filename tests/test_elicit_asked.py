"""Elicitation with a server that answers over a wire: what is counted, what is owed, what is in the ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.client.messages_api import MessagesApi, Turn
from tests.conftest import until
from tests.elicit_world import ON, ElicitWorld, finding

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.reasoning.elicitation import draft, findings, store
from agent_studio.reasoning.elicitation.running import AT_ONCE
from agent_studio.reasoning.models.model import Request

if TYPE_CHECKING:
    from tests.conftest import Studio

pytest.importorskip("pydantic_ai")
FOUND = json.dumps({"findings": [finding()]})
PRICE = ["cost", "prices", "override", "m1", "--provider", "house", "--input", "100", "--output", "1000"]


@pytest.fixture
def world(bare: Studio) -> ElicitWorld:
    return ElicitWorld(bare)


def ask(world: ElicitWorld, api: MessagesApi, *words: str, methods: str = "pre-mortem", **options: Any) -> Any:
    endpoints = json.dumps([{"name": "house", "url": f"{api.url}/v1"}])
    return world.run(
        "run", "--method", methods, "--no-judge", "--file", "docs/plan.md", "--model", "house:m1",
        "--set", f"models.endpoints={endpoints}", *words, **options,
    )  # fmt: skip


def priced(world: ElicitWorld) -> None:
    assert world.studio.run("init", "--no-hooks").code == 0
    assert world.studio.run(*PRICE).code == 0


def kept(world: ElicitWorld) -> Path:
    return world.studio.path / ".claude/context/elicitation"


def test_nobody_is_asked_where_the_call_could_not_be_recorded(world: ElicitWorld) -> None:
    assert world.studio.run(*PRICE).code == 0
    with MessagesApi([Turn(FOUND)]).serving() as api:
        done = ask(world, api)
    (problem,) = done.envelope["problems"]
    assert (done.code, problem["hint"], api.requests) == (2, "agent-studio init --env development", [])
    assert world.run("list").data["runs"] == []


def test_calls_are_told_apart_by_no_receipt_of_a_server(world: ElicitWorld) -> None:
    priced(world)
    with MessagesApi([Turn(FOUND, headers={"request-id": "same", "x-request-id": "same"})]).serving() as api:
        done = ask(world, api, methods="pre-mortem,fmea,swot")
    assert done.data["calls"] == 3
    report = world.studio.json("cost", "report")
    assert (report["totals"]["responses"], report["totals"]["usd"]) == (3, float(done.data["costUsd"]))
    lines = (world.studio.path / ".claude/metrics/llm-usage.log").read_text().splitlines()
    assert [json.loads(line)["requestId"] for line in lines] == ["same"] * 3


def test_what_was_never_sent_is_no_call_and_no_run_of_the_session(world: ElicitWorld) -> None:
    priced(world)
    most = ("--set", "features.advancedElicitation.maxInvocationsPerSession=1", "--session", "mine")
    with MessagesApi([Turn(FOUND)]).serving() as api:
        for _ in range(2):
            refused = ask(world, api, *most, "--budget-usd", "0.000001")
            assert (refused.code, refused.data["calls"], refused.data["costUsd"]) == (1, 0, "0")
        assert ask(world, api, *most).data["calls"] == 1
        assert ask(world, api, *most).code == 2


def test_methods_wait_for_what_others_have_set_aside(world: ElicitWorld) -> None:
    priced(world)
    names = "pre-mortem,fmea,swot,inversion,what-if"
    with MessagesApi([Turn(FOUND, delay_s=0.05)]).serving() as api:
        done = ask(world, api, "--budget-usd", "6", methods=names)
    assert (done.data["calls"], done.data["refused"], len(done.data["findings"])) == (5, [], 5)


def started(world: ElicitWorld, *words: str, variables: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "elicit", "run", "--file", "docs/plan.md", "--set", ON, *words],
        cwd=world.studio.path, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_of_a_killed_run_no_more_is_counted_than_could_be_set_aside(world: ElicitWorld) -> None:
    priced(world)
    with MessagesApi([Turn(FOUND, delay_s=1)]).serving() as api:
        endpoints = json.dumps([{"name": "house", "url": f"{api.url}/v1"}])
        process = started(
            world, "--method", "pre-mortem,fmea,swot", "--model", "house:m1", "--budget-usd", "5", "--session", "mine",
            "--set", f"models.endpoints={endpoints}",
        )  # fmt: skip
        until(lambda: bool(api.requests))
        process.kill()
        process.wait(20)
    context = open_context(Project(world.studio.path), Choice(Environment.DEVELOPMENT, "test"), {}, ())
    assert 0 < store.spent_usd(context, "mine") <= 5


@pytest.mark.skipif(sys.platform != "linux", reason="a child that dies with its parent is Linux's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_client_does_not_outlive_the_run_that_asks_it(
    world: ElicitWorld, tmp_path: Path, number: signal.Signals
) -> None:
    assert world.studio.run("init", "--no-hooks").code == 0
    fake, noted, temporary = tmp_path / "bin/claude", tmp_path / "pid", tmp_path / "tmp"
    fake.parent.mkdir()
    temporary.mkdir()
    words = "--safe-mode --tools --strict-mcp-config --no-session-persistence --json-schema --max-budget-usd"
    fake.write_text(f'#!/bin/sh\n[ "$1" = --help ] && echo "{words}" && exit\necho $$ > "{noted}"\nexec sleep 60\n')
    fake.chmod(0o755)
    process = started(
        world, "--method", "fmea", "--model", "claude:haiku",
        variables={"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(temporary)},
    )  # fmt: skip
    until(lambda: noted.exists() and bool(noted.read_text().strip()))
    child = Path("/proc", noted.read_text().strip())
    process.send_signal(number)
    assert process.wait(20) == (-9 if number is signal.SIGKILL else 130)
    until(lambda: not child.exists() or "State:\tZ" in (child / "status").read_text())
    if number is not signal.SIGKILL:
        assert list(temporary.glob("agent-studio-ask-*")) == []
        assert world.run("list").data["runs"][0]["status"] == "stopped"


# --- what is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["{id}/journal.jsonl*", "runs.jsonl*"])
def test_a_journal_that_is_gone_is_missed(world: ElicitWorld, name: str) -> None:
    world.script(finding())
    run_id = world.look()["id"]
    for place in list(kept(world).glob(name.format(id=run_id))):
        place.unlink()
    words = ("run", "--method", "fmea", "--file", "docs/plan.md", "--model", "scripted:replies.json")
    assert world.run("show", run_id).code == 8
    assert world.run("apply", run_id).code == 8
    if name.startswith("runs"):
        assert world.run(*words).code == 8
        assert world.run("list").code == 8


def test_a_run_that_was_killed_before_it_was_on_record_disturbs_nobody(world: ElicitWorld) -> None:
    context = open_context(Project(world.studio.path), Choice(Environment.DEVELOPMENT, "test"), {}, ())
    store.note(context, "20260101-000000-000001", store.BEGAN, {"id": "20260101-000000-000001", "session": "s"})
    assert world.run("list").data["runs"] == []


def test_a_run_waits_for_another_of_its_session_as_long_as_that_may_take_and_for_no_other(bare: Studio) -> None:
    context = open_context(Project(bare.path), Choice(Environment.DEVELOPMENT, "test"), {}, ())
    calls = 3 + -(-2 * findings.FINDINGS_MAX * 5 // AT_ONCE)
    assert calls * Request("a", "", "").timeout_s <= store.WAIT_S
    first = draft.digest(b"0")[:2]
    alike = next(str(n) for n in range(1, 10_000) if draft.digest(str(n).encode())[:2] == first)

    def alone() -> None:
        with store.alone(context, alike):
            pass

    with store.alone(context, "0"), ThreadPoolExecutor(1) as pool:
        pool.submit(alone).result(5)


# --- cassettes ------------------------------------------------------------------------------------------------------


def test_a_run_is_replayed_from_what_was_recorded(world: ElicitWorld) -> None:
    world.script(finding())
    words = ("run", "--method", "pre-mortem", "--file", "docs/plan.md", "--model")
    recorded = world.run(*words, "record:tape.jsonl=scripted:replies.json")
    replayed = world.run(*words, "replay:tape.jsonl")
    assert (recorded.code, replayed.code) == (0, 0)
    assert replayed.data["findings"] == recorded.data["findings"]
    assert [one["state"] for one in replayed.data["findings"]] == ["offered"]


def test_a_cassette_that_cannot_be_written_is_refused_before_anybody_is_asked(world: ElicitWorld) -> None:
    for place, said in (("missing/tape.jsonl", "No such file"), (".claude/commands/x.md", "is no name of a cassette")):
        words = (
            "run",
            "--method",
            "fmea",
            "--file",
            "docs/plan.md",
            "--model",
            f"record:{place}=scripted:replies.json",
        )
        assert said in world.error(*words)
    assert world.run("list").data["runs"] == []
