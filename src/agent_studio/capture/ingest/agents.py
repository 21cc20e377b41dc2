"""Agent runs, put together from several events and from the agents' own transcripts.

An agent's document: `id, type, typed` (the event named a type, be it empty), `task` (tool_use_id), `parent` (the id of
the agent that called it), `start, stop, returned` (ns), `began` (ns; the event of its start), `path`, `status, message`
(what the client reported), `finished` (its meta file), `closed` (ns), `runs`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import errors, lines, usage
from agent_studio.records import AgentRun, event_id

if TYPE_CHECKING:
    from agent_studio.capture.ingest.lines import Event, Near
    from agent_studio.capture.ingest.work import Session, Work

TOOLS = frozenset({"Agent", "Task"})
_PATIENCE_NS = 60 * lines.NS
"""How long an agent of which no type is known waits for the call that names it."""
_NOTIFIED = re.compile(r"<task-id>([\w-]{1,64})</task-id>|<status>(\w{1,32})</status>|<summary>([^<]{0,2000})")
_STATUSES = {"completed": "completed", "failed": "failed", "killed": "cancelled", "stopped": "cancelled"}
_DEAD = "the session ended before the agent did"


def called(work: Work, session: Session, event: Event, near: Near) -> None:
    """Take note of a call of the agent tool; its transcript may have told before that it failed."""
    given = event.payload.get("tool_input")
    kind, asked = lines.text(lines.at(given, "subagent_type")), mark(lines.at(given, "prompt"))
    by = lines.name(event.payload.get("agent_id")) or None
    call = {"type": kind, "ns": event.at_ns, "asked": asked, "by": by}
    early = next((one for one in session.calls_failed if one["task"] == near.tool_use_id), None)
    if early is None:
        session.call(near.tool_use_id or f"?{event.id}", call)
    else:
        session.calls_failed.remove(early)
        _never_began(work, session, call, early)


def mark(prompt: Any) -> str | None:
    """Return what tells one prompt from another; the prompt itself is not kept."""
    return event_id(prompt) if isinstance(prompt, str) else None


def returned(work: Work, session: Session, event: Event, near: Near) -> None:
    """Join a call with its agent; an asynchronous one has only been launched."""
    response = event.payload.get("tool_response")
    agent_id = lines.name(lines.at(response, "agentId"))
    if agent_id:
        launched = lines.at(response, "status") == "async_launched" or lines.at(response, "isAsync") is True
        kind = lines.text(lines.at(event.payload, "tool_input", "subagent_type"))
        ended = None if launched else event.at_ns
        join(work, session, agent_id, near.tool_use_id, kind=kind, returned_ns=ended)
        work.due(session)
    elif not near.tool_use_id:
        _oldest_call(session)


def started(work: Work, session: Session, event: Event, near: Near) -> None:
    """Take note of an agent's start."""
    agent_id = lines.name(event.payload.get("agent_id"))
    if agent_id:
        doc = document(work, session, agent_id)
        if _is_over(doc, "began", event):
            doc = _again(doc)
        doc["began"] = event.at_ns
        if "closed" not in doc:
            doc.update(start=event.at_ns, type=near.agent or doc.get("type"))
        keep(work, session, doc)


def stopped(work: Work, session: Session, event: Event, near: Near) -> None:
    """Take note of an agent's end; of what it did, its transcript tells."""
    payload = event.payload
    agent_id = lines.name(payload.get("agent_id"))
    if not agent_id:  # the oldest clients: the call that waits longest
        call = _oldest_call(session)
        if call is None:
            return
        agent_id = event_id(event.id, "agent")
        doc = {**document(work, session, agent_id), "type": call["type"], "start": call["ns"], "typed": True}
    else:
        doc = document(work, session, agent_id)
    if "closed" in doc and (payload.get("stop_hook_active") is True or session.ended_ns is not None):
        return
    if _is_over(doc, "stop", event):
        doc = _again(doc)
    doc["stop"] = event.at_ns
    if "closed" in doc:
        keep(work, session, doc)
        return
    if "agent_type" in payload:
        doc["typed"], doc["type"] = True, near.agent or ("" if payload["agent_type"] == "" else doc.get("type"))
    path = payload.get("agent_transcript_path")
    if isinstance(path, str) and lines.clean(path) == path:
        doc["path"] = path
    keep(work, session, doc)
    work.due(session)


