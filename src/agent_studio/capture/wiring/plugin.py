"""Our entries as a plugin of Claude Code: nothing in the project's settings is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_studio
from agent_studio.capture.recorder.build import Installed
from agent_studio.capture.wiring import entries
from agent_studio.capture.wiring.entries import Form
from agent_studio.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "agent-studio"
MANIFEST = ".claude-plugin/plugin.json"
HOOKS = "hooks/hooks.json"


def files(names: Iterable[str]) -> dict[str, Any]:
    """Return the plugin's JSON files by path.

    Its hooks find the recorder through the project they run in, and record only where nobody else does.
    """
    form = Form(Installed("native", Path(), (), ""), plugin=True)
    about = {
        "name": NAME,
        "version": agent_studio.__version__,
        "description": "Records hook events of Claude Code for Agent Studio",
    }
    return {MANIFEST: about, HOOKS: {"hooks": entries.groups(form, names)}}


def write(folder: Path, names: Iterable[str], *, dry_run: bool = False) -> list[Path]:
    """Write the plugin into a folder that is empty or holds an earlier one; return its files.

    Raises `UsageError` for a folder of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name an empty or a new folder")
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder / MANIFEST):
        raise UsageError(f"{folder} holds something else", hint="name an empty or a new folder")
    contents = {folder / name: value for name, value in files(names).items()}
    if dry_run:
        return list(contents)
    try:
        for place, value in contents.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}", hint="name another folder") from error
    return list(contents)


def _is_ours(manifest: Path) -> bool:
    try:
        return bool(json.loads(manifest.read_text(encoding="utf-8")).get("name") == NAME)
    except (OSError, ValueError, AttributeError):
        return False
