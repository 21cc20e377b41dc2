"""What a smoke check gets and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from agent_studio.environment.context import Context, open_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.detect import Choice, Environment
    from agent_studio.environment.roots import EnvironmentRoot, Project


class Failed(Exception):  # noqa: N818 - a verdict, not a fault
    """The check found something wrong; the message says what."""


class Skipped(Exception):  # noqa: N818 - a verdict, not a fault
    """The check could not run; the message says why."""


@dataclass
class Subject:
    """The environment under test; its configuration is loaded when first needed."""

    project: Project
    choice: Choice
    variables: Mapping[str, str]
    overrides: list[str] = field(default_factory=list)

    @property
    def environment(self) -> Environment:
        """The environment under test."""
        return self.choice.environment

    @cached_property
    def context(self) -> Context:
        """Its configuration and root; raises `ConfigurationError`."""
        return open_context(self.project, self.choice, self.variables, self.overrides)

    @property
    def root(self) -> EnvironmentRoot:
        """Its data root."""
        return self.context.root


@dataclass(frozen=True)
class Check:
    """One named check."""

    name: str
    run: Callable[[Subject], str]
    required: bool = True
    """Whether skipping it leaves the whole verdict INSUFFICIENT."""