def _is_over(doc: dict[str, Any], name: str, event: Event) -> bool:
    """Tell whether an event is of a new run; the recorded one's own is read late when its transcript was faster."""
    return "closed" in doc and (name in doc or event.at_ns > doc["closed"] + _PATIENCE_NS)


def _again(doc: dict[str, Any]) -> dict[str, Any]:
    """Return the document of an agent that goes on after its end, as it can when it is sent a message."""
    names = ("id", "runs", "type", "task", "parent", "path", "tokens")
    kept: dict[str, Any] = {name: doc[name] for name in names if name in doc}
    return {**kept, "after": doc["closed"]}


def notified(work: Work, session: Session, prompt: str, at_ns: int) -> None:
    """Take from a task notification how a background agent ended."""
    found = {kind: match[kind] for match in _NOTIFIED.finditer(prompt[:8_000]) for kind in (1, 2, 3) if match[kind]}
    status = _STATUSES.get(found.get(2, ""))
    doc = work.state.agent(session.id, lines.name(found.get(1))) if status else None
    if doc is not None and "closed" not in doc:
        doc.update(status=status, reported=at_ns)
        if status == "failed":
            doc["message"] = lines.text(found.get(3), lines.MESSAGE_MAX)
        keep(work, session, doc)
        work.due(session)


def call_failed(
    work: Work,
    session: Session,
    tool_use_id: str,
    said: str,
    at_ns: int,
    *,
    by_user: bool = False,
    denied: bool = False,
) -> None:
    """Take note that a call of the agent tool failed.

    An agent that never came to be has failed all the same, unless nobody let it begin.
    """
    call = session.calls.pop(tool_use_id, None)
    for doc in work.state.open_agents(session.id):
        if doc.get("task") == tool_use_id:
            doc.update(status="cancelled" if by_user else "failed", reported=at_ns)
            doc["message"] = None if by_user else lines.text(said, lines.MESSAGE_MAX)
            keep(work, session, doc)
            return
    if by_user or denied or said.startswith(errors.AGENT_API_ERROR):
        return
    failure = {"task": tool_use_id, "ns": at_ns, "text": lines.text(said, lines.MESSAGE_MAX)}
    if call is None:
        session.put("calls_failed", failure)
    else:
        _never_began(work, session, call, failure)


def _never_began(work: Work, session: Session, call: dict[str, Any], failure: dict[str, Any]) -> None:
    task, at_ns = failure["task"], failure["ns"]
    record = AgentRun(
        timestamp=lines.stamp(at_ns), agent=call["type"] or "unknown", agent_id=task, session_id=session.id,
        task_id=task, duration_ms=lines.elapsed_ms(call["ns"], at_ns), tokens_used=0, status="failed",
        error_message=failure["text"], parent_agent_id=call.get("by"),
    )  # fmt: skip
    work.writer.once(record, event_id("agent", session.id, task), session.environment)


def recognise(work: Work, session: Session, agent_id: str, asked: str | None) -> None:
    """Join an agent of which nothing is known with the call that asked the same, when there is only one."""
    doc = document(work, session, agent_id)
    calls = [task for task, call in session.calls.items() if asked and call.get("asked") == asked]
    if len(calls) == 1 and not doc.get("task") and not doc.get("type"):
        join(work, session, agent_id, calls[0])


def join(
    work: Work, session: Session, agent_id: str, task: str | None, *, kind: str | None = None,
    returned_ns: int | None = None, finished: bool | None = None,
) -> None:  # fmt: skip
    """Tell an agent which call it came from, and what else is known about it."""
    doc = document(work, session, agent_id)
    call = session.calls.pop(task, None) if task else None
    if "closed" in doc:
        return
    if call:
        doc.setdefault("start", call["ns"])
        doc.setdefault("parent", call.get("by"))
    doc["type"] = doc.get("type") or kind or (call["type"] if call else None)
    news = {"task": task, "returned": returned_ns, "finished": finished}
    doc.update({name: value for name, value in news.items() if value is not None})
    keep(work, session, doc)


def document(work: Work, session: Session, agent_id: str) -> dict[str, Any]:
    """Return what is known about an agent."""
    return work.state.agent(session.id, agent_id) or {"id": agent_id, "runs": 0}


def keep(work: Work, session: Session, doc: dict[str, Any]) -> None:
    """Remember what is known about an agent."""
    work.state.put_agent(session.id, doc["id"], doc, is_open="closed" not in doc)


