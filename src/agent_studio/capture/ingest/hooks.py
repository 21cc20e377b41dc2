"""Runs of hooks: those the recorder timed, and those of others that a transcript tells of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import errors, lines
from agent_studio.capture.otlp.daemon import PORTS
from agent_studio.capture.wiring.wrap import label_of
from agent_studio.records import ErrorEvent, HookExecution, event_id

if TYPE_CHECKING:
    from agent_studio.capture.ingest.errors import Kind
    from agent_studio.capture.ingest.lines import Event
    from agent_studio.capture.ingest.work import Session, Work

_OURS = re.compile(r"[/\\]\.agent-studio[/\\]+bin[/\\]+recorder")
_OURS_HTTP = re.compile(r"^https?://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?/hooks/?$")
_REFUSED = re.compile(r"ECONNREFUSED (?:127\.0\.0\.1|::1):(\d{1,5})")
_ABOUT_TOOLS = ("ToolUse", "ToolUseFailure", "PermissionRequest", "PermissionDenied")
_BLOCKED = re.compile(r"(?P<event>PreToolUse):(?P<tool>\S{1,200}) hook error: \[(?P<command>.{1,4000}?)\]: ", re.DOTALL)
_BLOCKED_EXIT = 2
_ATTACHED = {
    "hook_success": "success", "hook_non_blocking_error": "failure", "hook_error_during_execution": "failure",
    "hook_blocking_error": "blocked", "hook_cancelled": "timeout",
}  # fmt: skip
_PRE = "PreToolUse"


def timed(work: Work, event: Event, environment: str) -> None:
    """Record a hook that the recorder ran and timed."""
    payload = event.payload
    if not isinstance(payload, dict) or not isinstance(payload.get("hook"), str):
        raise lines.DamagedLineError
    happened, _, label = lines.name(payload["hook"]).partition(":")
    status = _status(payload)
    about = work.recent.about(lines.name(payload.get("session_id")), happened, event.at_ns)
    session_id = lines.text(payload.get("session_id")) or (about.session or None if about else None)
    record = HookExecution(
        timestamp=lines.stamp(event.at_ns), hook=label or happened, event=happened,
        tool=about.tool if about else None, execution_time_ms=lines.number(payload.get("duration_ms")),
        status=status, session_id=session_id, agent=about.agent if about else None,
        metadata={} if status == "success" else _metadata(payload),
    )  # fmt: skip
    work.writer.add(record, event_id(event.id, 0), environment)
    if session_id:
        session = work.session(session_id, environment)
        session.timed, session.last_ns = True, max(session.last_ns, min(event.at_ns, work.now_ns))
    if status == "blocked" and happened == _PRE:
        _denied(work, event, record, about.tool_use_id if about else None, environment)
    elif status in {"failure", "timeout"}:
        work.writer.add(failed(record), event_id(event.id, 1), environment)


def _status(payload: dict[str, Any]) -> str:
    code = payload.get("exit")
    if payload.get("timedOut") is True:
        return "timeout"
    if code == 0 and not isinstance(code, bool):
        return "success"
    return "blocked" if code == _BLOCKED_EXIT else "failure"


def _metadata(payload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("exit", "signal"):
        value = payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
    return found


def _denied(work: Work, event: Event, record: HookExecution, tool_use_id: str | None, environment: str) -> None:
    """Record a denied call once: its transcript tells of it as well."""
    message = f"{record.hook} blocked {record.tool or 'a tool'}"
    if record.session_id and tool_use_id:
        unique = event_id("tool-failure", record.session_id, tool_use_id)
        work.writer.once(_error(record, errors.DENIED, message), unique, environment)
    elif record.session_id:
        session = work.session(record.session_id, environment)
        session.put("denials", {"ns": event.at_ns, "id": event_id(event.id, 1), "hook": record.hook, "text": message})
        work.due(session)
    else:
        work.writer.add(_error(record, errors.DENIED, message), event_id(event.id, 1), environment)


def failed(record: HookExecution) -> ErrorEvent:
    """Return the error that a failed or timed-out hook is as well."""
    code = record.metadata.get("exit", record.metadata.get("signal"))
    how = "was stopped at its time limit" if record.status == "timeout" else f"failed with {code}"
    return _error(record, errors.SYSTEM, f"{record.hook} {how}")


def _error(record: HookExecution, kind: Kind, message: str) -> ErrorEvent:
    return ErrorEvent(
        timestamp=record.timestamp, error_type=kind.type, severity=kind.severity, source="hook",
        message=message, tool=record.tool, session_id=record.session_id,
        metadata={"hook": record.hook, "event": record.event},
    )  # fmt: skip


def unmatched(denial: dict[str, Any], session: Session) -> ErrorEvent:
    """Return the error of a blocking hook of which the transcript says nothing."""
    return ErrorEvent(
        timestamp=lines.stamp(denial["ns"]), error_type=errors.DENIED.type, severity=errors.DENIED.severity,
        source="hook", message=denial["text"], tool=None, session_id=session.id,
        metadata={"hook": denial["hook"], "event": _PRE},
    )  # fmt: skip


def is_ours(command: Any) -> bool:
    """Tell whether a hook's command is the recorder, bare or around another command, or our daemon."""
    return isinstance(command, str) and bool(_OURS.search(command) or _OURS_HTTP.match(command))


