"""What sessions did with artifacts and to them: each use is kept once, and the index is told of files that changed.

Nothing here may keep ingest from its work: what goes wrong with the index is logged, counted, and tried again.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.capture.ingest import lines
from agent_studio.environment.detect import DEFINITIONS
from agent_studio.errors import StorageError
from agent_studio.records import event_id

if TYPE_CHECKING:
    from agent_studio.capture.ingest.lines import Event, Near
    from agent_studio.capture.ingest.report import Report
    from agent_studio.capture.ingest.state import State
    from agent_studio.capture.ingest.work import Session, Work
    from agent_studio.environment.context import Context

TOOLS = frozenset({"Skill", "Agent", "Task", "Edit", "Write", "MultiEdit", "NotebookEdit", "Bash"})
"""Tools whose return says something about artifacts."""
_NOTE = "artifacts changed"
_NAMED_BY = {"Skill": ("skill", "command"), "Agent": ("subagent_type",), "Task": ("subagent_type",)}
_HOW = {"Skill": "skill", "Agent": "agent", "Task": "agent"}
_SLASH = re.compile(r"/([\w][\w:.-]{0,199})(?:\s|$)")
_SUFFIXES = (".md", ".yaml", ".yml")
_ANYTHING = ""
"""Noted instead of a path where it cannot be told which files changed."""
_NOTED = 500
_PATH_MAX = 4_096


def returned(work: Work, session: Session, event: Event, near: Near) -> None:
    """Take note of a tool that ended well: a use, or a file that it changed."""
    given = event.payload.get("tool_input")
    tool = near.tool or ""
    if tool in _HOW:
        name = next((found for key in _NAMED_BY[tool] if (found := lines.name(lines.at(given, key)))), "")
        unique = (session.id, near.tool_use_id) if near.tool_use_id else (event.id,)
        _use(work, session, event, _HOW[tool], name.removeprefix("/").partition(" ")[0], unique)
    elif tool == "Bash":
        command = lines.at(given, "command")
        where = event.payload.get("cwd")
        if any(isinstance(text, str) and DEFINITIONS in text for text in (command, where)):
            _changed(work, _ANYTHING)
    else:
        path = lines.at(given, "file_path") or lines.at(given, "notebook_path")
        if isinstance(path, str) and len(path) <= _PATH_MAX and (path.endswith(_SUFFIXES) or DEFINITIONS in path):
            _changed(work, path)


def prompted(work: Work, session: Session, event: Event, prompt: str) -> None:
    """Take note of a slash command that a user typed."""
    found = _SLASH.match(prompt[:_PATH_MAX])
    if found:
        _slash(work, session, event, lines.name(found[1]))


def expanded(work: Work, session: Session, event: Event, _near: Near) -> None:
    """Take note of the same from the event that newer clients send of it."""
    _slash(work, session, event, lines.name(event.payload.get("command_name")).removeprefix("/"))


def _slash(work: Work, session: Session, event: Event, name: str) -> None:
    """Record a slash command; two events of one prompt tell of the same."""
    prompt = lines.name(event.payload.get("prompt_id"))
    _use(work, session, event, "slash", name, (session.id, prompt, name) if prompt else (event.id,))


def _use(work: Work, session: Session, event: Event, how: str, name: str, unique: tuple[Any, ...]) -> None:
    if not name:
        return
    use = {"eventId": event_id("use", *unique), "timestamp": lines.stamp(event.at_ns), "how": how, "name": name}
    work.writer.use(use, session.environment)


def _changed(work: Work, path: str) -> None:
    noted = work.changed
    if _ANYTHING not in noted:
        noted.add(path if len(noted) < _NOTED else _ANYTHING)


def follow(context: Context, state: State, report: Report) -> None:
    """Have the index follow what changed and what was used."""
    from agent_studio.knowledge import usage  # noqa: PLC0415 - every command that ingests imports this module

    try:
        noted = state.note(_NOTE) or []
        if noted or usage.is_behind(context.root):
            _follow(context, noted)
            state.put_note(_NOTE, [])
            state.commit()
    except Exception as error:  # noqa: BLE001 - telemetry goes on whatever the index does
        report.index_faults += 1
        log.exception(context, "ingest.index", error)


def _follow(context: Context, noted: list[str]) -> None:
    from agent_studio.knowledge import usage  # noqa: PLC0415 - as above
    from agent_studio.knowledge.base import knowledge  # noqa: PLC0415 - only a session that touched artifacts

    with knowledge(context, fresh=False) as base:
        if not base.is_kept:
            raise StorageError("; ".join(note.message for note in base.notes))
        if noted:
            base.refresh(None if _ANYTHING in noted else _inside(context, noted))
        if usage.is_behind(context.root):
            usage.follow(context.root, base)


def remember(work: Work) -> None:
    """Keep what has changed until the index has followed."""
    if work.changed:
        known = set(work.state.note(_NOTE) or []) | work.changed
        work.state.put_note(_NOTE, [_ANYTHING] if _ANYTHING in known or len(known) > _NOTED else sorted(known))
        work.changed.clear()


def _inside(context: Context, noted: list[str]) -> list[str]:
    """Return the paths from the project's root; what lies elsewhere is not ours."""
    base = os.path.realpath(context.project.path)
    found = []
    for path in noted:
        place = os.path.normpath(os.path.join(base, path))  # noqa: PTH118 - text, compared with text
        for start in {base, str(context.project.path)}:
            if place.startswith(start + os.sep):
                found.append(place[len(start) + 1 :].replace(os.sep, "/"))
                break
    return found
