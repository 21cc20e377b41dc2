"""The verdict on what should be heard of and is not, and on the ledger: silence, a late ingest, damage.

An agent that has not ended has no record yet; what ingest knows of it is in its state file, which is only read.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.sharing import sharing
from agent_studio.errors import AgentStudioError
from agent_studio.monitor import ledger_tail
from agent_studio.monitor.summary import DAY_MS, HOUR_MS
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN, Verdict, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.summary import Summary

SILENCE, INGEST, LEDGER = "silence", "ingest", "ledger"
HOOKS = "hooks"
_STATE = "ingest.sqlite3"
_INBOX = "events.jsonl"
_STAMP = re.compile(rb'"ts": ?(\d{16,19})')
_LINE_BYTES = 4_096
_MINUTE_MS = 60_000
_AGENT_MS = HOUR_MS
"""An agent may always run for as long."""
_TIMES_USUAL = 3
"""And for so many times as long as its p95."""
_LATE_MS = HOUR_MS
_CHANCE = 0.001
"""Silence that comes by chance more often than this is none."""
_WAIT_S = 2.0


class Started(NamedTuple):
    """An agent that has started and not ended."""

    agent: str
    session: str
    at_ms: int


def verdicts(context: Context, summary: Summary, recent: Summary | None) -> Iterator[Verdict]:
    """Yield the verdict on silent agents and hooks, on what waits for ingest, and on the end of the ledger.

    Of what many machines share it is that on hooks alone: the rest is in each machine's own files.
    """
    if context.shared is not None:
        yield from () if recent is None else (_hooks(summary, recent),)
        return
    owner = next(iter(sharing(context).values()))
    now_ms = summary.window.until_ms
    try:
        yield from _agents(context, owner, summary, now_ms)
    except (sqlite3.Error, OSError, AgentStudioError) as error:
        yield unknown(SILENCE, "MEDIUM", f"what ingest remembers could not be read: {error}")
    if recent is not None:
        yield _hooks(summary, recent)
    try:
        yield _ingest(owner, now_ms)
    except (sqlite3.Error, OSError, AgentStudioError) as error:
        yield unknown(INGEST, "MEDIUM", f"the inbox could not be looked at: {error}")
    yield _ledger(context)


def _agents(context: Context, owner: EnvironmentRoot, summary: Summary, now_ms: int) -> Iterator[Verdict]:
    """Yield a verdict for each agent that runs and one for all; a run that has not ended in a day was left behind."""
    usual = {one.agent: one.p95_ms for one in summary.agents}
    oldest: dict[str, Started] = {}
    running = 0
    for one in _started(owner, str(context.environment)):
        if now_ms - DAY_MS <= one.at_ms <= now_ms:
            running += 1
            held = oldest.get(one.agent, one)
            oldest[one.agent] = min(held, one, key=lambda started: started.at_ms)
    for agent, one in sorted(oldest.items()):
        limit_ms = max(_AGENT_MS, _TIMES_USUAL * (usual.get(agent) or 0))
        ran_ms = now_ms - one.at_ms
        yield Verdict(
            SILENCE, agent, BREACH if ran_ms > limit_ms else OK, "MEDIUM", _in_minutes(ran_ms), None, None,
            _in_minutes(limit_ms), "minutes", 1, 0,
            f"started {_shown(ran_ms)} ago in session {one.session} and has not stopped, limit {_shown(limit_ms)}",
        )  # fmt: skip
    said = f"{running} {'agent runs' if running == 1 else 'agents run'}"
    yield Verdict(SILENCE, "", OK, "MEDIUM", None, None, None, None, "minutes", running, 0, said)


def _started(owner: EnvironmentRoot, environment: str) -> list[Started]:
    """Return the agents that ingest knows as open."""
    rows = _asked(
        owner,
        "SELECT agent.session, agent.doc, session.doc FROM agent JOIN session ON session.id = agent.session "
        "WHERE agent.open",
    )
    found = []
    for session, told, about in rows:
        agent, of = json.loads(told), json.loads(about)
        start = agent.get("start")
        if isinstance(start, int) and not agent.get("closed") and of.get("environment") == environment:
            found.append(Started(str(agent.get("type") or "unknown"), str(session), start // 1_000_000))
    return found


def _asked(owner: EnvironmentRoot, query: str) -> list[tuple[Any, ...]]:
    """Return rows of ingest's state, as it was last committed; none when there is no such file."""
    if not owner.state.has_file(_STATE):
        return []
    place = owner.state.path / _STATE
    with closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as connection:
        return connection.execute(query).fetchall()