def blocked(work: Work, session: Session, line: dict[str, Any], said: str, agent: str | None) -> None:
    """Record a hook of others that blocked a call, as the call's result names it."""
    found = _BLOCKED.match(said)
    if found is None or is_ours(found["command"]):
        return
    record = HookExecution(
        timestamp=_moment(line, work), hook=label_of(lines.clean(found["command"])), event=found["event"],
        tool=lines.text(found["tool"]), execution_time_ms=None, status="blocked", session_id=session.id, agent=agent,
        metadata={"source": "transcript"},
    )  # fmt: skip
    work.writer.once(record, event_id("hook", lines.name(line.get("uuid")), "blocked"), session.environment)


def attached(work: Work, session: Session, line: dict[str, Any], agent: str | None) -> None:
    """Record a hook of others that a transcript's attachment tells of; ours are in the inbox."""
    found = line["attachment"]
    status = _ATTACHED.get(found.get("type"))
    command = found.get("command")
    if (
        status is None
        or is_ours(command)
        or _unreached(found)
        or (status == "timeout" and found.get("timedOut") is not True)
    ):
        return
    duration, code = lines.number(found.get("durationMs")), found.get("exitCode")
    if status == "success" and duration is None and not isinstance(code, int):
        return
    happened = lines.name(found.get("hookEvent"))
    named, _, tool = lines.name(found.get("hookName")).partition(":")
    if not (happened or named).endswith(_ABOUT_TOOLS):
        tool = ""  # a source or a reason
    metadata: dict[str, Any] = {"source": "transcript"}
    if isinstance(code, int) and not isinstance(code, bool):
        metadata["exit"] = code
    label = label_of(lines.clean(command)) if isinstance(command, str) else happened or named
    record = HookExecution(
        timestamp=_moment(line, work), hook=label,
        event=happened or named, tool=tool or None, execution_time_ms=duration, status=status, session_id=session.id,
        agent=agent, metadata=metadata,
    )  # fmt: skip
    unique = (
        "hook",
        lines.name(line.get("uuid")) or f"{session.id} {lines.name(found.get('toolUseID'))} {record.hook}",
    )
    if work.writer.once(record, event_id(*unique), session.environment) and status in {"failure", "timeout"}:
        work.writer.once(failed(record), event_id(*unique, "error"), session.environment)


def _unreached(found: dict[str, Any]) -> bool:
    """Tell whether it was our daemon that an http hook did not reach: the client then names no command."""
    refused = _REFUSED.search(str(found.get("stderr")))
    return found.get("command") is None and refused is not None and int(refused[1]) in PORTS.values()


def at_stop(work: Work, session: Session, line: dict[str, Any], agent: str | None) -> None:
    """Record the hooks of others that ran when a turn ended, from the client's summary of them."""
    infos, said = line.get("hookInfos"), line.get("hookErrors")
    indexes = line.get("failedHookErrorIndexes")
    said = [str(text) for text in said] if isinstance(said, list) else []
    failures = tuple(text for number, text in enumerate(said) if isinstance(indexes, list) and number in indexes)
    blocks = tuple(text for text in said if text not in failures)
    for number, info in enumerate(infos if isinstance(infos, list) else []):
        command, duration = lines.at(info, "command"), lines.number(lines.at(info, "durationMs"))
        if not isinstance(command, str) or is_ours(command):
            continue
        blocked = any(text.startswith(f"[{command}]") for text in blocks)
        failure = any(text.startswith(f"[{command}]") for text in failures)  # it has an attachment of its own
        if failure or (duration is None and not blocked):
            continue
        record = HookExecution(
            timestamp=_moment(line, work), hook=label_of(lines.clean(command)), event="Stop", tool=None,
            execution_time_ms=duration, status="blocked" if blocked else "success", session_id=session.id,
            agent=agent, metadata={"source": "transcript"},
        )  # fmt: skip
        work.writer.once(record, event_id("hook", lines.name(line.get("uuid")), number), session.environment)


def _moment(line: dict[str, Any], work: Work) -> str:
    return lines.stamp(lines.instant(line.get("timestamp")) or work.now_ns)
