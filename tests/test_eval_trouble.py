"""What goes wrong with a client, a provider or a judge is told from a task that was not done, with real processes."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from bench.client.messages_api import MessagesApi, Turn
from tests.eval_world import NEEDED, Evals

from agent_studio.evals.runs import runner

pytestmark = NEEDED
CLIENT = """
say() { echo '{"type": "result", "is_error": true, "subtype": "success", "result": "'"$1"'"}'; exit 1; }
case "$1" in --help) echo usage; exit;; esac
case "$2" in
  throttled) echo x >> "$COUNTED"; say 'API Error: Repeated 529 Overloaded errors';;
  unreachable) say 'API Error: Connection error.';;
  waits) echo '{"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 429}'; sleep 60;;
  asks) printf 'Allow Bash? '; read answer || exit 3;;
  hangs) sleep 60;;
  crashes) kill -9 $$;;
  done) touch done.txt; echo '{"type": "result", "is_error": false, "num_turns": 1, "result": "ok"}';;
esac
"""
ENDS = {
    "throttled": ("throttled", None), "unreachable": ("throttled", None), "waits": ("throttled", None),
    "asks": ("crashed", False), "hangs": ("timeout", False), "crashes": ("crashed", False), "done": ("done", True),
}  # fmt: skip
"""How an attempt of each prompt ends, and whether it passed: what a provider does decides nothing."""


def test_trouble_of_the_provider_is_void_and_trouble_of_the_client_is_a_failure(
    evals: Evals, monkeypatch: pytest.MonkeyPatch
) -> None:
    evals.command(CLIENT)
    (evals.folder / "bin").mkdir()
    (evals.folder / "agent.sh").rename(evals.folder / "bin/claude")
    monkeypatch.setenv("PATH", f"{evals.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(runner, "_PAUSE_S", 0.01)
    tasks = [
        {"id": name, "prompt": name, "start": {"empty": True}, "checks": [{"file": "done.txt"}],
         "limits": {"seconds": 2 if name in {"waits", "hangs"} else 60}} for name in ENDS
    ]  # fmt: skip
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
    done = evals.studio.run("eval", "run", "--repeats", "1", "--limit-usd", "99", "--backend", "claude", "--json")
    if done.code == 7:
        pytest.skip("nothing here keeps a command to its folder")
    lines = [one for one in evals.journal(done.data["run"]) if one["kind"] in {"attempt", "void"}]
    ended = {one["task"]: (one["facts"]["ended"], one["passed"]) for one in lines if one["kind"] == "attempt"}
    assert ended == ENDS
    assert [one["kind"] for one in lines if one["task"] == "throttled"] == ["void", "void", "attempt"]
    assert (done.data["decided"], done.data["passed"]) == (4, 1)


def judging(evals: Evals, patch: pytest.MonkeyPatch, *answers: str) -> tuple[dict[str, Any], MessagesApi]:
    """Compare two sides that differ to a judge alone, which a real server speaks for; return what was found."""
    task = {"id": "poem", "prompt": "Write", "start": {"empty": True}, "repeats": 4,
            "checks": [{"file": "poem.txt"}, {"judge": "Which is better?", "files": ["poem.txt"]}]}  # fmt: skip
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    good = {"when": {"file": ".claude/agents/code-reviewer.md", "has": "good"}, "write": {"poem.txt": "a fine poem"}}
    evals.script({"*": [good, {"write": {"poem.txt": "words"}}], "poem": [good, {"write": {"poem.txt": "words"}}]})
    bad = evals.side("bad")
    evals.side("good")
    api = MessagesApi([Turn(json.dumps({"better": answer, "why": "it is"})) for answer in answers])
    with api.serving():
        patch.setenv("ANTHROPIC_API_KEY", "of-a-test")
        patch.setenv("ANTHROPIC_BASE_URL", api.url)
        done = evals.compare(
            bad, "--parallel", "1", "--margin", "0.5", "--set", "evals.judge=anthropic:claude-haiku-4-5-20251001"
        )
        assert done.envelope["problems"] == [], done.out
        return done.data, api


def test_a_judge_that_likes_the_first_best_gives_no_verdict_and_is_shown_no_side(
    evals: Evals, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, api = judging(evals, monkeypatch, "1")
    assert (data["verdict"], data["pairs"]["won"], data["pairs"]["lost"]) == ("INSUFFICIENT", 0, 0), data["reason"]
    asked = [json.dumps(one) for one in api.requests if one.get("messages")]
    assert len(asked) == 8
    first = [text.index("a fine poem") < text.index("--- poem.txt\\nwords") for text in asked]
    assert first == [True, False] * 4
    assert not any(word in text for text in asked for word in ("candidate", "against", "good", "bad"))


def test_a_judge_that_likes_the_same_in_both_orders_decides(evals: Evals, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = judging(evals, monkeypatch, *["1", "2"] * 4)
    assert (data["pairs"]["won"], data["pairs"]["lost"]) == (4, 0)
