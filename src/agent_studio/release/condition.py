"""Findings about releases: what is interrupted, damaged, unproven, or somebody else's production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.detect import Environment
from agent_studio.environment.disabled import DisabledError
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.roots import EnvironmentRoot
from agent_studio.errors import AgentStudioError, ConfigurationError, IntegrityError, UsageError
from agent_studio.release import evidence
from agent_studio.release.backups.places import RestoreInterruptedError, refuse_interrupted
from agent_studio.release.burnin import beginning
from agent_studio.release.production import history, switch, whose
from agent_studio.release.production.sides import SOURCE, open_sides
from agent_studio.release.production.target import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.release.production.history import History

RECOVER = "agent-studio recover"


def checks(project: Project, variables: Mapping[str, str]) -> Iterator[Finding]:
    """Yield findings about the releases of a project, or of the one whose production it is."""
    owner = project
    try:
        if held := whose.read(project):
            owner = held.project
            yield _owned(owner)
    except IntegrityError as error:
        yield _damaged(error)
    if owner.path.is_dir():
        yield from _switch(owner)
        yield from _history(owner, project, variables)
    for one in dict.fromkeys((project, owner)):
        yield from _restores(one)


def _owned(owner: Project) -> Finding:
    if owner.path.is_dir():
        return Finding("production-of", Severity.OK, f"this is the production of {owner.path}")
    return Finding(
        "production-of", Severity.WARNING, f"this is the production of {owner.path}, which is not there",
        "from the project that promotes here: agent-studio init --env production --target DIR",
    )  # fmt: skip


def _damaged(error: AgentStudioError) -> Finding:
    return Finding("release-damage", Severity.ERROR, error.message, error.hint or "agent-studio release verify")


def _switch(owner: Project) -> Iterator[Finding]:
    try:
        switch.refuse_pending(owner)
    except IntegrityError as error:
        yield _damaged(error)
    except AgentStudioError as error:
        yield Finding("release-interrupted", Severity.ERROR, error.message, error.hint)


def _history(owner: Project, project: Project, variables: Mapping[str, str]) -> Iterator[Finding]:
    try:
        past = history.read(owner)
        evidence.of(owner, SOURCE, "")
    except AgentStudioError as error:
        yield _damaged(error)
        return
    yield from _proof(past)
    if owner == project:
        yield from _target(owner, past, variables)


def _proof(past: History) -> Iterator[Finding]:
    live = past.current
    if live is None:
        return
    name = live.release[:12]
    if live.healthy:
        yield Finding("release", Severity.OK, f"{name} is live in production, and proved itself")
    elif live.healthy is None:
        said = f"{name} is live in production, and did not prove itself yet"
        yield Finding("release-unproven", Severity.WARNING, said, RECOVER)
    else:
        said = f"{name} is live in production, and failed its smoke tests"
        yield Finding("release-unproven", Severity.WARNING, said, "mend the definitions: agent-studio promote")


def _target(project: Project, past: History, variables: Mapping[str, str]) -> Iterator[Finding]:
    """Yield where production is another's, or another folder than the history says."""
    try:
        sides = open_sides(project, variables, looking=True)
    except AgentStudioError as error:
        if error.message.startswith(KEY):  # any other fault of the configuration is a finding of its own
            yield Finding("production-target", Severity.ERROR, error.message, error.hint)
        return
    try:
        beginning.check(sides.staging)
    except DisabledError as error:
        yield Finding("staging-disabled", Severity.WARNING, error.message, error.hint)
    except ConfigurationError:
        pass  # staging is not set up, or its configuration is a finding of its own
    except AgentStudioError as error:
        yield Finding("burnin-damage", Severity.ERROR, error.message, "agent-studio burnin start --restart")
    if sides.target.absent:
        yield Finding("production-absent", Severity.INFO, sides.target.absent, "run it where production is")
        return
    try:
        whose.refuse_moved(project, sides.target.tree, past)
        whose.refuse_other(sides.production, project, past)
    except (whose.DriftError, IntegrityError, UsageError) as error:
        yield Finding("production-of", Severity.ERROR, error.message, error.hint)


def _restores(project: Project) -> Iterator[Finding]:
    for environment in Environment:
        try:
            refuse_interrupted(EnvironmentRoot(project, environment, "", {}))
        except RestoreInterruptedError as error:
            yield Finding("restore-interrupted", Severity.ERROR, error.message, error.hint)
