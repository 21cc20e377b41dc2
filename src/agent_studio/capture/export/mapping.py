"""Which span or log record each of our records becomes; prompts and answers are in none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent_studio.capture.export.signals import (
    PROVIDER,
    Attributes,
    LogRecord,
    Span,
    root_span_id,
    span_id,
    trace_id,
)
from agent_studio.records import event_id

if TYPE_CHECKING:
    from collections.abc import Mapping

SEVERITIES: Mapping[str, tuple[int, str]] = {
    "CRITICAL": (21, "FATAL"),
    "HIGH": (17, "ERROR"),
    "MEDIUM": (13, "WARN"),
    "LOW": (9, "INFO"),
}
"""https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber"""
_UNKNOWN_SEVERITY = (0, "")
_CLIENT = "claude-code"
_MESSAGE_MAX = 4_096
_COUNT_MAX = 1 << 60
"""Far from what a field of 64 bits holds; as a duration 36 years."""


def span_of(journal: str, record: Mapping[str, Any]) -> Span | None:
    """Return the span of a record of `hooks`, `agents`, `usage` or `sessions`, or None when it has none.

    Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError` for a record of another form.
    """
    return _SPANS[journal](record)


def log_of(record: Mapping[str, Any]) -> LogRecord:
    """Return the log record of an error; raises as `span_of` does."""
    number, text = SEVERITIES.get(str(record.get("severity")), _UNKNOWN_SEVERITY)
    trace, parent, conversation = _place(record)
    attributes = _attributes(
        record, {"error.type": "errorType", "agent_studio.error.source": "source", "gen_ai.tool.name": "tool"}
    )
    attributes |= {"agent_studio.event.id": str(record["eventId"]), "agent_studio.severity": str(record["severity"])}
    return LogRecord(
        "agent_studio.error", time_ns(record), number, text, str(record.get("message") or "")[:_MESSAGE_MAX],
        attributes | conversation, trace if conversation else b"", parent,
    )  # fmt: skip


def time_ns(record: Mapping[str, Any]) -> int:
    """Return when a record was made."""
    moment = datetime.fromisoformat(record["timestamp"])
    if moment.tzinfo is None:
        raise ValueError("a timestamp without a zone")
    return round(moment.timestamp() * 1000) * 1_000_000


def total_input(record: Mapping[str, Any]) -> int:
    """Return all input tokens of a response, those read from and written to a cache too, as the conventions count."""
    return count(record["inputTokens"]) + count(record.get("cacheReadTokens")) + cache_writes(record)


def cache_writes(record: Mapping[str, Any]) -> int:
    """Return the tokens that a response wrote to a cache."""
    return count(record.get("cacheWrite5mTokens")) + count(record.get("cacheWrite1hTokens"))


def count(written: Any) -> int:
    """Return a number of tokens, 0 when there is none; raise `ValueError` for what cannot be one."""
    number = int(written or 0)
    if not 0 <= number <= _COUNT_MAX:
        raise ValueError(f"{number} is no count")
    return number


def _hook(record: Mapping[str, Any]) -> Span:
    status = str(record["status"])
    attributes = _attributes(
        record,
        {
            "agent_studio.hook.name": "hook",
            "agent_studio.hook.event": "event",
            "agent_studio.hook.status": "status",
            "gen_ai.tool.name": "tool",
            "gen_ai.agent.name": "agent",
        },
    )
    failed = status in {"failure", "timeout"}
    metadata = record.get("metadata")
    at_end = isinstance(metadata, dict) and "source" in metadata  # others tell of a hook when it is over
    return _span(f"hook {record['hook']}", record, attributes, record["executionTimeMs"], at_end=at_end, failed=failed)


def _agent(record: Mapping[str, Any]) -> Span:
    session, status = str(record["sessionId"]), str(record["status"])
    attributes: Attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": PROVIDER}
    attributes |= _attributes(
        record,
        {
            "gen_ai.agent.name": "agent",
            "agent_studio.agent.run_id": "agentId",
            "agent_studio.agent.status": "status",
            "agent_studio.agent.tokens_used": "tokensUsed",
            "agent_studio.task.id": "taskId",
        },
    )
    metadata = record.get("metadata")
    first = not (isinstance(metadata, dict) and metadata.get("run"))
    span = _span(
        f"invoke_agent {record['agent']}", record, attributes, record["durationMs"], at_end=True,
        failed=status == "failed", message=str(record.get("errorMessage") or "")[:_MESSAGE_MAX],
        own=_of_task(session, record["taskId"]) if first and record.get("taskId") else b"",
    )  # fmt: skip
    return replace(span, parent_id=root_span_id(session))


def _usage(record: Mapping[str, Any]) -> Span | None:
    if not record.get("model"):
        return None
    model = str(record["model"])
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": str(record.get("provider") or PROVIDER),
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": total_input(record),
        "gen_ai.usage.output_tokens": count(record["outputTokens"]),
        "gen_ai.usage.cache_read.input_tokens": count(record.get("cacheReadTokens")),
        "gen_ai.usage.cache_creation.input_tokens": cache_writes(record),
    }
    attributes |= _attributes(
        record,
        {
            "gen_ai.response.id": "messageId",
            "gen_ai.agent.name": "agent",
            "agent_studio.request.id": "requestId",
            "agent_studio.skill.name": "skill",
            "agent_studio.cost.source": "priceSource",
        },
    )
    if record.get("costUsd") is not None:
        attributes["agent_studio.cost.usd"] = float(record["costUsd"])
    # what grows later is recorded again under another event id, and is still the same response
    own = span_id(event_id("response", record.get("requestId") or record.get("messageId") or record["eventId"]))
    return _span(f"chat {model}", record, attributes, 0, client=True, own=own)


def _session(record: Mapping[str, Any]) -> Span | None:
    """Return the root span of a session once it has ended."""
    if record["event"] != "end":
        return None
    session, end_ns = str(record["sessionId"]), time_ns(record)
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.name": _CLIENT,
        "gen_ai.conversation.id": session,
        **_attributes(record, {"agent_studio.session.reason": "reason", "gen_ai.request.model": "model"}),
    }
    if record.get("costUsd") is not None:
        attributes["agent_studio.cost.usd"] = float(record["costUsd"])
    start_ns = end_ns - _duration_ns(record.get("durationMs") or 0)
    return Span(
        f"invoke_agent {_CLIENT}", trace_id(session), root_span_id(session), b"", start_ns, end_ns, attributes
    )  # fmt: skip


_SPANS = {"hooks": _hook, "agents": _agent, "usage": _usage, "sessions": _session}


def _span(
    name: str,
    record: Mapping[str, Any],
    attributes: Attributes,
    duration_ms: float | None,
    *,
    at_end: bool = False,
    client: bool = False,
    failed: bool = False,
    message: str = "",
    own: bytes = b"",
) -> Span:
    """Return the span of a record whose time is that of its start, or of its end."""
    at_ns, duration_ns = time_ns(record), _duration_ns(duration_ms or 0)
    start_ns = at_ns - duration_ns if at_end else at_ns
    if failed:
        attributes["error.type"] = str(record["status"])
    trace, parent, conversation = _place(record)
    return Span(
        name, trace, own or span_id(str(record["eventId"])), parent, start_ns, start_ns + duration_ns,
        attributes | conversation, client, failed, message,
    )  # fmt: skip


def _place(record: Mapping[str, Any]) -> tuple[bytes, bytes, Attributes]:
    """Return the trace and the parent of a record and the conversation it belongs to; alone when it names none."""
    session, task = record.get("sessionId"), record.get("taskId")
    if not session:
        return trace_id(str(record["eventId"])), b"", {}
    parent = _of_task(str(session), task) if task else root_span_id(str(session))
    return trace_id(str(session)), parent, {"gen_ai.conversation.id": str(session)}


def _of_task(session: str, task: object) -> bytes:
    """Return the span of the agent that a call of the agent tool started: its responses name the call, not the run."""
    return span_id(event_id("task", session, task))


def _duration_ns(duration_ms: Any) -> int:
    duration_ns = round(float(duration_ms) * 1_000_000)
    if duration_ns > _COUNT_MAX:
        raise ValueError(f"{duration_ms} ms is no duration")
    return max(0, duration_ns)


def _attributes(record: Mapping[str, Any], names: Mapping[str, str]) -> Attributes:
    """Return what a record has of some fields, under the names they have outside."""
    found = {name: record.get(own) for name, own in names.items()}
    return {
        name: value
        for name, value in found.items()
        if (isinstance(value, str) and value) or (isinstance(value, int | float) and abs(value) <= _COUNT_MAX)
    }
