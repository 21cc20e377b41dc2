"""Our entries as a plugin folder of Claude Code: nothing in the project's settings is changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import agent_studio
from agent_studio.capture.wiring import entries
from agent_studio.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.capture.wiring.entries import Form

NAME = "agent-studio"


def write(folder: Path, form: Form, names: tuple[str, ...], *, dry_run: bool = False) -> list[Path]:
    """Write the plugin into a folder that is empty or holds an earlier one; return its files.

    Its hooks find the recorder through the project they run in. Raises `UsageError` for a folder of something else.
    """
    manifest = folder.joinpath(".claude-plugin", "plugin.json")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name an empty or a new folder")
    if folder.exists() and any(folder.iterdir()) and not _is_ours(manifest):
        raise UsageError(f"{folder} holds something else", hint="name an empty or a new folder")
    about = {
        "name": NAME,
        "version": agent_studio.__version__,
        "description": "Records hook events of Claude Code for Agent Studio",
    }
    contents = {manifest: about, folder / "hooks" / "hooks.json": {"hooks": entries.groups(form, names)}}
    if dry_run:
        return list(contents)
    try:
        for place, value in contents.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}", hint="name another folder") from error
    return list(contents)


def is_ours(folder: Path) -> bool:
    """Tell whether a folder holds our plugin."""
    return _is_ours(folder.joinpath(".claude-plugin", "plugin.json"))


def _is_ours(manifest: Path) -> bool:
    try:
        return bool(json.loads(manifest.read_text(encoding="utf-8")).get("name") == NAME)
    except (OSError, ValueError, AttributeError):
        return False
