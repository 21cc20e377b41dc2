"""Everything that recording needs in a project: the routes of its environments and the recorder itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent_studio.capture.recorder import build, decision, routes
from agent_studio.capture.recorder.build import Installed
from agent_studio.environment.config import inspect
from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project

_MB = 1_000_000


def set_up(context: Context) -> Installed:
    """Write the routes of all environments and put the recorder in place, which is kept when it is current.

    Raises `UnsafePathError` for an inbox that cannot be trusted, `StorageError` when nothing can be written or run.
    """
    project = context.project
    limits = {
        environment: int(inspect(project, environment, {})[0]["capture.inboxLimitMb"]) * _MB
        for environment in Environment
    }
    routes.write(project, [context.root, *other_roots(project, context.environment)], limits)
    return build.install(project)


def planned(project: Project) -> Installed:
    """Return what is in place, or what would be put there; nothing is built."""
    recorder, decide = (project.path / build.BIN / name for name in ("recorder", decision.PROGRAM))
    found = build.installed(project) or Installed("native", recorder, (str(recorder),), "")
    return replace(found, decide=found.decide or (str(decide),))
