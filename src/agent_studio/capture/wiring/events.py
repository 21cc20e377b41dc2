"""Which events and hook forms a version of Claude Code knows; what it does not know can cost a whole settings file.

Measured with the client itself (1.0.128, 2.0.76, 2.1.330): up to 2.0 one unknown event name, and in every version one
unknown hook type, makes the client drop the file it stands in without a word.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = tuple[int, ...]

OLDEST: Version = (0,)
NINE = (
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Notification", "PreCompact", "SubagentStop",
    "Stop", "SessionEnd",
)  # fmt: skip
"""The oldest events, which every version knows."""
FAILURE = ("PostToolUseFailure", "PermissionDenied", "StopFailure", "SubagentStart")
REST = (
    "Setup", "InstructionsLoaded", "UserPromptExpansion", "PermissionRequest", "PostToolBatch", "PostCompact",
    "ConfigChange", "CwdChanged", "FileChanged", "DirectoryAdded", "WorktreeRemove", "TaskCreated", "TaskCompleted",
    "TeammateIdle", "Elicitation", "ElicitationResult", "PreModelSwitch", "PostModelSwitch",
)  # fmt: skip
NEVER: Mapping[str, str] = {
    "WorktreeCreate": "the client expects a path on stdout: a hook that only records breaks worktrees",
    "MessageDisplay": "one or more for every message, and it holds what the transcript holds",
}
"""Events that are left out of every choice, and why."""
SETS: Mapping[str, tuple[str, ...]] = {"nine": NINE, "failure": (*NINE, *FAILURE), "all": (*NINE, *FAILURE, *REST)}
NOT_OVER_HTTP = ("SessionStart", "Setup")
"""Events for which the client refuses hooks of type http."""
HTTP_SINCE: Version = (2, 1, 330)
CLOSED = ("PreToolUse",)
"""Events that are stopped where a guard is to fail closed."""
ON_FAILURE_SINCE: Version = (2, 1, 330)
"""The first version seen to stop a tool whose hook is missing or too slow, where the hook says `onFailure: block`."""
EXEC_FORM_SINCE: Version = (2, 1, 330)
"""The first version seen to take `args`; an older one runs `command` alone, through a shell."""

_SINCE: Mapping[str, Version] = {
    **dict.fromkeys(NINE, OLDEST),
    **dict.fromkeys(("PostToolUseFailure", "SubagentStart", "PermissionRequest"), (2, 0, 76)),
}
_SINCE_OTHERS: Version = (2, 1, 330)
_SECONDS = 5


def known(event: str, version: Version) -> bool:
    """Tell whether a version is known to take an event; one that was never tried is not."""
    return event not in NEVER and version >= _SINCE.get(event, _SINCE_OTHERS)


def chosen(name: str, version: Version) -> tuple[str, ...]:
    """Return the events of a set; raise `UsageError` naming those that the version would drop the file for."""
    wanted = SETS[name]
    refused = [event for event in wanted if not known(event, version)]
    if refused:
        raise UsageError(
            f"Claude Code {shown(version)} is not known to take {', '.join(refused)}: it could drop the whole file",
            hint="leave --events out, or name the client's version: --client-version 2.1.330",
        )
    return wanted


def parse(text: str) -> Version:
    """Return a version from a text such as `2.1.330 (Claude Code)`; raise `UsageError` when there is none."""
    found = re.search(r"\b(\d{1,6})\.(\d{1,6})\.(\d{1,6})\b", text)
    if not found:
        raise UsageError(f"{text.strip()[:60]!r} is not a version", hint="write it as 2.1.330")
    return tuple(map(int, found.groups()))


def detect() -> Version | None:
    """Return the version of the `claude` on PATH, or None when there is none or it does not say in time."""
    program = shutil.which("claude")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
        return parse(done.stdout.decode("utf-8", "replace"))
    except (OSError, subprocess.TimeoutExpired, UsageError):
        return None


def shown(version: Version) -> str:
    """Return a version as people write it."""
    return "of unknown version" if version == OLDEST else ".".join(map(str, version))
