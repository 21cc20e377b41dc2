"""Writes calls as the client's transcripts, in every layout that versions of it have used.

generate.py FOLDER [--mb N] [--seed N] makes a configuration folder of a size, for measuring.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started as a script: the checkout is not on the path

from bench.transcripts.calls import Call, calls
from bench.transcripts.truth import cost_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LAYOUTS = ("2.1.330", "2.0.76", "1.0.128")
_BLOCKS = 4
_SIZES = ((0.50, 105), (0.75, 234), (0.90, 654), (0.95, 1_500), (0.99, 5_400), (1.0, 20_000))
"""Share of files and kB: many small ones, few large ones."""
_USAGE_SHARE = 0.35
_MB = 1_000_000


def line(call: Call, *, session: str, version: str, final: bool = True, uuid: str = "") -> dict[str, Any]:
    """Return one line of a response; all but the `final` ones hold less."""
    usage: dict[str, Any] = {
        "input_tokens": call.input, "cache_creation_input_tokens": call.write_5m + call.write_1h,
        "cache_read_input_tokens": call.cache_read, "output_tokens": call.output if final else min(call.output, 3),
    }  # fmt: skip
    if final:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": call.write_5m, "ephemeral_1h_input_tokens": call.write_1h,
        }  # fmt: skip
        usage |= {"service_tier": call.service_tier, "inference_geo": call.inference_geo or "not_available"}
        if call.searches:
            usage["server_tool_use"] = {"web_search_requests": call.searches, "web_fetch_requests": 0}
        if call.speed:
            usage["speed"] = call.speed
    elif call.write_1h:
        usage["cache_creation_input_tokens"] = 0  # without its split it would count as writes for 5 minutes
    message = {
        "model": call.model, "id": call.message_id, "type": "message", "role": "assistant",
        "content": [{"type": "text", "text": "as asked"}], "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    written: dict[str, Any] = {
        "parentUuid": "00000000-0000-4000-8000-000000000000", "isSidechain": call.agent is not None,
        "userType": "external", "cwd": "/srv/project", "sessionId": session, "version": version, "gitBranch": "main",
        "message": message, "requestId": call.request_id, "type": "assistant",
        "uuid": uuid or f"{call.message_id}-{final}",
        "timestamp": call.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }  # fmt: skip
    if call.skill:
        written["attributionSkill"] = call.skill
    return written


def write(listed: Iterable[Call], folder: Path, seed: int) -> None:
    """Write calls into a configuration folder, each session in one of the layouts, forks as files of their own."""
    chance = random.Random(seed)
    sessions: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in sorted(listed, key=lambda one: one.at):
        sessions[call.project, call.session].append(call)
    for number, ((project, session), own) in enumerate(sorted(sessions.items())):
        layout = LAYOUTS[number % len(LAYOUTS)]
        place = folder / "projects" / project
        _session(place, session, own, layout, chance)
        forked = [call for call in own if call.forked_to]
        if forked:  # the fork repeats everything before it, under its own name
            until = forked[-1].at
            repeated = [call for call in own if call.at <= until and call.agent is None]
            name = str(forked[-1].forked_to)
            _put(place / f"{name}.jsonl", [entry for call in repeated for entry in _told(call, name, layout, chance)])


def _session(place: Path, session: str, own: Sequence[Call], layout: str, chance: random.Random) -> None:
    main: list[dict[str, Any]] = [{"type": "summary", "summary": "a session", "leafUuid": "x"}]
    agents: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in own:
        told = _told(call, session, layout, chance)
        if call.agent is None or layout == "1.0.128":
            main += [*_asked(call, session), *told]
        else:
            agents[call.agent] += told
    for number, (agent, lines) in enumerate(sorted(agents.items())):
        name = f"a{number}{session[:6]}"
        if layout == "2.0.76":
            _put(place / f"agent-{name}.jsonl", lines)
            main += _launched(name, agent)
        else:
            _put(place / session / "subagents" / f"agent-{name}.jsonl", lines)
            meta = {"agentType": agent, "toolUseId": f"toolu_{name}", "finished": True}
            (place / session / "subagents" / f"agent-{name}.meta.json").write_text(json.dumps(meta), encoding="utf-8")
    if layout == "2.1.330":
        main.append(_closing(own, session))
    _put(place / f"{session}.jsonl", main)


def _told(call: Call, session: str, layout: str, chance: random.Random) -> list[dict[str, Any]]:
    """Return the lines of a response: perhaps a part first, then one a content block."""
    lines = [line(call, session=session, version=layout, final=False)] if chance.random() < 0.4 else []
    for block in range(chance.randrange(1, _BLOCKS)):
        later = Call(**{**vars(call), "at": call.at + timedelta(milliseconds=block)})
        lines.append(
            line(call if not block else later, session=session, version=layout, uuid=f"{call.message_id}-{block}")
        )
    return lines


def _asked(call: Call, session: str) -> list[dict[str, Any]]:
    """Return what stands around a response and is none."""
    usage = {"input_tokens": 999_999, "output_tokens": 999_999}
    return [
        {"type": "user", "sessionId": session, "message": {"role": "user", "content": "go on"},
         "toolUseResult": {"usage": usage, "totalTokens": 7}, "timestamp": call.at.isoformat()},
        {"type": "api-request-blob", "sessionId": session, "message": {"id": call.message_id, "usage": usage}},
    ]  # fmt: skip


def _launched(name: str, agent: str) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": f"toolu_{name}", "name": "Task", "input": {"subagent_type": agent}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{name}", "content": "done"}
    return [
        {"type": "assistant", "message": {"role": "assistant", "content": [call]}},
        {"type": "user", "message": {"role": "user", "content": [result]}, "toolUseResult": {"agentId": name}},
    ]


def _closing(own: Sequence[Call], session: str) -> dict[str, Any]:
    """Return the client's own count of a session."""
    usage: dict[str, dict[str, Any]] = {}
    for call in own:
        group = usage.setdefault(call.model, defaultdict(int))
        for name, count in (
            ("inputTokens", call.input), ("outputTokens", call.output), ("cacheReadInputTokens", call.cache_read),
            ("cacheCreationInputTokens", call.write_5m + call.write_1h), ("webSearchRequests", call.searches),
        ):  # fmt: skip
            group[name] += count
        group["costUSD"] += float(cost_usd(call) or 0)
    total = sum(group["costUSD"] for group in usage.values())
    return {"type": "cost-state", "sessionId": session, "totalCostUSD": total, "modelUsage": usage}


