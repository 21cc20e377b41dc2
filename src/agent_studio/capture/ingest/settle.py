"""After the inbox: what the transcripts of the sessions at work tell, and what can be closed by it."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import agents, errors, hooks, lines, telemetry
from agent_studio.capture.ingest.transcripts import Transcript
from agent_studio.records import ErrorEvent, SessionEvent, event_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.capture.ingest.work import Session, Work

LOST_NS = 24 * 3_600 * lines.NS
"""A session of which nothing was heard for so long has ended without a word."""
_QUIET_NS = 60 * lines.NS
_HELD = 1_000
_META_MAX_BYTES = 64 << 10
_AGENT_FILE = re.compile(r"^agent-([\w-]{1,100})\.jsonl$")


def settle(work: Work, *, settle_ns: int = 0) -> None:
    """Read the transcripts of the sessions at work and record what is over.

    `settle_ns`: how long an end waits for the client to write what the session cost.
    """
    for session in work.at_work():
        _settle(work, session, settle_ns)
        if work.writer.held > _HELD:
            work.commit()
    work.commit()
    telemetry.settle(work)


def _settle(work: Work, session: Session, settle_ns: int) -> None:
    _close_lost(work, session)
    main = Transcript(work, session, session.transcript)
    files = _agent_files(work, session)
    main_read = main.read()
    session.read = session.read or main_read
    if session.transcript and not main_read:
        work.report.transcripts_missing += 1
    ended_ns = session.ended_ns
    for doc in work.state.open_agents(session.id):
        if agents.may_be_named(work, session, doc):
            continue
        file = files.get(doc["id"]) or _named_file(work, session, doc, files)
        agents.settle(work, session, doc, file.file if file else None, ended_ns)
    for file in (main, *files.values()):
        _finish(work, file, session)
    main.release_old(ended_ns)
    main.keep()
    _unmatched(work, session, readable=main_read)
    if _end(work, session, main, settle_ns):
        work.settled(session)
    else:
        work.due(session)


def _finish(work: Work, file: Transcript, session: Session) -> None:
    """Record the responses that will not grow: of a session or agent that is over, of a file that is quiet."""
    if not file.file["pending"]:
        return
    agent = work.state.agent(session.id, file.agent["id"]) if file.agent else None
    if session.ended_ns is not None or (agent is not None and "closed" in agent):
        file.finish()
    elif (session.stopped_ns or 0) >= file.file.get("last", 0) or work.now_ns - file.modified_ns > _QUIET_NS:
        file.finish(stopped=True)
    file.keep()


def _agent_files(work: Work, session: Session) -> dict[str, Transcript]:
    """Read the agents' own files; what they tell must be known before the main file is read."""
    found: dict[str, Transcript] = {}
    for agent_id, path in _places(work, session):
        doc = agents.document(work, session, agent_id)
        _learn_meta(work, session, agent_id, path)
        file = Transcript(work, session, path, work.state.agent(session.id, agent_id) or doc)
        if file.read():
            found[agent_id] = file
            agents.recognise(work, session, agent_id, file.file.get("asked"))
            doc = work.state.agent(session.id, agent_id) or doc
            file.agent = doc
            if "closed" not in doc and work.state.agent(session.id, agent_id) is None:
                agents.keep(work, session, {**doc, "path": path})
    return found


def _named_file(work: Work, session: Session, doc: dict[str, Any], files: dict[str, Transcript]) -> Transcript | None:
    """Read the file that an agent's end has named."""
    if not isinstance(doc.get("path"), str) or (doc.get("typed") and doc.get("type") == ""):
        return None  # the client writes none for an agent of its own
    file = Transcript(work, session, doc["path"], doc)
    if not file.read():
        work.report.transcripts_missing += 1
        return None
    files[doc["id"]] = file
    return file


