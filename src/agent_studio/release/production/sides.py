"""The two sides of a promotion: staging, where a candidate proved itself, and production, where it goes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from agent_studio.environment.change import place_of
from agent_studio.environment.config import load
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import VARIABLE, Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError, UsageError
from agent_studio.release.production import history, whose
from agent_studio.release.production.target import IN_PLACE, KEY, SEPARATE, AbsentTargetError, Target, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.shared_records import SharedRecords
    from agent_studio.release.content.tree import Tree

SOURCE, TO = Environment.STAGING, Environment.PRODUCTION


class Sides:
    """Where releases come from and where they go."""

    def __init__(
        self, project: Project, found: Target, variables: Mapping[str, str], overrides: tuple[str, ...]
    ) -> None:
        self.project = project
        """The working checkout, which also keeps store and history."""
        self.target = found
        self.production = data_project(project, found.tree)
        """The project that holds production's data and configuration; this one for a folder of definitions alone."""
        self.variables = variables
        self.overrides = overrides
        self.shared: SharedRecords | None = None
        """Where both sides' records are read in place of this machine's journals."""

    def reading(self, shared: SharedRecords | None) -> Sides:
        """Return the same sides, whose records are read from what many machines share."""
        sides = Sides(self.project, self.target, self.variables, self.overrides)
        sides.shared = shared
        return sides

    @cached_property
    def staging(self) -> Context:
        """Staging; raises `ConfigurationError` or `DisabledError`. Production's way back does without it."""
        found = open_context(self.project, Choice(SOURCE, "releases"), self.variables, self.overrides)
        return found._replace(shared=self.shared)

    def live(self) -> Context:
        """Open production as it is now; raise `ConfigurationError` when it cannot be."""
        self.refuse_absent()
        found = open_context(self.production, PRODUCTION, self.variables, self.overrides)
        return found._replace(shared=self.shared)

    def refuse_absent(self) -> None:
        """Raise `AbsentTargetError` where production is not on this machine: nothing is known of what is live."""
        if self.target.absent:
            raise AbsentTargetError(self.target.absent, hint="run it where production is")


PRODUCTION = Choice(TO, KEY)


def refuse_development(choice: Choice) -> None:
    """Raise `UsageError` when the environment was chosen and is neither side of a promotion."""
    if choice.environment not in {SOURCE, TO} and choice.source != "default":
        raise UsageError(
            f"releases go from {SOURCE} to {TO}, and {choice.source} says {choice.environment}",
            hint=f"leave {choice.source} out",
        )


def open_sides(
    project: Project, variables: Mapping[str, str], overrides: Iterable[str] = (), *, looking: bool = False
) -> Sides:
    """Return both sides; who is only `looking` gets them where the target is not on this machine, too.

    Raises `ConfigurationError` when the target is not as it should be, `UsageError` when no file says where it is, and
    in the target itself.
    """
    whose.refuse_production(project)
    variables = {name: value for name, value in variables.items() if name != VARIABLE}
    config = load(project, TO, variables, overrides := tuple(overrides))
    layer = config.explain(KEY)[-1]
    if not layer.file and layer.value is not None:
        raise UsageError(
            f"{KEY} comes from {place_of(layer)}: who signs for a candidate signs for the target in its files",
            hint=f"write {KEY} into .claude/config.yaml",
        )
    return Sides(project, target(project, config, looking=looking), variables, overrides)


def open_sides_to_return(project: Project, variables: Mapping[str, str], overrides: Iterable[str] = ()) -> Sides:
    """Return both sides for a way back: where the configuration is broken, production is where the history says.

    Raises as `open_sides` does where there is no history.
    """
    try:
        return open_sides(project, variables, overrides)
    except ConfigurationError:
        tree = whose.of_history(project, history.read(project))
        if tree is None or not tree.definitions.is_dir():
            raise
        found = Target(tree, IN_PLACE if tree.around == project.path else SEPARATE)
        apart = {name: value for name, value in variables.items() if name != VARIABLE}
        return Sides(project, found, apart, tuple(overrides))


def production_context(project: Project, variables: Mapping[str, str], overrides: Iterable[str] = ()) -> Context:
    """Open production, whether a project is the working checkout or production itself.

    Raises `ConfigurationError` when it, or where it is, is not as it should be.
    """
    apart = {name: value for name, value in variables.items() if name != VARIABLE}
    overrides = tuple(overrides)
    return open_context(production_project(project, apart, overrides), PRODUCTION, apart, overrides)


def production_project(project: Project, variables: Mapping[str, str], overrides: Iterable[str] = ()) -> Project:
    """Return the project that holds production's data and configuration, given the working checkout or itself.

    Raises `ConfigurationError` when the target is not as it should be.
    """
    return project if whose.is_production(project) else open_sides(project, variables, overrides).production


def data_project(project: Project, tree: Tree) -> Project:
    """Return the project that holds production's data."""
    return project if tree.around is None else Project(tree.around)
