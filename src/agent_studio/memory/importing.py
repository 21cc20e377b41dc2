"""Takes over what the original kept as lists: patterns, gotchas, and what its sessions say was found or decided."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.roots import ORIGINAL_MEMORY, SHARED_ROOT
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.memory.gates import KnownError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.memory.book import Memory
    from agent_studio.storage.folder import Folder

_LISTS: Mapping[str, str] = {"patterns.json": "pattern", "gotchas.json": "gotcha", "discoveries.json": "discovery"}
_SESSION = re.compile(r"session_\d{1,9}\.json")
_IN_SESSIONS: Mapping[str, str] = {
    "patterns_found": "pattern", "gotchas_encountered": "gotcha", "discoveries": "discovery",
    "decisions_made": "decision",
}  # fmt: skip
"""Of a session's fields those that outlive it; its summary, its tasks, files and next steps are left alone."""
_SESSIONS = "sessions"
_FILE_MAX_BYTES = 1 << 20


class Imported(NamedTuple):
    """What became of the original's files."""

    files: int
    added: int
    known: int
    refused: tuple[str, ...]
    """File and reason of what is not kept."""


def take_over(memory: Memory) -> Imported:
    """Add what is not there already; the files stay, and running it again adds nothing.

    Raises `UsageError` where the environment has data of its own, or the original kept nothing.
    """
    folder = memory.root.original_memory()
    if folder is None:
        raise UsageError(
            f"there is no memory of the original Agent Studio to take over in {memory.root.environment}",
            hint="it lies in .claude/context/memory/, and is development's and production's: --env development",
        )

    def add(name: str, kind: str, text: str, day: str) -> None:
        memory.add(kind, text, source=f"original: {name}{day}")

    return kept(((name, _said(folder, name)) for name in _names(folder)), add)


def kept(found: Iterable[tuple[str, Iterable[tuple[str, ...]]]], add: Callable[..., None]) -> Imported:
    """Call `add` with the name of each file and each item in it; return what became of them."""
    files, added, known, refused = 0, 0, 0, list[str]()
    for name, items in found:
        files += 1
        try:
            for item in items:
                try:
                    add(name, *item)
                    added += 1
                except KnownError:
                    known += 1
                except RefusedError as error:
                    refused.append(f"{name}: {error}")
        except (ValueError, RecursionError, AgentStudioError) as error:
            refused.append(f"{name}: {error}")
    return Imported(files, added, known, tuple(refused))


def places(project: Project) -> list[str]:
    """Return what can be taken over, below `.claude/`: lists, and the folder of sessions when it has one."""
    folder = project.folder.at(f"{SHARED_ROOT}/{ORIGINAL_MEMORY}")
    names = _names(folder) if folder.has_folder() else ()
    return [f"{ORIGINAL_MEMORY}/{name}" for name in dict.fromkeys(name.partition("/")[0] for name in names)]


def _names(folder: Folder) -> Iterator[str]:
    yield from (name for name in folder.names() if name in _LISTS)
    if folder.has_folder(_SESSIONS):
        yield from (f"{_SESSIONS}/{name}" for name in folder.names(_SESSIONS) if _SESSION.fullmatch(name))


def _said(folder: Folder, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, text and day of each item; raise `ValueError` for a file that is damaged or far too large."""
    data = folder.read(name)
    if len(data) > _FILE_MAX_BYTES:
        raise ValueError(f"it has more than {_FILE_MAX_BYTES:,} bytes")
    value = json.loads(data)
    if name in _LISTS:
        yield from ((_LISTS[name], *one) for one in _items(value, name))
    elif isinstance(value, dict):
        for field, kind in _IN_SESSIONS.items():
            yield from ((kind, text, day or _day(value)) for text, day in _items(value.get(field) or [], field))


def _items(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")  # noqa: TRY004 - the file is wrong, not the caller
    for one in value:
        text = one.get("text") if isinstance(one, dict) else one
        if isinstance(text, str) and text.strip():
            yield text.strip(), _day(one)


def _day(value: Any) -> str:
    """Return when something was said, to stand behind where it was said."""
    moment = value.get("timestamp") if isinstance(value, dict) else None
    return f", {moment[:10]}" if isinstance(moment, str) else ""