def _places(work: Work, session: Session) -> Iterator[tuple[str, str]]:
    """Yield the agents of a session and their files, in the layouts of 2.1 and of 2.0."""
    base = session.transcript.removesuffix(".jsonl")
    if not base or not os.path.isabs(base):  # noqa: PTH117 - it stays text
        return
    for name, path in _listed(os.path.join(base, "subagents")):  # noqa: PTH118 - the same
        yield name, path
    if session.ended_ns is None:
        return  # files beside the main one are named by their end; those without one are looked for when it is over
    for name, path in _listed(os.path.dirname(base)):  # noqa: PTH120 - the same
        known = work.state.transcript(path)
        if (known or {}).get("session", _session_of(path) if known is None else None) == session.id:
            yield name, path


def _listed(folder: str) -> list[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - it stays text
    except (OSError, ValueError):
        return []
    found = [(match[1], os.path.join(folder, name)) for name in names if (match := _AGENT_FILE.match(name))]  # noqa: PTH118
    return [(lines.name(name), path) for name, path in found]


def _session_of(path: str) -> str | None:
    """Return the session that a file beside the main one says it belongs to."""
    with suppress(OSError, ValueError, lines.DamagedLineError), open(path, "rb") as file:  # noqa: PTH123 - it stays text
        return lines.name(lines.at(lines.decode(file.readline(1 << 20)), "sessionId"))
    return None


def _learn_meta(work: Work, session: Session, agent_id: str, path: str) -> None:
    """Take from the file beside an agent's transcript what it is and which call it came from."""
    try:
        with open(f"{path.removesuffix('.jsonl')}.meta.json", "rb") as file:  # noqa: PTH123 - it stays text
            meta = json.loads(file.read(_META_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(meta, dict):
        task, kind = lines.text(meta.get("toolUseId")), lines.text(meta.get("agentType"))
        finished = True if meta.get("finished") is True else None
        agents.join(work, session, agent_id, task, kind=kind, finished=finished)


def _close_lost(work: Work, session: Session) -> None:
    """End a session of which nothing was heard for a day, neither an event nor a line of its transcript."""
    if session.ended_ns is not None or work.now_ns - session.last_ns < LOST_NS:
        return
    with suppress(OSError, ValueError):
        if work.now_ns - os.stat(session.transcript).st_mtime_ns < LOST_NS:  # noqa: PTH116 - it stays text
            return
    session.ended_ns = session.last_ns
    unique = event_id("lost", session.id, session.last_ns)
    end = {"ns": session.last_ns, "id": unique, "reason": "lost", "started": session.started_ns}
    session.put("ends", end)


def _unmatched(work: Work, session: Session, *, readable: bool) -> None:
    """Record what an event told of and no transcript ever will."""
    if readable and session.ended_ns is None:
        return
    for denial in session.denials:
        work.writer.add(hooks.unmatched(denial, session), denial["id"], session.environment)
    for failure in session.failures:
        kind = errors.of_api(failure["text"], None, None, ended=session.ended_ns is not None, repeated=False)
        record = ErrorEvent(
            timestamp=lines.stamp(failure["ns"]), error_type=kind.type, severity=kind.severity, source="api",
            message=failure["text"] or "the API failed", tool=None, session_id=session.id,
        )  # fmt: skip
        work.writer.add(record, failure["id"], session.environment)
    session.denials, session.failures = [], []


def _end(work: Work, session: Session, main: Transcript, settle_ns: int) -> bool:
    """Record the session's ends; return whether nothing more is to be looked at unless something happens."""
    costs: list[str] = main.file["costs"]
    if not costs and main.found and any(0 <= work.now_ns - end["ns"] < settle_ns for end in session.ends):
        return False
    for number, end in enumerate(session.ends):
        last = number == len(session.ends) - 1
        cost = costs[number] if len(costs) == len(session.ends) else costs[-1] if costs and last else None
        record = SessionEvent(
            timestamp=lines.stamp(end["ns"]), session_id=session.id, event="end", reason=end["reason"],
            duration_ms=lines.elapsed_ms(end["started"], end["ns"]), cost_usd=cost,
        )  # fmt: skip
        work.writer.add(record, end["id"], session.environment)
    if session.ends:
        session.ends, main.file["costs"] = [], []
        main.keep()
    return session.ended_ns is None or not (main.file.get("held") or main.file["pending"])
