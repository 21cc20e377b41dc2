"""The benchmark: four ways at the same number of calls, judged on questions whose answers are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.party_world import for_it, script

from agent_studio.errors import UsageError
from agent_studio.monitor import intervals
from agent_studio.reasoning.party import strategies

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

LINE = {"id": "1", "question": "Which?", "options": ["Alpha", "Beta"], "answer": "alpha"}


def test_every_way_is_asked_within_the_same_number_of_calls(bare: Studio) -> None:
    bare.write("questions.jsonl", "".join(json.dumps({**LINE, "id": str(n)}) + "\n" for n in range(3)))
    model = script(bare.path / "s.json", {"*": [for_it("Alpha")], "qa": [for_it("Beta")], "sceptic": [for_it("Beta")]})
    data = bare.json("party", "bench", "questions.jsonl", "--team", "general", "--model", model)
    rows = {one["strategy"]: one for one in data["strategies"]}
    assert (data["questions"], data["seats"], data["callsAllowed"]) == (3, 5, 10)
    assert {name: one["callsPerQuestion"] for name, one in rows.items()} == {
        "single": 1.0, "self-consistency": 10.0, "blind vote": 10.0, "party": 10.0,
    }  # fmt: skip
    assert all(one["accuracy"] == 1.0 and one["low"] < 0.5 and one["high"] == 1.0 for one in rows.values())
    assert rows["party"]["states"] == {"weak": {"right": 3, "answers": 3}}


def test_a_tie_is_no_answer_and_a_wrong_one_is_wrong(bare: Studio) -> None:
    bare.write("questions.jsonl", json.dumps(LINE))
    bare.write(".claude/teams/two.csv", "agent_type,role,priority,tools,model\nqa,r,1,,\ndeveloper,r,2,,\n")
    model = script(bare.path / "s.json", {"*": [for_it("Beta")], "qa": [for_it("Alpha")]})
    rows = bare.json("party", "bench", "questions.jsonl", "--team", "two", "--model", model)["strategies"]
    assert [(one["right"], one["wrong"], one["none"]) for one in rows] == [(0, 1, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1)]


def test_a_model_without_a_price_is_refused_with_a_remedy_that_this_command_has(bare: Studio) -> None:
    pytest.importorskip("pydantic_ai")
    bare.run("init", "--no-hooks")
    bare.write("questions.jsonl", json.dumps(LINE))
    done = bare.run("party", "bench", "questions.jsonl", "--model", "compatible:tiny@http://127.0.0.1:9/v1", "--json")
    problem = done.envelope["problems"][0]
    assert "no price is known" in problem["message"]
    assert ("cost prices override" in problem["hint"], "--allow-unpriced" in problem["hint"]) == (True, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no questions"),
        ("{", "q:1 is no JSON"),
        ("[]", "q:1 has no question with options"),
        (json.dumps({**LINE, "options": ["Alpha"]}), "q:1 has 1 options"),
        (json.dumps({**LINE, "answer": "Gamma"}), "q:1: its answer"),
        (json.dumps({**LINE, "options": ["Alpha", "ALPHA"]}), "q:1: its answer"),
    ],
)
def test_a_wrong_question_is_one_error_with_its_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as fault:
        strategies.read(text, "q")
    assert said in fault.value.message


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (1, 1, 0.2065, 1.0), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_those_of_wilson(hits: int, count: int, low: float, high: float) -> None:
    """Computed by hand from Wilson's formula with z = 1.95996."""
    assert intervals.rate(hits, count, intervals.EACH_SIDE) == pytest.approx((low, high), abs=1e-4)


def test_a_file_that_is_not_there_is_named(bare: Studio, tmp_path: Path) -> None:
    done = bare.run("party", "bench", str(tmp_path / "none.jsonl"), "--model", "scripted:x")
    assert (done.code, "none.jsonl" in done.err) == (2, True)
