"""Makes a task of a recorded session: its first prompt, the commit that it began at, and checks by what it did."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost import places
from agent_studio.errors import UsageError
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.roots import Project

_TESTS = re.compile(r"\b(pytest|npm (run )?test|yarn test|pnpm test|cargo test|go test|make (test|check)|tox|ctest)\b")
_WRITES = frozenset(("Write", "Edit", "MultiEdit", "NotebookEdit"))
_STARTS = frozenset(("Agent", "Task"))
_MOST_FILES = 10


class Recorded(NamedTuple):
    """What a session was."""

    session: str
    prompt: str
    began: str
    cwd: str
    files: tuple[str, ...]
    """Files that it wrote, below the project."""
    tests: tuple[str, ...]
    """Test commands that it ended with success, the last first."""
    agents: tuple[str, ...]
    skills: tuple[str, ...]


def find(project: Project, folders: Sequence[str], session: str) -> Recorded:
    """Return a session of the project by its id or the id's beginning; raise `UsageError` for none or several."""
    found = [
        one for one in places.transcripts(folders, str(project.path))
        if one.agent_id is None and Path(one.path).stem.startswith(session)
    ]  # fmt: skip
    if len(found) != 1:
        many = "several sessions" if found else "no session of this project"
        raise UsageError(
            f"{session!r} names {many}", hint="ids are in sessions/session-log.jsonl; --config-dir names the client's"
        )
    return read(project, Path(found[0].path))


def read(project: Project, place: Path) -> Recorded:
    """Return what a transcript tells; raise `UsageError` for one in which nobody asked for anything."""
    prompt = began = cwd = ""
    calls: dict[str, Mapping[str, Any]] = {}
    succeeded: list[str] = []
    for line in _lines(place):
        message = line.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if line.get("type") == "user" and not prompt and not line.get("isMeta"):
            prompt, began, cwd = _prompt(content), str(line.get("timestamp", "")), str(line.get("cwd", ""))
        for block in _blocks(content):
            if block.get("type") == "tool_use" and isinstance(block.get("input"), dict):
                calls[str(block.get("id"))] = {"name": str(block.get("name")), "input": block["input"]}
            elif block.get("type") == "tool_result" and not block.get("is_error"):
                succeeded.append(str(block.get("tool_use_id")))
    if not prompt:
        raise UsageError(f"{place.name} holds no prompt", hint="choose a session in which somebody asked for something")
    done = [calls[one] for one in succeeded if one in calls]
    return Recorded(
        place.stem, prompt, began, cwd, tuple(_files(project, done)),
        tuple(dict.fromkeys(str(one["input"].get("command")) for one in reversed(done)
                            if one["name"] == "Bash" and _TESTS.search(str(one["input"].get("command"))))),
        tuple(dict.fromkeys(str(one["input"].get("subagent_type")) for one in done
                            if one["name"] in _STARTS and one["input"].get("subagent_type"))),
        tuple(dict.fromkeys(str(one["input"].get("skill")) for one in done
                            if one["name"] == "Skill" and one["input"].get("skill"))),
    )  # fmt: skip


def _lines(place: Path) -> Iterator[dict[str, Any]]:
    for line in place.read_bytes().split(b"\n"):
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def _prompt(content: Any) -> str:
    texts = [str(one.get("text", "")) for one in _blocks(content) if one.get("type") == "text"]
    text = content if isinstance(content, str) else "\n".join(texts)
    return "" if text.lstrip().startswith("<") else text.strip()


def _files(project: Project, done: Sequence[Mapping[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for one in done:
        written = one["input"].get("file_path") or one["input"].get("notebook_path")
        if one["name"] in _WRITES and isinstance(written, str):
            with suppress(ValueError):
                found[Path(written).relative_to(project.path).as_posix()] = None
    return [path for path in found if not path.startswith(".claude/")][:_MOST_FILES]


def task(project: Project, recorded: Recorded, name: str) -> dict[str, Any]:
    """Return a task as its file holds it; its checks are a beginning, to be looked at before anybody relies on them."""
    ref = _commit_before(project.path, recorded.began)
    checks: list[dict[str, Any]] = [{"command": command} for command in recorded.tests[:1]]
    checks += [{"diff": {"changed": list(recorded.files)}}] if recorded.files else []
    checks += [{"agent": one} for one in recorded.agents[:3]] + [{"skill": one} for one in recorded.skills[:3]]
    if not checks:
        raise UsageError(
            f"session {recorded.session[:8]} changed no file, ran no tests, started no agent: nothing can be checked",
            hint="write the task by hand: agent-studio eval new NAME",
        )
    return {
        "id": name, "description": f"From session {recorded.session[:8]} of {recorded.began[:10]}.",
        **({"start": {"ref": ref}} if ref else {}), "tags": ["recorded"], "prompt": redact(recorded.prompt),
        "checks": checks,
    }  # fmt: skip


def _commit_before(folder: Path, moment: str) -> str:
    """Return the commit that was the newest when a session began, empty where git knows none."""
    if not moment:
        return ""
    words = ["git", "-C", str(folder), "rev-list", "-1", f"--before={moment}", "HEAD"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