def _put(place: Path, lines: Iterable[dict[str, Any]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in lines)
    place.write_text(text, encoding="utf-8")


def of_size(folder: Path, mb: int, seed: int) -> int:
    """Write transcripts of a size as people have them, mostly what is no usage; return how many responses."""
    chance = random.Random(seed)
    letters = 'abcdefghijk lmnop\\"\n{}:, '
    filler = [
        json.dumps({"type": "user", "message": {"role": "user", "content": [
            {"type": "tool_result", "content": "".join(chance.choices(letters, k=chance.randrange(500, 6_000)))}
        ]}}).encode() for _ in range(60)
    ]  # fmt: skip
    templates = [_template(call) for call in calls(seed, 200)]
    made = left = 0
    left = mb * _MB
    place = folder / "projects" / "-srv-shop"
    place.mkdir(parents=True, exist_ok=True)
    for number in range(10**6):
        rank = chance.random()
        size = min(next(kb for share, kb in _SIZES if rank <= share) * 1_000, left)
        parts: list[bytes] = []
        usage = written = 0
        while written < size:
            if usage <= _USAGE_SHARE * written:
                made += 1
                text = (
                    chance.choice(templates)
                    .replace(b"@ID@", b"%020d" % made)
                    .replace(b"@DAY@", b"%02d" % (made % 28 + 1))
                )
                part = (text + b"\n") * chance.randrange(1, _BLOCKS)
                usage += len(part)
            else:
                part = chance.choice(filler) + b"\n"
            parts.append(part)
            written += len(part)
        (place / f"{number:08x}-0000-4000-8000-000000000000.jsonl").write_bytes(b"".join(parts))
        left -= written
        if left <= 0:
            break
    return made


def _template(call: Call) -> bytes:
    entry = line(call, session="s", version=LAYOUTS[0])
    entry["message"]["id"], entry["requestId"], entry["uuid"] = "msg_@ID@", "req_@ID@", "@ID@"
    entry["timestamp"] = f"2026-10-@DAY@T{call.at:%H:%M:%S}.000Z"
    entry["message"]["content"] = [{"type": "text", "text": "x" * (call.output % 1_800)}]
    return json.dumps(entry, separators=(",", ":")).encode()


def main() -> int:
    """Write a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"{of_size(args.folder, args.mb, args.seed):,} responses")
    return 0


if __name__ == "__main__":
    sys.exit(main())
