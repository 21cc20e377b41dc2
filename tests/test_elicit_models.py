"""Elicitation with models that really answer over a wire: an OpenAI-compatible server, and the client as a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bench.client import claude
from bench.client.journey import ours
from bench.client.messages_api import MessagesApi, Tool, Turn
from tests import real_client
from tests.elicit_world import BETTER, ON, PLAN, WEAK, ElicitWorld, finding

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

SCRIPT = [{"findings": [finding()]}, {"verdict": "B", "reason": "clearer"}, {"verdict": "A", "reason": "clearer"}]


def test_a_server_that_speaks_as_openai_does_finds_judges_and_is_paid_for(bare: Studio) -> None:
    pytest.importorskip("pydantic_ai")
    world = ElicitWorld(bare)
    bare.run("init", "--no-hooks")
    with MessagesApi([Turn(json.dumps(one)) for one in SCRIPT]).serving() as api:
        bare.write(
            ".claude/config.yaml",
            f"models:\n  endpoints:\n    - {{name: house, url: '{api.url}/v1', free: true}}\n",
        )
        done = world.run("run", "--method", "pre-mortem", "--file", "docs/plan.md", "--model", "house:tiny")
    assert done.code == 0, done.out
    (found,) = done.data["findings"]
    assert found["fix"]["replacement"] == BETTER
    assert sorted(found["verdicts"]) == ["A", "B"]  # which of the two is asked first is the network's matter
    assert len(api.requests) == done.data["calls"] == 3
    methods, *judges = (json.dumps(one["messages"]) for one in api.requests)
    assert "pre-mortem" not in "".join(judges).lower()
    assert "Nobody knows what to do" not in "".join(judges)
    assert WEAK in methods
    ledger = (bare.path / ".claude/metrics/llm-usage.log").read_text().splitlines()
    assert [json.loads(line)["skill"] for line in ledger] == ["elicit"] * 3


def test_an_answer_against_the_schema_fails_the_method_and_is_paid_for(bare: Studio) -> None:
    pytest.importorskip("pydantic_ai")
    world = ElicitWorld(bare)
    bare.run("init", "--no-hooks")
    with MessagesApi([Turn('{"findings": [{"severity": "fatal"}]}')]).serving() as api:
        model = f"compatible:tiny@{api.url}/v1"
        words = ("run", "--method", "fmea", "--file", "docs/plan.md", "--model", model)
        assert "no price is known" in world.error(*words, code=1)
        assert api.requests == []
        done = world.run(*words, "--allow-unpriced")
    assert done.code == 1
    assert "against the schema" in done.data["refused"][0]["reason"]
    assert len(api.requests) == 1


def test_the_client_answers_as_a_model(tmp_path: Path) -> None:
    client = real_client.installed()
    project, home = tmp_path / "shop", tmp_path / "home"
    (project / ".claude").mkdir(parents=True)
    home.mkdir()
    (project / "plan.md").write_text(PLAN)
    api = MessagesApi({"We launch on Monday.": [Turn(tools=[Tool("StructuredOutput", {"findings": [finding()]})])]})
    with api.serving():
        variables = claude.variables(client, home, api.url)
        words = (
            "run",
            "--method",
            "pre-mortem",
            "--no-judge",
            "--file",
            "plan.md",
            "--model",
            "claude:claude-haiku-4-5",
        )
        ours(project, variables, "init", "--no-hooks")
        done = ours(project, variables, "elicit", *words, "--set", ON)
    assert [one["state"] for one in done["findings"]] == ["offered"]
    assert float(done["costUsd"]) > 0
    assert len(api.requests) == 1
