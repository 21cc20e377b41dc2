"""What hooks are given when they are exercised: what staging's inbox still holds of their events, else what we build.

A built payload has the fields that the client documents for its event, and names a scratch file where a tool has one.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.capture.wiring.wrap import Hook
    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

SCRATCH = "exercise/example.txt"
"""In staging's state folder: the file that built payloads are about."""
_INBOX = re.compile(r"events(?:\..+)?\.jsonl")
_READ_BYTES = 4 << 20
"""How much of the end of each file of the inbox is looked through."""
_KEPT = 200
"""Payloads that are kept for one hook, the newest."""
_TOOLS: Mapping[str, dict[str, Any]] = {
    "Bash": {"command": "true", "description": "Do nothing"},
    "Read": {"file_path": SCRATCH},
    "Edit": {"file_path": SCRATCH, "old_string": "one", "new_string": "two"},
    "Write": {"file_path": SCRATCH, "content": "one\n"},
    "MultiEdit": {"file_path": SCRATCH, "edits": [{"old_string": "one", "new_string": "two"}]},
    "Grep": {"pattern": "one"},
    "Glob": {"pattern": "*.txt"},
    "WebFetch": {"url": "https://example.org/", "prompt": "Summarise it"},
    "WebSearch": {"query": "example"},
    "Task": {"description": "Look", "prompt": "Look", "subagent_type": "general-purpose"},
    "TodoWrite": {"todos": []},
}
_ABOUT_TOOLS = frozenset({"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionDenied"})
_FIELDS: Mapping[str, dict[str, Any]] = {
    "PostToolUse": {"tool_response": {"success": True}},
    "PostToolUseFailure": {"error": "Exit code 1", "is_interrupt": False},
    "UserPromptSubmit": {"prompt": "Say what is in this project."},
    "SessionStart": {"source": "startup"},
    "SessionEnd": {"reason": "other"},
    "Stop": {"stop_hook_active": False},
    "SubagentStop": {"stop_hook_active": False},
    "Notification": {"message": "Claude is waiting for your input", "notification_type": "idle_prompt"},
    "PreCompact": {"trigger": "manual", "custom_instructions": ""},
}
_MATCHED = ("source", "reason", "trigger", "notification_type", "agent_type")
"""Fields that a matcher of another event may be about."""


def payloads(context: Context, hooks: Sequence[Hook], session_id: str) -> list[list[bytes]]:
    """Return for each hook what it is to be given, in turn: recorded payloads that fit it, else one that is built."""
    recorded = list(_recorded(context))
    return [_fitting(hook, recorded, session_id) or [_built(context, hook, session_id)] for hook in hooks]


def _fitting(hook: Hook, recorded: Sequence[dict[str, Any]], session_id: str) -> list[bytes]:
    fit = [one for one in recorded if one["hook_event_name"] == hook.event and _matches(hook, one)]
    return [_encoded({**one, "session_id": session_id}) for one in fit[-_KEPT:]]


def _matches(hook: Hook, payload: Mapping[str, Any]) -> bool:
    if hook.matcher in {"", "*"}:
        return True
    names = ("tool_name",) if hook.event in _ABOUT_TOOLS else _MATCHED
    return any(_is_matched(hook.matcher, payload[name]) for name in names if isinstance(payload.get(name), str))


def _is_matched(matcher: str, name: str) -> bool:
    with suppress(re.error):
        return re.fullmatch(matcher, name) is not None
    return matcher == name


def _built(context: Context, hook: Hook, session_id: str) -> bytes:
    project = context.project.path
    payload: dict[str, Any] = {
        "session_id": session_id, "transcript_path": os.devnull, "cwd": str(project), "permission_mode": "default",
        "hook_event_name": hook.event, **_FIELDS.get(hook.event, {}),
    }  # fmt: skip
    if hook.event in _ABOUT_TOOLS:
        tool = _tool(hook.matcher)
        given = dict(_TOOLS.get(tool, {}))
        if "file_path" in given:
            given["file_path"] = str(context.root.state.path / SCRATCH)
        payload |= {"tool_name": tool, "tool_input": given, "tool_use_id": f"toolu_{session_id}"}
    elif hook.matcher not in {"", "*"}:
        first = hook.matcher.partition("|")[0]
        payload |= {name: first for name in _MATCHED if name in payload}
    return _encoded(payload)


def _tool(matcher: str) -> str:
    if matcher in {"", "*"}:
        return "Bash"
    return next((tool for tool in _TOOLS if _is_matched(matcher, tool)), matcher.partition("|")[0])


def _recorded(context: Context) -> Iterator[dict[str, Any]]:
    """Yield the payloads of staging's events that are still in its inbox, as it holds them."""
    folder = context.root.folder("metrics")
    for name in sorted(folder.names()) if folder.has_folder() else ():
        if not _INBOX.fullmatch(name):
            continue
        for line in _lines(folder, name):
            with suppress(ValueError, RecursionError):
                value = json.loads(line)
                payload = value.get("payload") if isinstance(value, dict) else None
                is_ours = isinstance(value, dict) and value.get("env") in {None, str(context.environment)}
                if is_ours and isinstance(payload, dict) and isinstance(payload.get("hook_event_name"), str):
                    yield payload


def _lines(folder: Folder, name: str) -> list[bytes]:
    """Return the whole lines at the end of a file; one that was removed meanwhile has none."""
    try:
        descriptor = folder.open(name)
    except FileNotFoundError:
        return []
    try:
        with disk_faults(folder.path / name):
            start = max(os.fstat(descriptor).st_size - _READ_BYTES, 0)
            os.lseek(descriptor, start, os.SEEK_SET)
            lines = b"".join(read_chunks(descriptor)).split(b"\n")
    finally:
        os.close(descriptor)
    return lines[1:-1] if start else lines[:-1]


def _encoded(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
