"""Reads what Claude Code says of a session: its stream of JSON lines, and its transcripts for what responses used.

The stream has a response's usage only from its beginning, so usage is read from the transcripts: for each pair of
message and request the largest figure of each field, over the session's file and those of its sub-agents.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.evals.attempts import facts, reading
from agent_studio.evals.attempts.facts import Facts, HookRun, ToolUse, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_MOST_BYTES = 200_000_000
_STARTS_AGENTS = frozenset(("Agent", "Task"))
_PROVIDER = re.compile(
    r"rate_limit|overloaded|API Error: (?:Repeated )?(?:408|429|5\d\d)|connection error|unable to connect"
    r"|ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|ENOTFOUND|request timed out",
    re.IGNORECASE,
)
"""What the client says where the provider throttles, fails or cannot be reached: no matter of the definitions."""
_ENDS = {"error_max_turns": facts.TURNS, "error_max_budget_usd": facts.BUDGET}


def read(lines: Iterable[bytes], transcripts: Path, code: int) -> Facts:
    """Return what happened, given the stream, the folder of transcripts and the exit code."""
    reading = _Reading()
    for line in lines:
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            reading.take(json.loads(line))
    found = tuple(usage(transcripts))
    return reading.facts(found, code)


class _Reading:
    def __init__(self) -> None:
        self._tools: dict[str, ToolUse] = {}
        self._agents: list[str] = []
        self._agent_of: dict[str, str] = {}
        self._skills: list[str] = []
        self._hooks: list[HookRun] = []
        self._loaded: dict[str, tuple[str, ...]] = {}
        self._result: Mapping[str, Any] = {}
        self._turns = 0
        self._waits = ""
        """Why the client waits for the provider; empty once that has answered."""

    def take(self, line: Mapping[str, Any]) -> None:
        kind = line.get("type")
        if kind == "system":
            self._system(line)
        elif kind == "assistant":
            self._said(line)
        elif kind == "user":
            self._answered(line)
        elif kind == "result" or "total_cost_usd" in line:
            self._result = line

    def _system(self, line: Mapping[str, Any]) -> None:
        if line.get("subtype") == "init":
            self._loaded = {
                "agents": tuple(map(str, line.get("agents", ()))), "tools": tuple(map(str, line.get("tools", ()))),
                "skills": tuple(map(str, (*line.get("skills", ()), *line.get("slash_commands", ())))),
            }  # fmt: skip
        elif line.get("subtype") == "hook_response":
            blocked = line.get("exit_code") == 2 or _denies(str(line.get("stdout", "")))  # noqa: PLR2004 - the client's
            self._hooks.append(HookRun(str(line["hook_event"]), str(line.get("hook_name", "")), blocked))
        elif line.get("subtype") == "api_retry":
            self._waits = f"{line.get('error_status') or 'no answer'} {line.get('error') or ''}".strip()

    def _said(self, line: Mapping[str, Any]) -> None:
        by = self._agent_of.get(str(line.get("parent_tool_use_id")), "")
        self._turns += not by
        self._waits = ""
        for block in line["message"]["content"]:
            if block.get("type") != "tool_use":
                continue
            name, given = str(block["name"]), block.get("input") or {}
            text = json.dumps(given, ensure_ascii=False, sort_keys=True)
            self._tools[str(block["id"])] = ToolUse(name, text, by=by)
            if name in _STARTS_AGENTS:
                self._agent_of[str(block["id"])] = str(given.get("subagent_type", "general-purpose"))
            elif name == "Skill":
                self._skills.append(str(given.get("skill") or given.get("command", "")))

    def _answered(self, line: Mapping[str, Any]) -> None:
        decided = {str(one.get("id")): one.get("permission_decision", {}) for one in line.get("tool_result_meta", ())}
        content = line["message"]["content"]
        for block in content if isinstance(content, list) else ():
            if block.get("type") != "tool_result":
                continue
            identity = str(block["tool_use_id"])
            refused = _refused(block, decided.get(identity, {}))
            if identity in self._tools and refused:
                self._tools[identity] = self._tools[identity]._replace(refused=refused)
            elif identity in self._agent_of and not block.get("is_error"):
                self._agents.append(self._agent_of[identity])

    def facts(self, used: tuple[Usage, ...], code: int) -> Facts:
        result = self._result
        ended, reason = _ended(result, code, self._waits)
        cost = result.get("total_cost_usd")
        return Facts(
            ended, reason, tuple(self._tools.values()), tuple(self._agents), tuple(self._skills), tuple(self._hooks),
            self._loaded, used, int(result.get("num_turns") or self._turns), None if cost is None else str(cost),
            str(result.get("result") or ""),
        )  # fmt: skip


def _denies(output: str) -> bool:
    with suppress(ValueError, AttributeError, TypeError):
        said = json.loads(output)
        return bool(said.get("decision") == "block" or said["hookSpecificOutput"]["permissionDecision"] == "deny")
    return False


def _refused(block: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    """Return who refused a call, by what the client says of it; older ones only say it in the answer's words."""
    if not block.get("is_error"):
        return ""
    if decision.get("decision") == "reject":
        return "hook" if decision.get("source") == "hook" else "permission"
    text = json.dumps(block.get("content"))
    if "hook error" in text or "hook blocking" in text or "blocked by hook" in text.lower():
        return "hook"
    return "permission" if "requested permissions" in text or ("permission" in text and "denied" in text) else ""


