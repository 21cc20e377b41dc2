"""Which files a tool of the client names, and every way in which a path may be spelled."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WRITERS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
READERS = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read"})
_PATHS = ("file_path", "notebook_path", "path")
_PATH_MAX = 4_096
_COMMANDS = ("command", "cmd", "script", "shell", "args", "argv")
_PROSE = frozenset(
    ("body", "comment", "content", "description", "message", "new_string", "old_string", "prompt", "query", "reason",
     "subject", "summary", "text", "title")
)  # fmt: skip
_READING = frozenset(
    ("check", "count", "describe", "exists", "fetch", "find", "get", "grep", "info", "list", "load", "ls", "query",
     "read", "search", "show", "stat", "status", "tree", "view")
)  # fmt: skip
_CHANGING = frozenset(
    ("add", "append", "apply", "chmod", "copy", "create", "delete", "download", "edit", "exec", "execute", "insert",
     "mkdir", "modify", "move", "patch", "put", "remove", "rename", "replace", "reset", "rm", "run", "save", "set",
     "sync", "touch", "unlink", "update", "upload", "write")
)  # fmt: skip
_EMPTIERS = frozenset(("delete", "move", "remove", "rename", "rm", "rmdir", "unlink"))


def written(tool: str, given: Mapping[str, Any]) -> list[str]:
    """Return the paths that a tool call may write; of a foreign tool that does not only read, all that could be one."""
    if tool.startswith("mcp__"):
        return [] if _only_reads(tool) else list(_texts(given))
    return _named(given) if tool in WRITERS else []


def read(tool: str, given: Mapping[str, Any]) -> list[str]:
    """Return the paths that a tool call may read."""
    if tool.startswith("mcp__"):
        return list(_texts(given))
    if tool not in READERS:
        return []
    found = _named(given)
    if tool == "Glob" and isinstance(given.get("pattern"), str):
        found.append(os.path.join(str(given.get("path") or ""), given["pattern"]))  # noqa: PTH118 - text
    return found


def empties(tool: str) -> bool:
    """Tell whether a foreign tool acts on all that lies in a folder it is given."""
    return tool.startswith("mcp__") and not _EMPTIERS.isdisjoint(_verbs(tool))


def commands(tool: str, given: Mapping[str, Any]) -> list[str]:
    """Return the shell commands that a tool is given, as text or as a list of words."""
    found = [given["command"]] if isinstance(given.get("command"), str) else []
    if tool.startswith("mcp__"):
        named = [given.get(name) for name in _COMMANDS]
        found += [value for value in named[1:] if isinstance(value, str)]
        words = [value for value in named if isinstance(value, list) and all(isinstance(word, str) for word in value)]
        found += [shlex.join(value) for value in words]
        if isinstance(given.get("command"), str) and words:
            found.append(f"{given['command']} {shlex.join(words[-1])}")
    return found


def _verbs(tool: str) -> set[str]:
    name = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", tool.rpartition("__")[2])
    return set(re.split("[^a-z0-9]+", name.lower()))


def _only_reads(tool: str) -> bool:
    verbs = _verbs(tool)
    return not _READING.isdisjoint(verbs) and _CHANGING.isdisjoint(verbs)


def real(path: str, folder: str) -> str:
    """Return where a path leads from a folder, with `~` and links followed, as text."""
    return os.path.realpath(os.path.join(folder, os.path.expanduser(path)))  # noqa: PTH111, PTH118 - as text


def _named(given: Mapping[str, Any]) -> list[str]:
    return [given[name] for name in _PATHS if isinstance(given.get(name), str)]


def _texts(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text that may be a path, however deep; what people write as prose is none."""
    waiting: list[object] = [given]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) <= _PATH_MAX and "\n" not in value and "\0" not in value:
                yield _local(value)
        elif isinstance(value, dict):
            waiting += [inner for name, inner in value.items() if str(name).lower() not in _PROSE]
        elif isinstance(value, list):
            waiting += value


def _local(text: str) -> str:
    """Return the path of a `file:` address, any other text as it is."""
    if not text.lower().startswith("file:"):
        return text
    try:
        return unquote(urlsplit(text).path)
    except ValueError:
        return text[len("file:") :].lstrip("/")
