"""What records say again and again becomes one suggestion with its evidence; people say what they need beside it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.evolution_world import NEED, Clock, EvolutionWorld

from agent_studio import clock
from agent_studio.environment.detect import Environment

if TYPE_CHECKING:
    from tests.conftest import Studio


@pytest.fixture
def world(staged: Studio) -> EvolutionWorld:
    return EvolutionWorld(staged, environment=Environment.STAGING)


def write(world: EvolutionWorld, file: str, *records: dict[str, Any], days_ago: float = 0) -> None:
    """Append records as `ingest` and searches write them."""
    place = world.studio.path / ".claude/staging/metrics" / file
    with place.open("a", encoding="utf-8") as journal:
        for number, fields in enumerate(records):
            at = clock.timestamp(clock.now() - timedelta(days=days_ago, seconds=len(records) - number))
            record = {"timestamp": at, "eventId": f"{number:032x}", "environment": "staging", "release": None, **fields}
            journal.write(json.dumps(record) + "\n")


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"errorType": "SystemError", "severity": "HIGH", "source": "tool", "message": message, "tool": "Bash",
            "sessionId": "s1", "metadata": {}, **fields}  # fmt: skip


def agent(message: str, status: str = "failed") -> dict[str, Any]:
    return {"agent": "planner", "agentId": "a", "sessionId": "s1", "taskId": None, "durationMs": 1, "tokensUsed": 1,
            "status": status, "errorMessage": message}  # fmt: skip


def test_searches_without_a_hit_and_repeated_failures_are_suggested_with_evidence(world: EvolutionWorld) -> None:
    for _ in range(2):
        world.studio.run("kb", "search", "terraform drift detection", "--env", "staging")
    world.studio.run("kb", "search", "detection of drifts in Terraform", "--env", "staging")
    world.studio.run("kb", "search", "kubernetes operators", "--env", "staging")
    write(world, "errors.jsonl", *(error(f"npm ERR! code E{n}03 in /tmp/x{n}/y, id 1a2b3c4d{n}") for n in range(3)))
    write(world, "errors.jsonl", error("another thing"), error("and a third"))
    write(world, "agents.jsonl", *(agent("out of turns") for _ in range(3)), agent("out of turns", "completed"))
    found = world.evolve("suggest")
    kinds = {one["kind"]: one for one in found["queue"]}
    assert {kind: one["count"] for kind, one in kinds.items()} == {
        "unanswered-search": 3, "repeated-error": 3, "failing-agent": 3,
    }  # fmt: skip
    assert [one["query"] for one in kinds["unanswered-search"]["evidence"]][-1].startswith("detection")
    assert kinds["repeated-error"]["text"].startswith("Bash fails: npm ERR! code E203")
    assert kinds["repeated-error"]["evidence"][0]["eventId"] == f"{0:032x}"
    assert len(found["added"]) == 3
    again = world.evolve("suggest")
    assert (again["added"], again["changed"], len(again["queue"])) == ([], [], 3)
    assert len(world.file["patterns"]) == 3
    write(world, "errors.jsonl", error("npm ERR! code E903 in /tmp/x9/y, id 1a2b3c4d9"))
    assert world.evolve("suggest")["changed"] == [kinds["repeated-error"]["id"]]
    assert world.evolve("show", kinds["repeated-error"]["id"])["suggestion"]["count"] == 4
    assert "seen" in world.run("list").out


def test_what_is_old_of_another_environment_or_from_the_future_is_none(world: EvolutionWorld) -> None:
    for days_ago in (31, -1):
        write(world, "errors.jsonl", *(error("boom") for _ in range(3)), days_ago=days_ago)
    write(world, "errors.jsonl", *(error("boom", environment="production") for _ in range(3)))
    search = {"query": "quantum entanglement", "filters": {}, "source": "cli"}
    write(world, "searches.jsonl", search, search, days_ago=31)
    write(world, "searches.jsonl", {**search, "environment": "production"}, search, {"query": 7}, {"query": "the"})
    assert world.evolve("suggest")["queue"] == []


def test_damaged_lines_are_counted_and_passed_over(world: EvolutionWorld) -> None:
    write(world, "errors.jsonl", *(error("boom") for _ in range(3)))
    for name in ("errors.jsonl", "searches.jsonl"):
        with (world.studio.path / ".claude/staging/metrics" / name).open("ab") as journal:
            journal.write(b'{"half": \n')
    found = world.evolve("suggest")
    assert (found["damagedLines"], len(found["queue"])) == (2, 1)


def test_a_question_that_is_answered_by_now_waits_no_longer(world: EvolutionWorld) -> None:
    for _ in range(2):
        world.studio.run("kb", "search", "terraform drift detection", "--env", "staging")
    [one] = world.evolve("suggest")["queue"]
    world.studio.write(
        ".claude/skills/drift/SKILL.md",
        "---\nname: drift\ndescription: Terraform drift detection.\n---\n\n# Drift\n\nPlan, compare, tell.\n",
    )
    found = world.evolve("suggest")
    assert (found["answered"], found["queue"]) == ([one["id"]], [])
    shown = world.evolve("show", one["id"])["suggestion"]
    assert (shown["status"], shown["reason"]) == ("dismissed", "the knowledge base answers it by now: drift")


def test_what_is_dismissed_does_not_come_again(world: EvolutionWorld) -> None:
    write(world, "errors.jsonl", *(error("boom") for _ in range(3)))
    [one] = world.evolve("suggest")["queue"]
    assert "--reason" in world.refused("dismiss", one["id"], "--reason", "")["message"]
    world.evolve("dismiss", one["id"][:5], "--reason", "it is the network")
    write(world, "errors.jsonl", error("boom"))
    assert world.evolve("suggest")["queue"] == []
    assert "is dismissed: it is the network" in world.refused("dismiss", one["id"], "--reason", "again")["message"]
    world.evolve("suggest", "a skill for retries")
    said = world.state.queue[0].id
    world.evolve("dismiss", said, "--reason", "there is one")
    world.evolve("suggest", "a skill for retries")
    assert world.state.queue == []
    assert "no suggestion 'ffff'" in world.refused("accept", "ffff", "skill", "x")["message"]


def test_a_suggestion_is_accepted_and_comes_back_when_that_is_given_up(
    world: EvolutionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking = Clock(monkeypatch)
    world.evolve("suggest", NEED)
    [one] = world.state.queue
    begun = world.evolve("accept", one.id, "skill", "release-notes")["evolution"]
    assert (begun["need"], begun["suggestion"]) == (NEED, one.id)
    assert world.state.queue == []
    world.evolve("abort", "--reason", "not now")
    assert [waiting.id for waiting in world.state.queue] == [one.id]
    ticking.passes(minutes=1)
    world.evolve("suggest", NEED.upper())
    assert world.state.queue[0].count == 2
    taken = world.evolve("start", "agent", "announcer", "--suggestion", one.id, "--need", "announces merged work anew")
    assert taken["evolution"]["need"] == "announces merged work anew"


@pytest.mark.parametrize("text", ["", "  ", "the", "\u202e\u0000", "x " * 3_000])
def test_what_says_nothing_is_no_suggestion(world: EvolutionWorld, text: str) -> None:
    world.refused("suggest", text)
    assert world.state.queue == []


def test_emoji_and_other_scripts_are_kept_as_they_are(world: EvolutionWorld) -> None:
    for text in ("סקירת קוד אוטומטית", "リリースノートを書く", "🚀 launch checklists"):
        world.evolve("suggest", text)
    assert {one["text"] for one in world.file["suggestionsQueue"]} == {
        "סקירת קוד אוטומטית", "リリースノートを書く", "🚀 launch checklists",
    }  # fmt: skip


def test_a_question_whose_answer_is_gone_waits_again(world: EvolutionWorld) -> None:
    for _ in range(3):
        world.studio.run("kb", "search", "kubernetes operators", "--env", "staging")
    [one] = world.evolve("suggest")["queue"]
    text = "---\nname: k8s\ndescription: Writes kubernetes operators.\n---\n\n# How\n\nWrite them.\n"
    answer = world.studio.write(".claude/skills/k8s/SKILL.md", text)
    assert "answered by the knowledge base" in world.run("suggest").out
    answer.unlink()
    answer.parent.rmdir()
    assert [again["id"] for again in world.evolve("suggest")["queue"]] == [one["id"]]
    world.evolve("dismiss", one["id"], "--reason", "not here")
    assert world.evolve("suggest")["queue"] == []
