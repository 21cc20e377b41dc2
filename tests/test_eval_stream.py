"""What a session did is read from the client's stream and transcripts as they are, each response counted once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_studio.evals.attempts import facts, stream

if TYPE_CHECKING:
    from pathlib import Path


def _lines(*values: dict[str, Any]) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def _use(identity: str, name: str, given: dict[str, str], parent: str | None = None) -> dict[str, Any]:
    block = {"type": "tool_use", "id": identity, "name": name, "input": given}
    return {"type": "assistant", "message": {"content": [block]}, "parent_tool_use_id": parent}


def _result(identity: str, text: str, decision: dict[str, str] | None = None) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": identity, "content": text, "is_error": decision is not None}
    meta = [{"id": identity, "permission_decision": {"decision": "reject", **decision}}] if decision else []
    return {"type": "user", "message": {"content": [block]}, "tool_result_meta": meta}


DONE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "num_turns": 4,
    "total_cost_usd": 0.5,
    "result": "ok",
}


def test_tools_agents_skills_hooks_and_refusals_are_told_apart(tmp_path: Path) -> None:
    found = stream.read(
        _lines(
            {"type": "system", "subtype": "init", "agents": ["rev"], "skills": ["sk"], "tools": ["Bash"]},
            {"type": "system", "subtype": "hook_response", "hook_event": "PreToolUse", "hook_name": "PreToolUse:Bash",
             "exit_code": 2, "stdout": ""},
            _use("a", "Bash", {"command": "rm x"}), _result("a", "PreToolUse:Bash hook error: no", {"source": "hook"}),
            _use("b", "WebFetch", {"url": "u"}), _result("b", "haven't granted it", {"source": "config"}),
            _use("c", "Skill", {"skill": "sk"}), _result("c", "Launching"),
            _use("d", "Agent", {"subagent_type": "rev"}), _result("d", "launched"),
            _use("e", "Read", {"file_path": "f"}, "d"), _result("e", "text"),
            DONE,
        ),
        tmp_path / "projects", 0,
    )  # fmt: skip
    assert [(one.name, one.refused, one.by) for one in found.tools] == [
        ("Bash", "hook", ""), ("WebFetch", "permission", ""), ("Skill", "", ""), ("Agent", "", ""), ("Read", "", "rev")
    ]  # fmt: skip
    assert (found.agents, found.skills, found.loaded["agents"]) == (("rev",), ("sk",), ("rev",))
    assert found.hooks == (facts.HookRun("PreToolUse", "PreToolUse:Bash", blocked=True),)
    assert (found.ended, found.turns, found.reported_usd, found.answer) == (facts.DONE, 4, "0.5", "ok")


def test_how_a_session_ended_is_read_from_its_result(tmp_path: Path) -> None:
    def ended(result: dict[str, Any] | None, code: int) -> str:
        return stream.read(_lines(*([result] if result else [])), tmp_path, code).ended

    error = {**DONE, "is_error": True}
    assert ended(None, 1) == facts.CRASHED
    assert ended({**error, "subtype": "error_max_turns"}, 1) == facts.TURNS
    assert ended({**error, "subtype": "error_max_budget_usd"}, 1) == facts.BUDGET
    assert ended({**error, "result": "API Error: 429 rate_limit_error"}, 1) == facts.THROTTLED
    assert ended({**error, "result": "Invalid API key · Please run /login"}, 1) == facts.MISSING
    for said in ("API Error: 500", "API Error: Repeated 529 Overloaded errors", "API Error: Connection error."):
        assert ended({**error, "result": said}, 1) == facts.THROTTLED
    assert ended({**error, "result": "API Error: 400 the prompt is too long, all 529 pages of it"}, 1) == facts.CRASHED
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 529, "error": "overloaded"}
    said_since = {"type": "assistant", "message": {"content": []}}
    assert stream.read(_lines(retry), tmp_path, -9).ended == facts.THROTTLED
    assert stream.read(_lines(retry, said_since), tmp_path, -9).ended == facts.CRASHED


def test_a_response_that_is_told_several_times_is_counted_once_at_its_largest(tmp_path: Path) -> None:
    def line(output: int, request: str = "r") -> dict[str, Any]:
        usage = {
            "input_tokens": 3, "output_tokens": output, "cache_read_input_tokens": 9, "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_1h_input_tokens": 2},
        }  # fmt: skip
        message = {"id": "m", "model": "claude-x", "usage": usage}
        return {"type": "assistant", "requestId": request, "timestamp": "2026-01-01T00:00:00Z", "message": message}

    folder = tmp_path / "p/s/subagents"
    folder.mkdir(parents=True)
    (tmp_path / "p/s.jsonl").write_bytes(b"\n".join([*_lines(line(1), line(40)), b"torn {"]))
    (folder / "agent-1.jsonl").write_bytes(b"\n".join(_lines(line(7), line(5, "other"))))
    (folder / "agent-1.meta.json").write_text('{"agentType": "rev"}')
    used = {one.request_id: one for one in stream.usage(tmp_path)}
    assert set(used) == {"r", "other"}
    assert used["r"][4:9] == (3, 40, 9, 5, 2)
    assert used["other"].agent == "rev"
    assert list(stream.usage(tmp_path / "missing")) == []