def _ended(result: Mapping[str, Any], code: int, waits: str) -> tuple[str, str]:
    if not result and waits:
        return facts.THROTTLED, f"the client was waiting for the provider: {waits}"
    if not result:
        return facts.CRASHED, f"the client ended with {code} and no result"
    if not result.get("is_error") and not code:
        return facts.DONE, ""
    subtype, said = str(result.get("subtype", "")), str(result.get("result") or result.get("errors") or "")[:300]
    if subtype in _ENDS:
        return _ENDS[subtype], subtype
    if _PROVIDER.search(said):
        return facts.THROTTLED, said
    if "log in" in said or "API key" in said or "/login" in said:
        return facts.MISSING, f"the client is not logged in: {said}"
    return facts.CRASHED, said or f"the client ended with {code}"


def usage(transcripts: Path) -> Iterator[Usage]:
    """Yield what each response used, by the files that the client keeps."""
    found: dict[tuple[str, str], Usage] = {}
    for place in sorted(transcripts.rglob("*.jsonl")) if transcripts.is_dir() else ():
        agent = _agent(place)
        for line in (reading.regular(place, _MOST_BYTES) or b"").split(b"\n"):
            with suppress(ValueError, TypeError, AttributeError, KeyError):
                one = _used(json.loads(line), agent)
                held = found.get((one.message_id, one.request_id))
                found[one.message_id, one.request_id] = one if held is None else _larger(held, one)
    yield from found.values()


def _agent(place: Path) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(reading.regular(place.with_suffix(".meta.json")) or b"")["agentType"])
    return ""


def _used(line: Mapping[str, Any], agent: str) -> Usage:
    message = line["message"]
    told = message["usage"]
    written = told.get("cache_creation_input_tokens", 0) or 0
    split = told.get("cache_creation") or {}
    hour = split.get("ephemeral_1h_input_tokens", 0) or 0
    if message.get("model") == "<synthetic>":
        raise KeyError("model")
    return Usage(
        str(message["id"]), str(line.get("requestId", "")), str(message["model"]), str(line["timestamp"]),
        int(told.get("input_tokens", 0)), int(told.get("output_tokens", 0)),
        int(told.get("cache_read_input_tokens", 0) or 0), int(written) - int(hour), int(hour), agent,
    )  # fmt: skip


def _larger(one: Usage, other: Usage) -> Usage:
    names = ("input", "output", "cache_read", "cache_write5m", "cache_write1h")
    return one._replace(**{name: max(getattr(one, name), getattr(other, name)) for name in names})
