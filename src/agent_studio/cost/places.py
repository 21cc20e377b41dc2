"""Where the client keeps its transcripts: configuration folders, their projects, main files and agents' files."""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

VARIABLE = "CLAUDE_CONFIG_DIR"
_PROJECTS = "projects"
_META_MAX_BYTES = 64 << 10
_AGENT = re.compile(r"agent-([\w-]{1,100})\.jsonl")
_LAUNCH = re.compile(rb'"agentId"\s*:\s*"([\w-]{1,100})"')
_FOLDER = re.compile(rb'"cwd"\s*:\s*("(?:[^"\\]|\\.)*")')
_HEAD_BYTES = 256 << 10
_DEPTH_MAX = 8


class Transcript(NamedTuple):
    """One transcript, as the file system shows it."""

    path: str
    project: str
    """The client's name of the project: its path, every character but letters and digits as `-`."""
    agent_id: str | None
    """None for a main file."""
    size: int
    mtime_ns: int
    inode: int


def config_folders(given: Sequence[str], variables: Mapping[str, str], home: Path) -> list[str]:
    """Return the configuration folders to read, each once.

    `given` are named on the command line; without any, `CLAUDE_CONFIG_DIR` (one folder, or several with commas), else
    `~/.claude` and `~/.config/claude`. Raises `UsageError` for a named folder that is none.
    """
    named = list(given)
    if not named and variables.get(VARIABLE):
        whole = variables[VARIABLE]
        named = [whole] if os.path.isdir(whole) else [part.strip() for part in whole.split(",") if part.strip()]  # noqa: PTH112 - it stays text
    for folder in named:
        if not os.path.isdir(folder):  # noqa: PTH112
            raise UsageError(
                f"{folder} is no folder", hint=f"name the client's configuration folder, which holds {_PROJECTS}/"
            )
    found = named or [f"{home}/.claude", f"{home}/.config/claude"]
    return list(dict.fromkeys(os.path.realpath(folder) for folder in found))


def project_name(path: Path | str) -> str:
    """Return what the client calls a project at a path."""
    return re.sub(r"[^A-Za-z0-9]", "-", str(path))


def transcripts(folders: Iterable[str], project: str | None = None) -> Iterator[Transcript]:
    """Yield the transcripts in configuration folders; of one project and the folders in it when its path is given."""
    for folder in folders:
        for entry in _entries(os.path.join(folder, _PROJECTS)):  # noqa: PTH118 - half the time of Path
            if entry.is_dir() and (project is None or _belongs(entry, project)):
                yield from _below(entry.path, entry.name, 0)


def of_session(main: str) -> Iterator[Transcript]:
    """Yield a session's main file, given by its path, and the files of its agents in the folder beside it."""
    folder, name = os.path.split(main)
    project = os.path.basename(folder)  # noqa: PTH119 - it stays text
    with suppress(OSError):
        status = os.stat(main)  # noqa: PTH116
        if stat.S_ISREG(status.st_mode):
            yield Transcript(main, project, None, status.st_size, status.st_mtime_ns, status.st_ino)
            yield from _below(os.path.join(folder, name.removesuffix(".jsonl")), project, 0)  # noqa: PTH118


def _belongs(entry: os.DirEntry[str], project: str) -> bool:
    """Tell whether a folder of transcripts is of a project or of a folder in it, not of one that is called alike."""
    name = project_name(project)
    if entry.name == name:
        return True
    return entry.name.startswith(f"{name}-") and any(
        os.path.realpath(folder).startswith(project + os.sep) for folder in _working_folders(entry.path)
    )


def _working_folders(folder: str) -> Iterator[str]:
    """Yield where a client worked, as its transcripts in a folder say; each tells it in one of its first lines."""
    for transcript in _below(folder, "", 0):
        with suppress(OSError), open(transcript.path, "rb") as file:  # noqa: PTH123
            match = _FOLDER.search(file.read(_HEAD_BYTES))
            if match:
                with suppress(ValueError):
                    yield str(json.loads(match[1]))
                    return


def _below(folder: str, project: str, depth: int) -> Iterator[Transcript]:
    for entry in _entries(folder):
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH_MAX:
                    yield from _below(entry.path, project, depth + 1)
            elif entry.name.endswith(".jsonl"):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    match = _AGENT.fullmatch(entry.name) if entry.name.startswith("agent-") else None
                    agent = match[1] if match else None
                    yield Transcript(entry.path, project, agent, status.st_size, status.st_mtime_ns, status.st_ino)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def agent_type(transcript: Transcript, session: str) -> str | None:
    """Return what kind of agent wrote a file, or None when neither the file beside it nor the main one tells."""
    stem = transcript.path.removesuffix(".jsonl")
    with suppress(OSError, ValueError, RecursionError), open(f"{stem}.meta.json", "rb") as file:  # noqa: PTH123
        meta = json.loads(file.read(_META_MAX_BYTES))
        kind = meta.get("agentType") if isinstance(meta, dict) else None
        if isinstance(kind, str) and kind:
            return kind
    main = os.path.join(os.path.dirname(transcript.path), f"{session}.jsonl")  # noqa: PTH118, PTH120
    with suppress(OSError), open(main, "rb") as file:  # noqa: PTH123 - the layout of 2.0 has it beside
        return _launched(file.read(), transcript.agent_id or "")
    return None


def _launched(data: bytes, agent_id: str) -> str | None:
    """Return the agent type that a main file's call asked for, by the result that names the agent."""
    for match in _LAUNCH.finditer(data):
        if match[1].decode() != agent_id:
            continue
        result = _line_at(data, match.start())
        content = _within(result, "message", "content")
        calls = [_within(item, "tool_use_id") for item in content] if isinstance(content, list) else []
        for call in (call for call in calls if isinstance(call, str)):
            at = data.find(call.encode())
            asked = _within(_line_at(data, at), "message", "content") if at >= 0 else None
            for item in asked if isinstance(asked, list) else []:
                kind = _within(item, "input", "subagent_type")
                if _within(item, "id") == call and isinstance(kind, str):
                    return kind
    return None


def _line_at(data: bytes, at: int) -> object:
    end = data.find(b"\n", at)
    try:
        found: object = json.loads(data[data.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(data)])
    except (ValueError, RecursionError):
        return None
    return found


def _within(found: object, *names: str) -> object:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
