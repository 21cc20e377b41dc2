"""The client's own folder: what it needs there, and what it would obey later, is there before it runs.

What is missing cannot be made read-only, and a kernel that knows only allow-lists lets nothing be created beside what
is read-only. So empty definitions, and the folders that the client writes to, are made for the time of its run, and for
no other command. What has been told to the client in its own file, which it must write, can only be looked at later.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import StorageError
from agent_studio.isolation import held, placeholders, places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FOLDERS = ("agents", "skills", "commands", "hooks", "rules", "output-styles", "plugins")
_FILES: Mapping[str, bytes] = {"settings.json": b"{}\n", "CLAUDE.md": b"\n"}
_STATE, _EMPTY = ".claude.json", b"{}\n"
_WRITTEN = (
    "backups", "cache", "debug", "downloads", "file-history", "ide", "paste-cache", "plans", "projects", "session-env",
    "sessions", "shell-snapshots", "statsig", "tasks", "teams", "telemetry", "todos", "usage-data",
)  # fmt: skip
"""Folders that the client has been seen to write to."""
_OBEYED = ("mcpServers", "hooks", "apiKeyHelper", "env")
"""Keys of the client's own file, and of each project in it, that start programs or steer them."""
_TRUST = "hasTrustDialogAccepted"


class Made(NamedTuple):
    """Something that was made, and what it holds; None: a folder."""

    path: Path
    data: bytes | None


@contextmanager
def prepared(variables: Mapping[str, str]) -> Iterator[list[Path]]:
    """Make what the client's folder lacks, and yield that; what is empty and unchanged is removed afterwards.

    Without HOME nothing is made. Raises `StorageError` when the disk refuses, `NotIsolatedError` when another process
    keeps the folder locked.
    """
    home = variables.get("HOME", "")
    if not home.startswith("/"):
        yield []
        return
    named = Path(os.path.realpath(places.client_folder(variables, Path(home))))
    beside = named if variables.get("CLAUDE_CONFIG_DIR") else Path(os.path.realpath(home))
    made: list[Made] = []

    def remove() -> None:
        if alone():
            for one in reversed(made):
                placeholders.remove(*one)

    try:
        made += _make(Made(named, None))
        with ExitStack() as stack:
            alone = stack.enter_context(held.in_use(named))
            stack.callback(remove)
            for one in _wanted(named, beside):
                made += _make(one)
            yield sorted(one.path for one in made)
    except OSError as error:
        raise StorageError(f"cannot make {error.filename}: {error.strerror}", hint="mend its rights") from error


def _wanted(named: Path, beside: Path) -> Iterator[Made]:
    yield from (Made(named / name, None) for name in (*_FOLDERS, *_WRITTEN))
    yield from (Made(named / name, data) for name, data in _FILES.items())
    yield Made(beside / _STATE, _EMPTY)  # an older client ends when it can neither read nor make it


def _make(one: Made) -> list[Made]:
    if os.path.lexists(one.path):
        return []
    if one.data is None:
        one.path.mkdir(0o700, parents=True)
    else:
        descriptor = os.open(one.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(one.data)
    return [one]


def obeyed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what the client's own file makes it start or trust, as `place` and what stands there."""
    found: dict[str, str] = {}
    for home in places.homes(variables)[:1]:
        folder = variables.get("CLAUDE_CONFIG_DIR")
        with suppress(OSError, ValueError, RecursionError):
            written = json.loads((Path(folder or home) / _STATE).read_bytes())
            if isinstance(written, dict):
                found |= _parts("", written)
                projects = written.get("projects")
                for name, project in projects.items() if isinstance(projects, dict) else ():
                    if isinstance(project, dict):
                        found |= _parts(f"{name}: ", project)
    return found


def _parts(where: str, settings: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in _OBEYED:
        value = settings.get(key)
        inner = value if isinstance(value, dict) else {"": value} if value else {}
        found |= {f"{where}{key}{name and f'.{name}'}": json.dumps(it, sort_keys=True) for name, it in inner.items()}
    if settings.get(_TRUST):
        found[f"{where}{_TRUST}"] = "true"
    return found
