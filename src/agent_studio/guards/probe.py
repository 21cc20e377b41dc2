"""The live proof that a guard stops what it should: the decision client in place is asked as the client would ask it.

Nothing is written: the question alone is put, about a file that nobody may write, and about one that anybody may.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.capture.recorder import decision
from agent_studio.environment.detect import VARIABLE
from agent_studio.environment.roots import STATE

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

_SECONDS = 10
_DENIED = 2
_MARK = b"agent-studio:"


class Answer(NamedTuple):
    """What the decision client said."""

    code: int
    said: str


def denies(context: Context) -> str:
    """Return why the guard does not stop what nobody may write, or an empty text when it does."""
    words = decision.command(context.project)
    if not words:
        return "the decision client is not in place"
    what, refused = forbidden(context)
    harmless = Path(tempfile.gettempdir()) / "agent-studio-probe-of-the-guard.txt"
    try:
        stopped = _asked(context, words, refused)
        passed = _asked(context, words, harmless)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if stopped.code != _DENIED or not stopped.said:
        return f"a write of {what} goes through (exit code {stopped.code} {stopped.said})".replace(" )", ")")
    if passed.code and passed.said == stopped.said:
        return f"a harmless write is stopped as well: {passed.said}"
    return ""


def forbidden(context: Context) -> tuple[str, Path]:
    """Return something that no agent may write, in words and as a path: evidence, or where only they are, a sidecar."""
    if context.config["isolation.guard"]:
        return "evidence", context.project.path / STATE / str(context.environment) / "probe-of-the-guard.json"
    return "another agent's sidecar", context.root.folder("agents").path / "probe-of-the-guard" / "hot.jsonl"


def _asked(context: Context, words: tuple[str, ...], path: Path) -> Answer:
    payload = {
        "hook_event_name": "PreToolUse", "session_id": "probe", "cwd": str(context.project.path), "tool_name": "Write",
        "tool_input": {"file_path": str(path), "content": ""},
    }  # fmt: skip
    done = subprocess.run(
        (*words, "--closed"), input=json.dumps(payload).encode(), capture_output=True, timeout=_SECONDS, check=False,
        env={**os.environ, VARIABLE: str(context.environment)}, cwd=context.project.path,
    )  # fmt: skip
    said = done.stderr.decode("utf-8", "replace").strip() if done.stderr.startswith(_MARK) else ""
    return Answer(done.returncode, said.partition("\n")[0])
