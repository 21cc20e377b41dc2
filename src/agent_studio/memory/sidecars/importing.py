"""Takes over what the original kept for an agent: `agents/<session>/<agent>/` in staging's root, everywhere."""

from __future__ import annotations

import json
import re
from itertools import repeat
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import environment_root
from agent_studio.errors import UnsafePathError
from agent_studio.memory.importing import kept
from agent_studio.memory.sidecar import folder_name
from agent_studio.memory.sidecars.entry import TEXT_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.memory.importing import Imported
    from agent_studio.memory.sidecar import Sidecar
    from agent_studio.storage.folder import Folder

_FILE_MAX_BYTES = 1 << 20
_TEXT_KEYS = ("text", "content", "discovery", "finding", "description", "summary", "note", "message", "value")
_KINDS = {"discoveries": "outcome", "decisions": "decision", "patterns": "pattern", "gotchas": "gotcha"}
_KEY_FILES = "keyFiles"
_PARAGRAPH = re.compile(r"\n[ \t]*\n|\n(?=[-*+] )")


def take_over(context: Context, sidecar: Sidecar) -> Imported:
    """Add what the original's files hold that is not there already; the files stay."""

    def add(name: str, kind: str, text: str) -> None:
        sidecar.add(text, kind=kind, source=f"original: {name}"[:200])

    return kept(_found(context, folder_name(sidecar.agent)), add)


def _found(context: Context, agent: str) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    folder = environment_root(context.project, Environment.STAGING, {}).folder("agents")
    try:
        sessions = folder.names()
    except FileNotFoundError:
        return
    for session in sessions:
        try:
            names = folder.names(f"{session}/{agent}")
        except (FileNotFoundError, UnsafePathError, NotADirectoryError):
            continue
        for name in names:
            stem, _, ending = name.rpartition(".")
            if ending in {"json", "txt"}:
                place, kind = f"{session}/{agent}/{name}", _KINDS.get(stem, "note")
                yield place, zip(repeat(kind), _texts(folder, place, stem, is_json=ending == "json"), strict=False)


def _texts(folder: Folder, place: str, stem: str, *, is_json: bool) -> Iterator[str]:
    """Yield the notes in a file; raise `ValueError` for one that is damaged or far too large."""
    try:
        data = folder.read(place)
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from error
    if len(data) > _FILE_MAX_BYTES:
        raise ValueError(f"it has more than {_FILE_MAX_BYTES:,} bytes")
    text = data.decode("utf-8-sig")
    if is_json:
        yield from filter(None, _said(json.loads(text), stem))
    else:
        yield from filter(str.strip, _PARAGRAPH.split(text.replace("\r\n", "\n")))


def _said(value: Any, key: str) -> Iterator[str]:
    """Yield what a value says, however it was nested."""
    if isinstance(value, list):
        for one in value:
            yield from _said(one, key)
    elif isinstance(value, dict):
        told = next((value[name] for name in _TEXT_KEYS if isinstance(value.get(name), str)), None)
        if told is not None:
            about = value.get("file") or value.get("path")
            yield f"{about}: {told}" if isinstance(about, str) else told
        else:
            for name, one in value.items():
                yield from _said(one, f"{key}.{name}" if key not in _KINDS else name)
    elif isinstance(value, str):
        yield f"key file: {value}" if key == _KEY_FILES else value if key in _KINDS else f"{key}: {value}"
    elif value is not None:
        yield f"{key}: {json.dumps(value)}"[:TEXT_MAX_BYTES]
