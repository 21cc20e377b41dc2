"""Which files a tool of the client names, and every way in which a path may be spelled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WRITERS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
READERS = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read"})
_PATHS = ("file_path", "notebook_path", "path")
_PATH_MAX = 4_096


def written(tool: str, given: Mapping[str, Any]) -> list[str]:
    """Return the paths that a tool call may write; of a foreign tool, every text that could be one."""
    if tool.startswith("mcp__"):
        return list(_texts(given))
    return _named(given) if tool in WRITERS else []


def read(tool: str, given: Mapping[str, Any]) -> list[str]:
    """Return the paths that a tool call may read."""
    if tool not in READERS:
        return []
    found = _named(given)
    if tool == "Glob" and isinstance(given.get("pattern"), str):
        found.append(os.path.join(str(given.get("path") or ""), given["pattern"]))  # noqa: PTH118 - text
    return found


def real(path: str, folder: str) -> str:
    """Return where a path leads from a folder, with `~` and links followed, as text."""
    return os.path.realpath(os.path.join(folder, os.path.expanduser(path)))  # noqa: PTH111, PTH118 - as text


def _named(given: Mapping[str, Any]) -> list[str]:
    return [given[name] for name in _PATHS if isinstance(given.get(name), str)]


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) <= _PATH_MAX and "\n" not in value and "\0" not in value:
            yield value.removeprefix("file://")
    elif isinstance(value, dict | list) and depth < 4:  # noqa: PLR2004 - deep enough for a list of edits
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)
