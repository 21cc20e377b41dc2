"""What the model's responses used, told from transcripts that repeat and split them.

A response is one (message id, request id). Its lines say the same or grow, so of each figure the largest counts, over
all lines and all files that hold copies of it (`cost.counting`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import lines
from agent_studio.cost.book import Told
from agent_studio.cost.counting import SIDE_CHAIN, SYNTHETIC, Tokens, tokens
from agent_studio.records import LlmUsage

if TYPE_CHECKING:
    from agent_studio.capture.ingest.work import Session, Work

_SEPARATOR = "\x1f"
_INTERLEAVED = 16
"""Responses of a file that may still grow once others have come."""
_PENDING = 50


def take(work: Work, file: dict[str, Any], line: dict[str, Any], message: dict[str, Any]) -> None:
    """Take one line of a response into what is pending for its file."""
    model = lines.name(message.get("model"))
    if model == SYNTHETIC or not isinstance(message.get("usage"), dict):
        return
    said = _tokens(message["usage"])
    if said is None:
        work.report.damaged += 1
        return
    message_id, request_id = _ids(line, message)
    if not request_id and not message_id:
        return
    pending: dict[str, Any] = file["pending"]
    key = f"{message_id}{_SEPARATOR}{request_id}"
    if key not in pending and len(pending) >= _PENDING:
        return
    at_ns = lines.instant(line.get("timestamp")) or file.get("last") or work.now_ns
    held = pending.setdefault(key, {"tokens": said, "message": message_id, "request": request_id, "ns": at_ns})
    held["tokens"] = said.grown(Tokens(*held["tokens"]))
    held["ns"] = min(at_ns, held["ns"])
    held["model"] = model or held.get("model") or "unknown"
    held["stop"] = bool(message.get("stop_reason")) or held.get("stop", False)
    held["side"] = line.get("isSidechain") is True or held.get("side", False)
    held["skill"] = lines.text(line.get("attributionSkill")) or held.get("skill")
    for name, written in (("tier", "service_tier"), ("speed", "speed"), ("region", "inference_geo")):
        held[name] = lines.text(message["usage"].get(written)) or held.get(name)


def _ids(line: dict[str, Any], message: dict[str, Any]) -> tuple[str, str]:
    """Return message and request id; what has neither is told by its line."""
    found = lines.name(message.get("id")), lines.name(line.get("requestId"))
    uuid = lines.name(line.get("uuid"))
    return found if any(found) or not uuid else ("", f"line:{uuid}")


def _tokens(usage: dict[str, Any]) -> Tokens | None:
    split = usage.get("cache_creation")
    return tokens(
        usage.get("input_tokens"), usage.get("output_tokens"), usage.get("cache_read_input_tokens"),
        usage.get("cache_creation_input_tokens"), lines.at(split, "ephemeral_5m_input_tokens"),
        lines.at(split, "ephemeral_1h_input_tokens"), lines.at(usage, "server_tool_use", "web_search_requests"),
    )  # fmt: skip


def finish(
    work: Work, session: Session, file: dict[str, Any], *, but: str = "", stopped: bool = False, agent: str | None,
    task: str | None,
) -> None:  # fmt: skip
    """Record the responses of a file that are complete: all but one, or those the client says have stopped."""
    pending: dict[str, Any] = file["pending"]
    for key in [key for key in pending if key != but and (pending[key].get("stop") or not stopped)]:
        held = pending.pop(key)
        file["tokens"] += _added(file, key, held)
        counted = {**_counted(file)}
        counted.pop(key, None)
        file["counted"] = dict([*counted.items(), (key, _total(held))][-_INTERLEAVED:])
        work.writer.usage(Told(_record(session, held, agent, task), session.environment))


def used(file: dict[str, Any]) -> int:
    """Return what all responses of a file used: input, output and cache writes."""
    return int(file["tokens"]) + sum(_added(file, key, held) for key, held in file["pending"].items())


def _total(held: dict[str, Any]) -> int:
    return Tokens(*held["tokens"]).budgeted


def _added(file: dict[str, Any], key: str, held: dict[str, Any]) -> int:
    """Return what a response adds to its file's tokens; one that grew was in them before."""
    return _total(held) - _counted(file).get(key, 0)


def _counted(file: dict[str, Any]) -> dict[str, int]:
    """Return what the newest responses of a file have added so far."""
    found = file.get("counted")
    return found if isinstance(found, dict) else {}


def key_of(line: dict[str, Any], message: dict[str, Any]) -> str:
    """Return what tells a response from others in its file."""
    return _SEPARATOR.join(_ids(line, message))


def _record(session: Session, held: dict[str, Any], agent: str | None, task: str | None) -> LlmUsage:
    return of(
        session.id,
        held["request"],
        held["message"],
        held["model"],
        held["ns"],
        Tokens(*held["tokens"]),
        source="transcript",
        agent=agent or (SIDE_CHAIN if held.get("side") else None),
        task_id=task,
        skill=held.get("skill"),
        project=project_of(session.transcript),
        service_tier=held.get("tier"),
        speed=held.get("speed"),
        region=held.get("region") or None,
    )


def of(
    session_id: str, request_id: str, message_id: str, model: str, at_ns: int, said: Tokens, **more: Any
) -> LlmUsage:
    """Return the record of a response; the ledger's book prices it."""
    details: dict[str, Any] = dict.fromkeys(
        ("agent", "skill", "task_id", "service_tier", "speed", "region", "cost_usd", "price_source")
    )
    return LlmUsage(
        timestamp=lines.stamp(at_ns), session_id=session_id, request_id=request_id, message_id=message_id,
        provider="anthropic", model=model, input_tokens=said.input, output_tokens=said.output,
        cache_read_tokens=said.cache_read, cache_write5m_tokens=said.cache_write5m,
        cache_write1h_tokens=said.cache_write1h, web_searches=said.web_searches,
        **{"project": "", **details, **more},
    )  # fmt: skip


def project_of(transcript: str) -> str:
    """Return the client's name of a project: the folder its transcripts are in."""
    parts = transcript.replace("\\", "/").split("/")
    return lines.name(parts[-2]) if len(parts) > 1 else ""
