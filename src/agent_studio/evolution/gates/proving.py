"""Enable: with the artifact in its place the client's definitions are whole, and it is found under its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.findings import Severity
from agent_studio.errors import AgentStudioError
from agent_studio.evolution import phases
from agent_studio.evolution.gate import FAIL, PASS, Gate
from agent_studio.knowledge.base import knowledge
from agent_studio.knowledge.diagnosis import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.evolution.state import Evolution

_SETTINGS = ("settings.json", "settings.local.json")


def definitions(context: Context, one: Evolution) -> Gate:
    """Say whether all is whole with the artifact in its place; what was wrong with others before is theirs."""
    faults = [*_settings(context.project), *_found(context, one), *_issues(context.project, one)]
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        return Gate("definitions", FAIL, f"{faults[0]}{more}", tuple({"fault": fault} for fault in faults))
    return Gate("definitions", PASS, f"{one.kind} {one.name} is found where it lies")


def _settings(project: Project) -> Iterator[str]:
    for name in _SETTINGS:
        try:
            value = json.loads(project.folder.read(f"{DEFINITIONS}/{name}"))
        except FileNotFoundError:
            continue
        except (AgentStudioError, OSError, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            yield f"{project.shown(name)} is no JSON object: the client starts without its settings"


def _found(context: Context, one: Evolution) -> Iterator[str]:
    """Say what the knowledge base has under the name: that one, and nothing else that does something."""
    own = f"{DEFINITIONS}/{phases.file_of(one.kind, one.name)}"
    with knowledge(context) as base:
        paths = [entry.path for entry in base.get(one.name) if entry.domain in phases.KINDS]
    if own not in paths:
        yield f"{own} is not found as {phases.with_article(one.kind)}"
    yield from (f"{path} is called {one.name} too" for path in paths if path != own)


def _issues(project: Project, one: Evolution) -> Iterator[str]:
    own = f"{DEFINITIONS}/{one.place}"
    for issue in diagnose(project).issues:
        is_own = issue.path == own or issue.path.startswith(f"{own}/")
        if is_own and issue.severity in (Severity.WARNING, Severity.ERROR):
            yield f"{issue.path}:{issue.line}: {issue.message}"
