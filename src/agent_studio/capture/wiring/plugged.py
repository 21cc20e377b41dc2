"""Whether the client has our plugin for a project, and what that records there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_studio
from agent_studio.capture.wiring import entries, plugin
from agent_studio.capture.wiring.settings import FILES, read
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import Project

_ENABLED = "enabledPlugins"
_INSTALLED = ("plugins", "installed_plugins.json")


@dataclass(frozen=True)
class Plugged:
    """Our plugin as the client has it for a project."""

    name: str
    """With its marketplace, as the client's commands take it."""
    version: str
    hooks: dict[str, dict[str, Any]]
    """What records, by event."""

    @property
    def other_version(self) -> str:
        """What to say where it is not of this version, else an empty text."""
        if self.version == agent_studio.__version__:
            return ""
        return f"the plugin {self.name} is of version {self.version}, agent-studio of {agent_studio.__version__}"


def find(project: Project) -> Plugged | None:
    """Return our plugin where the client has it installed and enabled for the project, or None."""
    client = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path("~/.claude").expanduser())
    enabled = _enabled(project, client)
    installed = _object(_json(client.joinpath(*_INSTALLED)).get("plugins"))
    for name, found in installed.items():
        if name.partition("@")[0] != plugin.NAME or enabled.get(name) is not True or not isinstance(found, list):
            continue
        for entry in filter(_object, found):
            if entry.get("projectPath") in {None, str(project.path)}:
                return Plugged(name, str(entry.get("version")), _hooks(Path(str(entry.get("installPath")))))
    return None


def _enabled(project: Project, client: Path) -> dict[str, Any]:
    """Return which plugins are enabled: the project's settings win over the user's, the local ones over both."""
    enabled = _object(_json(client / "settings.json").get(_ENABLED))
    for name in FILES:
        try:
            enabled = {**enabled, **_object(read(project, name).value.get(_ENABLED))}
        except AgentStudioError:  # the client ignores such a file as well
            continue
    return enabled


def _hooks(folder: Path) -> dict[str, dict[str, Any]]:
    return {event: hook for event, hook in _each(_json(folder / plugin.HOOKS)) if entries.is_ours(hook)}


def _each(hooks: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for event, groups in _object(hooks.get("hooks")).items():
        for group in groups if isinstance(groups, list) else ():
            inner = _object(group).get("hooks")
            for hook in inner if isinstance(inner, list) else ():
                yield event, hook


def _json(place: Path) -> dict[str, Any]:
    try:
        return _object(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