def _hooks(summary: Summary, recent: Summary) -> Verdict:
    """Judge whether hooks that used to run with prompts still do: of none while many were due, chance is ruled out."""
    calls, prompts = sum(one.calls for one in summary.hooks), summary.sessions.prompts
    heard, asked = sum(one.calls for one in recent.hooks), recent.sessions.prompts
    before_calls, before_prompts = calls - heard, prompts - asked
    due = asked * before_calls / before_prompts if before_prompts > 0 else 0.0
    state = BREACH if not heard and due and math.exp(-due) < _CHANCE else OK
    if not prompts or not calls:
        state = UNKNOWN
    message = f"{heard:,} runs of hooks with {asked:,} prompts in the last hour, about {due:,.0f} were due"
    return Verdict(
        SILENCE, HOOKS, state, "HIGH", float(heard), None, None, round(due, 1), "calls", asked, 0, message,
        clear=state != BREACH,
    )  # fmt: skip


def _ingest(owner: EnvironmentRoot, now_ms: int) -> Verdict:
    """Judge how long the oldest event waits to be ingested."""
    oldest_ms = _waiting_since(owner)
    waits_ms = 0 if oldest_ms is None else max(now_ms - oldest_ms, 0)
    state = BREACH if waits_ms > _LATE_MS else OK
    message = "nothing waits for ingest" if oldest_ms is None else f"events wait for ingest, {_shown(waits_ms)} by now"
    return Verdict(
        INGEST, "", state, "MEDIUM", _in_minutes(waits_ms), None, None, _in_minutes(_LATE_MS), "minutes", 1, 0, message,
        clear=waits_ms < _LATE_MS / 2,
    )  # fmt: skip


def _waiting_since(owner: EnvironmentRoot) -> int | None:
    """Return when the first event that was not ingested was recorded, ms since 1970, or None."""
    folder = owner.folder("metrics")
    status = folder.status(_INBOX) if folder.has_folder() else None
    if status is None or not status.st_size:
        return None
    position = _taken(owner, status.st_size)
    if position == status.st_size:
        return None
    with os.fdopen(folder.open(_INBOX), "rb") as file:
        file.seek(position)
        first = file.read(_LINE_BYTES)
        file.seek(max(status.st_size - 1, 0))
        is_whole = b"\n" in first or file.read(1) == b"\n"
    found = _STAMP.search(first)
    return int(found[1]) // 1_000_000 if found and is_whole else None


def waiting_bytes(context: Context) -> int | None:
    """Return how much of the inbox was not ingested; None when what ingest remembers cannot be read."""
    owner = next(iter(sharing(context).values()))
    inbox = owner.folder("metrics").status(_INBOX)
    if inbox is None:
        return 0
    try:
        return inbox.st_size - _taken(owner, inbox.st_size)
    except sqlite3.Error:
        return None


def _taken(owner: EnvironmentRoot, size: int) -> int:
    """Return up to where ingest has read the inbox, which is kept until it is large enough to be sealed."""
    positions = [int(row[0]) for row in _asked(owner, "SELECT position FROM segment ORDER BY name DESC")]
    if size in positions:
        return size
    position = positions[0] if positions else 0
    return position if position <= size else 0  # of a file that was sealed since


def _ledger(context: Context) -> Verdict:
    """Judge the end of the ledger; all of it is for `cost verify`."""
    try:
        found = ledger_tail.look(context)
    except (OSError, AgentStudioError) as error:
        return unknown(LEDGER, "CRITICAL", f"the ledger could not be looked at: {error}", unit="records")
    state = BREACH if found.fault else OK
    message = found.fault or f"the ledger's last {found.checked:,} records are as they were written"
    if found.fault:
        message += "; see: agent-studio cost verify"
    return Verdict(
        LEDGER, "", state, "CRITICAL", float(bool(found.fault)), None, None, 0.0, "records", found.checked, 0, message
    )  # fmt: skip


def _in_minutes(span_ms: float) -> float:
    return round(span_ms / _MINUTE_MS, 1)


def _shown(span_ms: float) -> str:
    minutes = _in_minutes(span_ms)
    return f"{minutes:.0f} min" if minutes < 2 * 60 else f"{minutes / 60:.1f} h"
