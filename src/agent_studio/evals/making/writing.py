"""Writes tasks into `.claude/evals/`, and never over one that is there."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError
from agent_studio.redaction import redact
from agent_studio.release.suite import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.roots import Project

_HEAD = "# A task for `agent-studio eval`; what may stand here: agent-studio eval schema\n"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def blank(name: str, prompt: str) -> dict[str, Any]:
    """Return a task to be filled in; its one check fails until somebody has said what has to hold."""
    return {
        "id": name, "description": "What this task is to find out.", "tags": ["own"], "prompt": prompt,
        "checks": [{"command": "false", "name": "replace this by what has to hold when the task is done"}],
    }  # fmt: skip


def write(project: Project, files: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Write files of tasks by name and return their paths.

    Raises `UsageError` for a name that is taken, or is none: then nothing is written.
    """
    folder = project.folder
    placed = {}
    for name, tasks in files.items():
        stem = name.removesuffix(".yaml")
        if not _ID.fullmatch(stem):
            raise UsageError(f"{stem!r} is no name of a task", hint="small letters, digits, dots and dashes")
        place = project.shown(f"{FOLDER}/{stem}.yaml")
        if folder.status(place) is not None:
            raise UsageError(f"{place} is there already", hint="choose another name, or edit it")
        placed[place] = text(tasks).encode()
    folder.make(project.shown(FOLDER))
    for place, data in placed.items():
        folder.create(place, data)
    return list(placed)


def text(tasks: Sequence[Mapping[str, Any]]) -> str:
    """Return tasks as a file holds them."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only to write
    from ruamel.yaml.scalarstring import LiteralScalarString  # noqa: PLC0415

    def shown(value: Any) -> Any:
        if isinstance(value, str):
            clean = redact(value)
            return LiteralScalarString(clean) if "\n" in clean else clean
        if isinstance(value, dict):
            return {key: shown(inner) for key, inner in value.items()}
        return [shown(inner) for inner in value] if isinstance(value, list | tuple) else value

    writer = YAML()
    writer.default_flow_style, writer.width, writer.allow_unicode = False, 110, True
    writer.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    writer.dump(shown(dict(tasks[0]) if len(tasks) == 1 else {"tasks": [dict(one) for one in tasks]}), out)
    return _HEAD + out.getvalue()
