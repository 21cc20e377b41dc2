"""What the client's hook events say: sessions, prompts, calls of agents, and failures where an event tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import agents, artifacts, errors, lines
from agent_studio.records import ErrorEvent, SessionEvent, event_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.capture.ingest.lines import Event, Near
    from agent_studio.capture.ingest.work import Session, Work

_REOPENS_NS = lines.NS
_QUIET = frozenset({
    "Setup", "InstructionsLoaded", "PermissionRequest", "PostToolBatch", "PreCompact", "PostCompact",
    "ConfigChange", "CwdChanged", "FileChanged", "DirectoryAdded", "WorktreeCreate", "WorktreeRemove",
    "MessageDisplay", "Notification", "PreModelSwitch", "PostModelSwitch", "TaskCreated", "TaskCompleted",
    "TeammateIdle", "Elicitation", "ElicitationResult",
})  # fmt: skip
"""Events that make no record."""


def take(work: Work, event: Event, environment: str) -> bool:
    """Record what an event says; return False when it is not one we know."""
    payload = event.payload
    near = event.near or about(event)
    if near is None or not near.session:
        return False
    happened, session_id = payload["hook_event_name"], near.session
    handler = _HANDLERS.get(happened)
    if handler is None and happened not in _QUIET:
        return False
    session = work.session(session_id, environment)
    session.last_ns = max(session.last_ns, min(event.at_ns, work.now_ns))
    path = payload.get("transcript_path")
    if isinstance(path, str) and path != session.transcript and lines.clean(path) == path:
        session.transcript = path
        work.due(session)
    if handler is not None:
        handler(work, session, event, near)
    return True


def note(work: Work, event: Event) -> None:
    """Remember an event for the hooks that ran for it, before any of them is looked at."""
    event.near = about(event)
    if event.near is not None:
        work.recent.add(event.payload["hook_event_name"], event.near)


def about(event: Event) -> lines.Near | None:
    """Return what an event is about, or None when it does not say which it is."""
    payload = event.payload
    if not isinstance(payload, dict) or not isinstance(payload.get("hook_event_name"), str):
        return None
    return lines.Near(
        event.at_ns, lines.name(payload.get("session_id")), lines.text(payload.get("tool_name")),
        lines.text(payload.get("agent_type")) or None, lines.text(payload.get("tool_use_id")),
    )  # fmt: skip


def _started(work: Work, session: Session, event: Event, _near: Near) -> None:
    source = lines.text(event.payload.get("source"))
    if source != "compact" or session.started_ns is None:
        session.started_ns, session.ended_ns, session.stopped_ns = event.at_ns, None, None
    if source != "compact":
        work.begun(session, event.at_ns)
    _log(work, session, event, "start", source=source, model=lines.text(event.payload.get("model")))
    work.due(session)


def _prompted(work: Work, session: Session, event: Event, _near: Near) -> None:
    _reopen(session, event)
    prompt = event.payload.get("prompt")
    source = lines.text(event.payload.get("source"))
    metadata: dict[str, Any] = {}
    if isinstance(prompt, str):
        metadata["length"] = len(prompt)
        if prompt.startswith("<task-notification>"):
            source = "task-notification"
            agents.notified(work, session, prompt, event.at_ns)
        elif prompt.startswith("/"):
            artifacts.prompted(work, session, event, prompt)
    if event.bytes is not None:
        metadata = {"cut": True}
    _log(work, session, event, "prompt", source=source, metadata=metadata)


def _stopped(work: Work, session: Session, event: Event, _near: Near) -> None:
    session.stopped_ns = max(session.stopped_ns or 0, event.at_ns)
    _log(work, session, event, "stop")
    work.due(session)


def _ended(work: Work, session: Session, event: Event, _near: Near) -> None:
    session.ended_ns = event.at_ns
    session.put("ends", {
        "ns": event.at_ns, "id": event_id(event.id, 0), "reason": lines.text(event.payload.get("reason")),
        "started": session.started_ns,
    })  # fmt: skip
    work.due(session)


def _calling(work: Work, session: Session, event: Event, near: Near) -> None:
    _reopen(session, event)
    if near.tool in agents.TOOLS:
        agents.called(work, session, event, near)


def _returned(work: Work, session: Session, event: Event, near: Near) -> None:
    if near.tool in agents.TOOLS:
        agents.returned(work, session, event, near)
    if near.tool in artifacts.TOOLS:
        artifacts.returned(work, session, event, near)


def _failed(work: Work, session: Session, event: Event, near: Near) -> None:
    said = event.payload.get("error")
    said = said if isinstance(said, str) else ""
    if event.payload.get("is_interrupt") is True or errors.by_user(said):
        return
    kind = errors.of_tool(said, near.tool)
    if near.tool in agents.TOOLS and near.tool_use_id:
        denied = kind is errors.DENIED
        agents.call_failed(work, session, near.tool_use_id, said, event.at_ns, denied=denied)
        if said.startswith(errors.AGENT_API_ERROR):
            return  # the agent's own file tells of it
    _tool_error(work, session, event, near, kind, said)


def _refused(work: Work, session: Session, event: Event, near: Near) -> None:
    reason = event.payload.get("reason")
    _tool_error(work, session, event, near, errors.DENIED, reason if isinstance(reason, str) else "permission denied")


def _tool_error(work: Work, session: Session, event: Event, near: Near, kind: errors.Kind, said: str) -> None:
    record = ErrorEvent(
        timestamp=lines.stamp(event.at_ns), error_type=kind.type, severity=kind.severity, source="tool",
        message=lines.text(said, lines.MESSAGE_MAX) or "it failed", tool=near.tool, session_id=session.id,
        metadata={"agent": near.agent} if near.agent else {},
    )  # fmt: skip
    if near.tool_use_id:
        work.writer.once(record, event_id("tool-failure", session.id, near.tool_use_id), session.environment)
    else:
        work.writer.add(record, event_id(event.id, 0), session.environment)


def _api_failed(work: Work, session: Session, event: Event, _near: Near) -> None:
    """Hold an API failure back: its line in the transcript says more."""
    said = " ".join(filter(None, (lines.text(event.payload.get(name)) for name in ("error", "error_details"))))
    if session.failures_told:
        session.failures_told -= 1
        return
    session.put("failures", {"ns": event.at_ns, "id": event_id(event.id, 0), "text": said})
    work.due(session)


def _reopen(session: Session, event: Event) -> None:
    """Open a session again that goes on after its end."""
    if session.ended_ns is not None and event.at_ns > session.ended_ns + _REOPENS_NS:
        session.ended_ns = None


def _log(work: Work, session: Session, event: Event, happened: str, **details: Any) -> None:
    record = SessionEvent(timestamp=lines.stamp(event.at_ns), session_id=session.id, event=happened, **details)
    work.writer.add(record, event_id(event.id, 0), session.environment)


_HANDLERS: dict[str, Callable[[Work, Session, Event, Near], None]] = {
    "SessionStart": _started, "UserPromptSubmit": _prompted, "Stop": _stopped, "SessionEnd": _ended,
    "PreToolUse": _calling, "PostToolUse": _returned, "PostToolUseFailure": _failed, "PermissionDenied": _refused,
    "StopFailure": _api_failed, "SubagentStart": agents.started, "SubagentStop": agents.stopped,
    "UserPromptExpansion": artifacts.expanded,
}  # fmt: skip
