"""One environment of one project, ready to work with: its configuration and its data root."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.config import Config, inspect, load
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.disabled import refuse_disabled
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root, refuse_overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.shared_records import SharedRecords


class Context(NamedTuple):
    """What nearly every command needs."""

    project: Project
    choice: Choice
    config: Config
    root: EnvironmentRoot
    shared: SharedRecords | None = None
    """Where records are read in place of this machine's journals."""

    @property
    def environment(self) -> Environment:
        """The chosen environment."""
        return self.choice.environment


def open_context(
    project: Project, choice: Choice, variables: Mapping[str, str], overrides: Iterable[str] = ()
) -> Context:
    """Load the configuration and place the root; raise `ConfigurationError` when either is wrong.

    Raises `DisabledError` for staging that is out of use.
    """
    refuse_disabled(project, choice.environment)
    config = load(project, choice.environment, variables, overrides)
    return Context(project, choice, config, placed_root(project, config))


def placed_root(project: Project, config: Config) -> EnvironmentRoot:
    """Return the root that a configuration places; raise `ConfigurationError` where it may not lie."""
    root = environment_root(project, config.environment, config.values())
    refuse_overlap(root, other_roots(project, config.environment))
    return root


def other_roots(project: Project, environment: Environment | None) -> list[EnvironmentRoot]:
    """Return the roots of the other environments, as their files place them; of all beside None."""
    others = [other for other in Environment if other is not environment]
    return [environment_root(project, other, inspect(project, other, {})[0].values()) for other in others]
