"""What a checklist has before it: both sides, the candidate, its evidence, and what the gate is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.release import evidence, facts, gate
from agent_studio.release.production.sides import SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.context import Context
    from agent_studio.release.content.candidates import Made
    from agent_studio.release.evidence import Found
    from agent_studio.release.facts import Gathered
    from agent_studio.release.gate import Gate
    from agent_studio.release.production.sides import Sides

Draw = Callable[["Context"], Mapping[str, Any]]
"""Draws the dashboard of an environment and returns what it shows; the faces have it."""


class Seen(NamedTuple):
    """What one look found."""

    verdict: str
    reason: str
    source: str = ""
    """A file, or whatever else can be opened to see it."""
    details: Sequence[str] = ()


class Scene:
    """What there is to look at; each part is opened when it is first looked at."""

    def __init__(self, sides: Sides, made: Made, draw: Draw) -> None:
        self.sides, self.made, self.draw = sides, made, draw

    @property
    def staging(self) -> Context:
        """Staging; raises what keeps it from opening."""
        return self.sides.staging

    @cached_property
    def found(self) -> Found:
        """The evidence on the candidate."""
        return evidence.of(self.sides.project, SOURCE, self.made.candidate)

    @cached_property
    def gathered(self) -> Gathered:
        """What the gate is told."""
        return facts.gather(self.sides, self.made.candidate)

    @cached_property
    def gate(self) -> Gate:
        """What the gate says."""
        return gate.decide(self.gathered.facts)
