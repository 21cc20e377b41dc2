"""What came by OpenTelemetry. It fills in for what neither the inbox nor a transcript tells, and is else only counted.

A record of it waits until its session is over, or 10 minutes: by then its transcript has told what it knows.
Metrics and traces are counted, not more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import errors, lines, usage
from agent_studio.cost.book import Told
from agent_studio.cost.counting import tokens
from agent_studio.records import ErrorEvent, HookExecution, event_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.capture.ingest.lines import Event
    from agent_studio.capture.ingest.work import Session, Work

_PATIENCE_NS = 600 * lines.NS
_PREFIX = "claude_code."
_TEXTS = ("model", "request_id", "tool_name", "tool_use_id", "error", "error_type", "hook_event", "hook_name", "speed")
_NUMBERS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "cache_creation_5m_tokens",
    "cache_creation_1h_tokens", "status_code", "total_duration_ms", "num_hooks", "num_blocking",
    "num_non_blocking_error", "num_cancelled",
)  # fmt: skip


def take(work: Work, event: Event, environment: str) -> None:
    """Take one log record, metric point or span."""
    payload = event.payload
    signal = payload.get("signal") if isinstance(payload, dict) else None
    if signal not in {"logs", "metrics", "traces"}:
        raise lines.DamagedLineError
    work.report.telemetry[signal] = work.report.telemetry.get(signal, 0) + 1
    attributes = payload.get("attributes")
    name = lines.name(payload.get("name")).removeprefix(_PREFIX)
    if signal != "logs" or name not in _HANDLERS or not isinstance(attributes, dict):
        return
    if name == "tool_result" and str(attributes.get("success")).lower() != "false":
        return
    at_ns = payload.get("time_ns")
    doc: dict[str, Any] = {
        "name": name, "environment": environment, "session": lines.name(attributes.get("session.id")),
        "ns": at_ns if isinstance(at_ns, int) and at_ns > 0 else event.at_ns,
    }  # fmt: skip
    doc |= {field: lines.text(attributes.get(field), lines.MESSAGE_MAX) for field in _TEXTS}
    doc |= {field: _whole(attributes.get(field)) for field in _NUMBERS}
    work.state.wait(event_id(event.id, 0), doc)


def _whole(value: Any) -> int | None:
    found = lines.number(value)
    return None if found is None else int(found)


def settle(work: Work) -> None:
    """Record what no better source has told of."""
    for unique, doc in work.state.waiting():
        session = work.known(doc["session"]) if doc["session"] else None
        over = session is not None and session.ended_ns is not None and not session.ends
        if over or work.now_ns - doc["ns"] > _PATIENCE_NS:
            _HANDLERS[doc["name"]](work, unique, doc, session)
            work.state.forget_waiting(unique)


def _request(work: Work, _unique: str, doc: dict[str, Any], session: Session | None) -> None:
    said = tokens(
        doc["input_tokens"], doc["output_tokens"], doc["cache_read_tokens"], doc["cache_creation_tokens"],
        doc["cache_creation_5m_tokens"], doc["cache_creation_1h_tokens"], None,
    )  # fmt: skip
    if said is None:
        work.report.damaged += 1
    elif doc["request_id"]:
        record = usage.of(
            doc["session"], doc["request_id"], "", doc["model"] or "unknown", doc["ns"], said, source="otel",
            speed=doc["speed"], project=usage.project_of(session.transcript if session else ""),
        )  # fmt: skip
        work.writer.usage(Told(record, doc["environment"]))


def _api_error(work: Work, unique: str, doc: dict[str, Any], session: Session | None) -> None:
    if session is not None and session.read:
        return
    kind = errors.of_api(doc["error"] or "", None, doc["status_code"], ended=False, repeated=False)
    _error(work, unique, doc, kind, "api", doc["error"] or "the API failed")


def _tool_result(work: Work, unique: str, doc: dict[str, Any], session: Session | None) -> None:
    said = doc["error"] or doc["error_type"] or "it failed"
    if errors.by_user(said):
        return
    if doc["session"] and doc["tool_use_id"]:
        unique = event_id("tool-failure", doc["session"], doc["tool_use_id"])
    elif session is not None and session.read:
        return
    _error(work, unique, doc, errors.of_tool(said, doc["tool_name"]), "tool", said)


def _error(work: Work, unique: str, doc: dict[str, Any], kind: errors.Kind, source: str, said: str) -> None:
    record = ErrorEvent(
        timestamp=lines.stamp(doc["ns"]), error_type=kind.type, severity=kind.severity, source=source, message=said,
        tool=doc["tool_name"], session_id=doc["session"] or None, metadata={"source": "otel"},
    )  # fmt: skip
    work.writer.once(record, unique, doc["environment"])


def _hooks_done(work: Work, unique: str, doc: dict[str, Any], session: Session | None) -> None:
    """Record a batch of hooks as one, for a session of which neither the recorder nor a transcript told."""
    if session is not None and (session.timed or session.read):
        return
    failures = (doc["num_non_blocking_error"] or 0) + (doc["num_cancelled"] or 0)
    status = "blocked" if doc["num_blocking"] else "failure" if failures else "success"
    event, _, tool = (doc["hook_name"] or "").partition(":")
    record = HookExecution(
        timestamp=lines.stamp(doc["ns"]), hook=doc["hook_name"] or doc["hook_event"] or "hooks",
        event=doc["hook_event"] or event, tool=tool or None, execution_time_ms=doc["total_duration_ms"], status=status,
        session_id=doc["session"] or None, metadata={"source": "otel", "batch": True, "hooks": doc["num_hooks"]},
    )  # fmt: skip
    work.writer.once(record, unique, doc["environment"])


_HANDLERS: dict[str, Callable[[Work, str, dict[str, Any], Session | None], None]] = {
    "api_request": _request, "api_error": _api_error, "tool_result": _tool_result,
    "hook_execution_complete": _hooks_done,
}  # fmt: skip
