"""The settings overlay of a client: what an environment adds to the project's settings without touching its files.

It lies in `.agent-studio/<environment>/run/` while the client runs, for its owner only.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.detect import VARIABLE
from agent_studio.errors import StorageError, UnsafePathError, UsageError
from agent_studio.isolation.variables import ATTRIBUTES, joined_attributes, with_attributes
from agent_studio.storage.descriptors import try_lock, write_all
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent_studio.isolation.backends import Backend
    from agent_studio.storage.folder import Folder

OPTION = "--settings"
PLACE = "run"
_NAME = re.compile(r"settings-[0-9]+-[0-9a-f]{8}\.json")
_SCRATCH = re.compile(r"scratch-[0-9]+-[0-9a-f]{8}")
_HELD = "held"
_YOUNG_S = 60
"""A file this young may belong to a run that has not locked it yet."""
_CLIENTS = frozenset(("claude", "claude.exe", "claude.cmd"))


@dataclass(frozen=True)
class Split:
    """A client's command line without the settings that its user names."""

    argv: list[str]
    settings: dict[str, Any]
    """Empty when the user names none."""


def is_client(program: str) -> bool:
    """Tell whether a program is Claude Code, by the last part of its name."""
    return re.split(r"[/\\]" if os.name == "nt" else "/", program)[-1].lower() in _CLIENTS


def split(argv: Sequence[str], folder: Path) -> Split:
    """Take `--settings FILE` or `--settings JSON` out of a client's command line; the last one counts.

    `folder` is what a relative path starts from. Raises `UsageError` for settings that cannot be read.
    """
    left, named = [argv[0]], None
    words = iter(argv[1:])
    for word in words:
        if word == "--":
            left += [word, *words]
        elif word == OPTION:
            named = next(words, None)
            if named is None:
                raise UsageError(f"{OPTION} of {argv[0]} names nothing", hint="name a file, or give JSON")
        elif word.startswith(f"{OPTION}="):
            named = word.partition("=")[2]
        else:
            left.append(word)
    return Split(left, {} if named is None else _settings(named, folder))


def _settings(named: str, folder: Path) -> dict[str, Any]:
    place = f"{OPTION} of the client"
    text = named
    if not named.lstrip().startswith("{"):
        place = named
        try:
            text = (folder / named).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{OPTION} {named}: {reason}", hint="name a file with the client's settings") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is not JSON: {error}", hint="mend it: the client would ignore all of it") from None
    if not isinstance(found, dict):
        raise UsageError(f"{place} is not a JSON object", hint='settings look like {"env": {}}')
    return found


def merged(own: Mapping[str, Any], users: Mapping[str, Any]) -> dict[str, Any]:
    """Return both as one: the user's value wins, hooks add up, and the environment stays the chosen one.

    Both hold `env`, and `hooks` by event, where they have them; what the user has there in another form is dropped.
    """
    sections = ("env", "hooks")
    theirs = {name: value for name, value in users.items() if name not in sections or isinstance(value, dict)}
    result = _merged(own, theirs)
    if own.get("env"):
        result["env"] = _variables(own["env"], theirs.get("env", {}))
    if own.get("hooks"):
        result["hooks"] = _hooks(own["hooks"], theirs.get("hooks", {}))
    return result


def _merged(own: Mapping[str, Any], users: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(own)
    for name, value in users.items():
        mine = result.get(name)
        result[name] = _merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return result


def _variables(own: Mapping[str, str], users: Mapping[str, Any]) -> dict[str, Any]:
    environment = own[VARIABLE]
    attributes = joined_attributes(own.get(ATTRIBUTES), str(users.get(ATTRIBUTES) or ""))
    return {**own, **users, VARIABLE: environment, ATTRIBUTES: with_attributes(attributes, environment)}


def _hooks(own: Mapping[str, list[Any]], users: Mapping[str, Any]) -> dict[str, Any]:
    result = {**own, **users}
    for event, entries in own.items():
        theirs = users.get(event)
        if isinstance(theirs, list):
            result[event] = [*theirs, *(entry for entry in entries if entry not in theirs)]
    return result


@contextmanager
def placed(state: Folder, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Write the overlay and yield its path; it is removed afterwards.

    Raises `StorageError` when it cannot be written.
    """
    state.make(PLACE)
    folder = state.at(PLACE)
    name = f"settings-{os.getpid()}-{os.urandom(4).hex()}.json"
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        with suppress(OSError):
            try_lock(descriptor)  # tells a sweeper in another container, to whom our pid means nothing
        with disk_faults(folder.path / name):
            write_all(descriptor, json.dumps(settings, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
        yield folder.path / name
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError, StorageError, UnsafePathError):
            folder.remove(name)


@contextmanager
def temporary(state: Folder, backend: Backend | None) -> Iterator[Path | None]:
    """Yield an empty folder for temporary files where a backend may have none other; it is removed afterwards."""
    if backend is None or backend.BINDS:
        yield None
        return
    state.make(PLACE)
    folder = state.at(PLACE)
    name = f"scratch-{os.getpid()}-{os.urandom(4).hex()}"
    folder.make(f"{name}/files")
    descriptor = folder.open(f"{name}/{_HELD}", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        with suppress(OSError):
            try_lock(descriptor)
        yield folder.path / name / "files"
    finally:
        os.close(descriptor)
        with suppress(OSError, StorageError, UnsafePathError):
            folder.remove_tree(name)


def sweep(state: Folder) -> list[str]:
    """Remove the overlays and the temporary folders of runs that were killed; return their names."""
    folder = state.at(PLACE)
    swept = []
    for name in folder.names() if folder.has_folder() else ():
        is_scratch = _SCRATCH.fullmatch(name) is not None
        if is_scratch or _NAME.fullmatch(name):
            with suppress(OSError, StorageError, UnsafePathError):
                if _is_left_over(folder, f"{name}/{_HELD}" if is_scratch else name):
                    (folder.remove_tree if is_scratch else folder.remove)(name)
                    swept.append(name)
    return swept


def _is_left_over(folder: Folder, name: str) -> bool:
    status = folder.status(name)
    if status is None or clock.now().timestamp() - status.st_mtime < _YOUNG_S:
        return False
    descriptor = folder.open(name, os.O_RDWR)
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
