"""Validate: a name that is one, that nobody has, and a description that tells the artifact from all others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.evolution import phases
from agent_studio.evolution.gate import FAIL, PASS, Gate
from agent_studio.evolution.gates.likeness import DOMAINS
from agent_studio.storage.names import collision_key, fault

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.evolution.state import Evolution
    from agent_studio.knowledge.base import KnowledgeBase

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
NAME_MAX = 64
"""Characters; https://agentskills.io/specification."""
_READMES = ("readme",)
_RESERVED = ("anthropic", "claude")
"""Words that the client's vendor keeps from the names of skills; the same page."""
CLIENTS_OWN = {
    "agent": frozenset(("general-purpose", "explore", "plan", "statusline-setup", "claude-code-guide")),
    "command": frozenset((
        "add-dir", "agents", "bug", "clear", "compact", "config", "context", "cost", "doctor", "exit", "export", "help",
        "hooks", "ide", "init", "login", "logout", "mcp", "memory", "model", "permissions", "plugin", "plugins",
        "resume", "review", "rewind", "skills", "status", "usage",
    )),
}  # fmt: skip
"""Names that the client has taken itself; skills are called as commands are."""


def name_form(kind: str, name: str) -> Gate:
    """Say whether a name is one that clients take."""
    if len(name) > NAME_MAX or not _NAME.fullmatch(name):
        reason = f"a name is at most {NAME_MAX} small letters, digits and single hyphens; not {name!r}"
        return Gate("name-form", FAIL, reason)
    if reason := fault(own := phases.KINDS[kind].format(name).rpartition("/")[2]):
        return Gate("name-form", FAIL, f"{own} {reason}")
    if kind != "skill" and name in _READMES:
        return Gate("name-form", FAIL, f"{own} is taken for a README, not for {phases.with_article(kind)}")
    word = next((word for word in _RESERVED if kind == "skill" and word in name.split("-")), None)
    if word:
        return Gate("name-form", FAIL, f"the client's vendor keeps {word!r} from names of skills")
    if name in CLIENTS_OWN.get("command" if kind == "skill" else kind, ()):
        return Gate("name-form", FAIL, f"the client itself has {'an' if kind == 'agent' else 'a command'} {name}")
    return Gate("name-form", PASS, name)


def name_free(base: KnowledgeBase, project: Project, one: Evolution) -> Gate:
    """Say whether nothing has the name, whatever its kind, and whether its place is free."""
    taken = [entry for entry in base.get(one.name) if entry.domain in DOMAINS]
    if taken:
        evidence = tuple({"name": entry.name, "path": entry.path} for entry in taken)
        return Gate("name-conflict", FAIL, f"{taken[0].path} is called {one.name} already", evidence)
    if there := occupied(project, one):
        return Gate("name-conflict", FAIL, f"{there} is there already")
    return Gate("name-conflict", PASS, f"nothing is called {one.name}")


def occupied(project: Project, one: Evolution) -> str:
    """Return what lies where an artifact is to go, or what some file system takes for it; empty for nothing."""
    parent, _, own = one.place.rpartition("/")
    try:
        names = project.folder.names(f"{DEFINITIONS}/{parent}")
    except FileNotFoundError:
        return ""
    key = collision_key(own)
    there = next((name for name in names if collision_key(name) == key), None)
    return "" if there is None else project.shown(f"{parent}/{there}")


def is_known(kind: str, name: str) -> bool:
    """Tell whether the client itself has an artifact of this name."""
    return name.casefold() in CLIENTS_OWN.get(kind, ())
