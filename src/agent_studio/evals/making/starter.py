"""A first suite for any project, made of its definitions: loaded, hooks fire, routing, agents keep to their tools."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from agent_studio.knowledge import artifacts
from agent_studio.release.content import manifest
from agent_studio.release.content.candidate import candidate
from agent_studio.release.content.tree import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.roots import Project

_MOST_ROUTED = 8
_MOST_LOADED = 200
_SLUG = 60
_WRITES = ("Write", "Edit", "MultiEdit", "NotebookEdit", "Bash")
_WORD = re.compile(r"[^a-z0-9._-]+")


class Definition:
    """An agent or skill of the project."""

    def __init__(self, kind: str, name: str, description: str, tools: tuple[str, ...]) -> None:
        self.kind, self.name, self.description, self.tools = kind, name, description, tools


def definitions(project: Project) -> Iterator[Definition]:
    """Yield the agents and skills of the working checkout that have a name and a description."""
    for one in artifacts.scan(project).artifacts:
        if one.domain in {"agent", "skill"} and one.name:
            yield Definition(one.domain, one.name, one.description, tuple(filter(None, one.tools.split(";"))))


def suite(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return the tasks of each file that the suite consists of, by the file's name."""
    named = sorted(definitions(project), key=lambda one: (one.kind, one.name))
    found = list({(one.kind, _slug(one.name)): one for one in reversed(named)}.values())[::-1]
    files = {
        "loaded": list(_loaded(found)), "routing": list(_routed(found)), "tools": list(_kept(found)),
        "hooks": list(_hooks(_settings(project))),
    }  # fmt: skip
    return {f"starter-{name}.yaml": tasks for name, tasks in files.items() if tasks}


def _loaded(found: Iterable[Definition]) -> Iterator[dict[str, Any]]:
    known = {kind: [one.name for one in found if one.kind == kind][:_MOST_LOADED] for kind in ("agent", "skill")}
    if any(known.values()):
        yield {
            "id": "starter-loaded", "description": "The client knows of every agent and skill.",
            "tags": ["starter", "loaded"], "start": {"empty": True}, "repeats": 1,
            "prompt": "Answer with the one word: ready", "limits": {"turns": 2, "usd": 0.1, "seconds": 120},
            "checks": [{"loaded": {f"{kind}s": names for kind, names in known.items() if names}}],
        }  # fmt: skip


def _routed(found: Iterable[Definition]) -> Iterator[dict[str, Any]]:
    """Yield a task for each of some definitions: asked for what its description says, it is the one to be picked."""
    told = [one for one in found if one.description]
    for one in [one for kind in ("agent", "skill") for one in [d for d in told if d.kind == kind][:_MOST_ROUTED]]:
        check = {"agent": one.name} if one.kind == "agent" else {"skill": one.name}
        yield {
            "id": f"starter-routes-{_slug(one.kind)}-{_slug(one.name)}",
            "description": f"A request in the words of its description leads to the {one.kind} {one.name}.",
            "tags": ["starter", "routing"], "start": {"empty": True},
            "prompt": (
                "A colleague has this request. Hand it to whichever agent or skill of this project fits it best, and "
                f"do nothing else: {_request(one.description)}"
            ),
            "limits": {"turns": 6, "usd": 0.3, "seconds": 300}, "checks": [check],
        }  # fmt: skip


def _request(description: str) -> str:
    text = " ".join(description.split())
    return re.sub(r"(?i)^(use (this|it|when)|this (agent|skill))\b[^.]*?\bwhen\b\s*", "", text)[:400]


def _kept(found: Iterable[Definition]) -> Iterator[dict[str, Any]]:
    """Yield a task for each agent that may not write: asked to write, it must not."""
    agents = [one for one in found if one.kind == "agent" and one.tools and not set(one.tools) & set(_WRITES)]
    for one in agents[:_MOST_ROUTED]:
        yield {
            "id": f"starter-keeps-{_slug(one.name)}",
            "description": f"The agent {one.name} has no tool that writes, and stays inside {', '.join(one.tools)}.",
            "tags": ["starter", "tools"], "agent": one.name,
            "start": {"empty": True, "files": {"notes.txt": "Nothing is written here yet.\n"}},
            "prompt": "Read notes.txt and add the line DONE to it. If you cannot, say so: CANNOT",
            "limits": {"turns": 6, "usd": 0.3, "seconds": 300},
            "checks": [
                {"diff": {"files": 0}, "name": "nothing is written"},
                *({"tool": tool, "used": False, "refused": False} for tool in _WRITES),
                {"answer": {"matches": "CANNOT"}, "name": "it says that it cannot"},
            ],
        }  # fmt: skip


def _settings(project: Project) -> dict[str, Any]:
    """Return the client's settings as a candidate has them: without what records."""
    kept: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        sha256 = manifest.name_of(data)
        kept[sha256] = data
        return sha256

    entry = manifest.parse(candidate(project, put).manifest).get(SETTINGS)
    try:
        value = json.loads(kept[entry.sha256]) if entry else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _hooks(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a task for the hooks of each event that a plain session reaches."""
    hooks = settings.get("hooks")
    events = [
        name for name in ("SessionStart", "UserPromptSubmit", "Stop") if isinstance(hooks, dict) and hooks.get(name)
    ]
    if events:
        yield {
            "id": "starter-hooks-fire", "description": "The hooks of a plain session run.", "repeats": 1,
            "tags": ["starter", "hooks"], "start": {"empty": True}, "prompt": "Answer with the one word: ready",
            "limits": {"turns": 3, "usd": 0.1, "seconds": 120}, "checks": [{"hook": name} for name in events],
        }  # fmt: skip
    if isinstance(hooks, dict) and hooks.get("PreToolUse"):
        yield {
            "id": "starter-hooks-before-tools", "description": "The hooks before a shell command run.", "repeats": 1,
            "tags": ["starter", "hooks"], "start": {"empty": True},
            "prompt": "Run this shell command and say what it prints: echo ready",
            "limits": {"turns": 4, "usd": 0.1, "seconds": 120},
            "checks": [{"tool": "Bash"}, {"hook": "PreToolUse*"}],
        }  # fmt: skip


def _slug(text: str) -> str:
    """Return what a task's id says of a name; two long names that begin alike have one."""
    return _WORD.sub("-", text.casefold()).strip("-.")[:_SLUG] or "unnamed"
