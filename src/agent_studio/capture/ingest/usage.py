"""What the model's responses used, told from transcripts that repeat and split them.

A response is one (message id, request id). Its lines say the same or grow, so of each figure the largest counts, over
all lines and all files that hold copies of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import lines
from agent_studio.records import LlmUsage, event_id

if TYPE_CHECKING:
    from agent_studio.capture.ingest.work import Session, Work

SYNTHETIC = "<synthetic>"
_MOST = 1_000_000_000
"""More tokens than any response has."""
_SEPARATOR = "\x1f"
_INTERLEAVED = 16
"""Responses of a file that may still grow once others have come."""
_PENDING = 50


def take(work: Work, file: dict[str, Any], line: dict[str, Any], message: dict[str, Any]) -> None:
    """Take one line of a response into what is pending for its file."""
    model = lines.name(message.get("model"))
    if model == SYNTHETIC or not isinstance(message.get("usage"), dict):
        return
    counts = _counts(message["usage"])
    if counts is None:
        work.report.damaged += 1
        return
    message_id, request_id = lines.name(message.get("id")), lines.name(line.get("requestId"))
    if not (message_id or request_id):
        return
    pending: dict[str, Any] = file["pending"]
    key = f"{message_id}{_SEPARATOR}{request_id}"
    if key not in pending and len(pending) >= _PENDING:
        return
    held = pending.setdefault(key, {"counts": counts, "message": message_id, "request": request_id})
    held["counts"] = {name: max(count, held["counts"][name]) for name, count in counts.items()}
    held["ns"] = lines.instant(line.get("timestamp")) or held.get("ns") or work.now_ns
    held["model"] = model or held.get("model") or "unknown"
    held["stop"] = bool(message.get("stop_reason")) or held.get("stop", False)
    held["skill"] = lines.text(line.get("attributionSkill")) or held.get("skill")
    for name, written in (("tier", "service_tier"), ("speed", "speed"), ("region", "inference_geo")):
        held[name] = lines.text(message["usage"].get(written)) or held.get(name)


def _counts(usage: dict[str, Any]) -> dict[str, int] | None:
    """Return the figures of a response, or None when one cannot be."""
    split = usage.get("cache_creation")
    found = {
        "input": usage.get("input_tokens"),
        "output": usage.get("output_tokens"),
        "cacheRead": usage.get("cache_read_input_tokens"),
        "write5m": lines.at(split, "ephemeral_5m_input_tokens"),
        "write1h": lines.at(split, "ephemeral_1h_input_tokens"),
        "searches": lines.at(usage, "server_tool_use", "web_search_requests"),
        "writes": usage.get("cache_creation_input_tokens"),
    }
    return checked(found)


def checked(found: dict[str, Any]) -> dict[str, int] | None:
    """Return figures, a missing one as 0, or None when one is no count; writes that are not split are of 5 minutes."""
    counts = {name: 0 if value is None else value for name, value in found.items()}
    if any(
        isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST for value in counts.values()
    ):
        return None
    counts["write5m"] += max(counts.pop("writes") - counts["write5m"] - counts["write1h"], 0)
    return counts


def finish(
    work: Work, session: Session, file: dict[str, Any], *, but: str = "", stopped: bool = False, agent: str | None,
    task: str | None,
) -> None:  # fmt: skip
    """Record the responses of a file that are complete: all but one, or those the client says have stopped."""
    pending: dict[str, Any] = file["pending"]
    for key in [key for key in pending if key != but and (pending[key].get("stop") or not stopped)]:
        held = pending.pop(key)
        counts = held["counts"]
        file["tokens"] += _added(file, key, held)
        counted = {**_counted(file)}
        counted.pop(key, None)
        file["counted"] = dict([*counted.items(), (key, _total(held))][-_INTERLEAVED:])
        usage_id = event_id("usage", held["message"], held["request"])
        work.writer.usage(_record(session, held, agent, task), usage_id, counts, session.environment)


def tokens(file: dict[str, Any]) -> int:
    """Return what all responses of a file used: input, output and cache writes."""
    return int(file["tokens"]) + sum(_added(file, key, held) for key, held in file["pending"].items())


def _total(held: dict[str, Any]) -> int:
    return sum(held["counts"][name] for name in ("input", "output", "write5m", "write1h"))


def _added(file: dict[str, Any], key: str, held: dict[str, Any]) -> int:
    """Return what a response adds to its file's tokens; one that grew was in them before."""
    return _total(held) - _counted(file).get(key, 0)


def _counted(file: dict[str, Any]) -> dict[str, int]:
    """Return what the newest responses of a file have added so far."""
    found = file.get("counted")
    return found if isinstance(found, dict) else {}


def key_of(line: dict[str, Any], message: dict[str, Any]) -> str:
    """Return what tells a response from others in its file."""
    return f"{lines.name(message.get('id'))}{_SEPARATOR}{lines.name(line.get('requestId'))}"


def _record(session: Session, held: dict[str, Any], agent: str | None, task: str | None) -> LlmUsage:
    return of(
        session.id, held["request"], held["message"], held["model"], held["ns"], held["counts"], source="transcript",
        agent=agent, task_id=task, skill=held.get("skill"), project=project_of(session.transcript),
        service_tier=held.get("tier"), speed=held.get("speed"), region=held.get("region") or None,
    )  # fmt: skip


def of(
    session_id: str, request_id: str, message_id: str, model: str, at_ns: int, counts: dict[str, int], **more: Any
) -> LlmUsage:
    """Return the record of a response; no price is known here."""
    details: dict[str, Any] = dict.fromkeys(
        ("agent", "skill", "task_id", "service_tier", "speed", "region", "cost_usd", "price_source")
    )
    return LlmUsage(
        timestamp=lines.stamp(at_ns), session_id=session_id, request_id=request_id, message_id=message_id,
        provider="anthropic", model=model, input_tokens=counts["input"], output_tokens=counts["output"],
        cache_read_tokens=counts["cacheRead"], cache_write5m_tokens=counts["write5m"],
        cache_write1h_tokens=counts["write1h"], web_searches=counts["searches"], **{"project": "", **details, **more},
    )  # fmt: skip


def project_of(transcript: str) -> str:
    """Return the client's name of a project: the folder its transcripts are in."""
    parts = transcript.replace("\\", "/").split("/")
    return lines.name(parts[-2]) if len(parts) > 1 else ""
