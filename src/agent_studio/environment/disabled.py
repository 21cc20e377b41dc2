"""Staging that was put out of use: a rollback to which there was no way back says so, until staging is made anew."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, ExitCode, StorageError, UnsafePathError

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project

FILE = "disabled.json"


class DisabledError(AgentStudioError):
    """The environment is out of use."""

    code = "disabled"
    exit_code = ExitCode.RECOVERY


def disable(project: Project, reason: str, who: str) -> None:
    """Put staging out of use."""
    folder = project.state(Environment.STAGING)
    folder.make()
    note = {"reason": reason, "who": who, "time": clock.timestamp(clock.now())}
    folder.replace(FILE, json.dumps(note).encode() + b"\n")


def enable(project: Project) -> None:
    """Take it into use again."""
    with suppress(FileNotFoundError):
        project.state(Environment.STAGING).remove(FILE)


def refuse_disabled(project: Project, environment: Environment) -> None:
    """Raise `DisabledError` when an environment is out of use."""
    if environment is not Environment.STAGING:
        return
    try:
        note = json.loads(project.state(environment).read(FILE))
        told = f"by {note['who']} at {note['time']}: {note['reason']}"
    except (FileNotFoundError, UnsafePathError, StorageError):  # what stands in its way is told by who needs the folder
        return
    except (ValueError, KeyError, TypeError):
        told = "its note of why is damaged"
    raise DisabledError(
        f"staging is disabled {told}",
        hint="work in development meanwhile (--env development), or make staging anew: "
        "agent-studio init --env staging --reset",
    )