def _oldest_call(session: Session) -> dict[str, Any] | None:
    oldest = min(
        (key for key in session.calls if key.startswith("?")), key=lambda key: session.calls[key]["ns"], default=""
    )
    return session.calls.pop(oldest, None)


def settle(work: Work, session: Session, doc: dict[str, Any], file: dict[str, Any] | None, dead_ns: int | None) -> None:
    """Record an agent's run if it is over; `file` is what its transcript said, `dead_ns` when its session was over."""
    if doc.get("typed") and doc.get("type") == "" and "stop" in doc:
        work.report.compactions += 1
        _close(work, session, doc, doc["stop"])
        return
    if _is_warmup(session, doc, file, dead_ns):
        work.report.warmups += 1
        _close(work, session, doc, doc.get("stop") or dead_ns or work.now_ns)
        return
    outcome = _outcome(doc, file or {}, dead_ns)
    if outcome is not None:
        _record(work, session, doc, file, *outcome)


def _is_warmup(session: Session, doc: dict[str, Any], file: dict[str, Any] | None, dead_ns: int | None) -> bool:
    """Tell the client's own warm-up agents from those of the project: nobody called them."""
    if doc.get("task") or doc.get("typed"):
        return False
    if file is not None:
        return bool(file.get("warmup"))
    return dead_ns is not None and not doc.get("type") and not session.calls


def may_be_named(work: Work, session: Session, doc: dict[str, Any]) -> bool:
    """Tell whether an agent of no known type may still be named, by the end of the call that it came from."""
    if doc.get("type") or doc.get("typed") or session.ended_ns is not None:
        return False
    since = doc.get("stop") or 0
    return work.now_ns - since < _PATIENCE_NS and (session.stopped_ns or 0) < since


def _outcome(doc: dict[str, Any], file: dict[str, Any], dead_ns: int | None) -> tuple[int, str, str | None] | None:
    """Return when and how an agent ended and why it failed, or None while it runs."""
    ending, said, last = file.get("ending"), file.get("error"), file.get("last")
    reported, message = doc.get("status"), doc.get("message")
    stop = doc.get("stop")
    if stop is not None and (dead_ns is None or stop <= dead_ns):
        if ending == "api_error" or reported == "failed":
            return stop, "failed", said or message
        return (
            stop,
            "cancelled" if "interrupted" in {ending, reported} or reported == "cancelled" else "completed",
            None,
        )
    if ending == "api_error" and (reported or doc.get("finished") or doc.get("returned") or dead_ns is not None):
        return last or doc.get("reported") or dead_ns or 0, "failed", said
    if reported:
        return doc["reported"], reported, message
    if ending == "interrupted" and (doc.get("finished") or dead_ns is not None):
        return last or dead_ns or 0, "cancelled", None
    if doc.get("finished") and ending == "end_turn" and dead_ns is not None:
        return last or dead_ns, "completed", None
    if dead_ns is not None:
        return (doc["returned"], "completed", None) if doc.get("returned") else (dead_ns, "failed", _DEAD)
    return None


def _record(
    work: Work, session: Session, doc: dict[str, Any], file: dict[str, Any] | None, end_ns: int, status: str,
    message: str | None,
) -> None:  # fmt: skip
    start = doc.get("start") or (None if doc["runs"] else (file or {}).get("first")) or doc.get("after")
    tokens = usage.used(file) if file else None
    unique = ("agent", session.id, doc["id"], *([doc["runs"] + 1] if doc["runs"] else []))
    record = AgentRun(
        timestamp=lines.stamp(end_ns), agent=doc.get("type") or "unknown", agent_id=doc["id"], session_id=session.id,
        task_id=doc.get("task"), duration_ms=lines.elapsed_ms(start, end_ns),
        tokens_used=None if tokens is None else max(tokens - (doc.get("tokens") or 0), 0), status=status,
        error_message=message, parent_agent_id=doc.get("parent"),
        metadata={"run": doc["runs"] + 1} if doc["runs"] else {},
    )  # fmt: skip
    work.writer.once(record, event_id(*unique), session.environment)
    doc["tokens"] = tokens
    _close(work, session, doc, end_ns)


def _close(work: Work, session: Session, doc: dict[str, Any], at_ns: int) -> None:
    doc.update(closed=at_ns, runs=doc["runs"] + 1)
    keep(work, session, doc)
