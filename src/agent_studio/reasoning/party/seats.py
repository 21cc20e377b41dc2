"""Seats bound to who speaks in them: the project's agent file and its hash, or a built-in persona that is called so."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import ConfigurationError, UnsafePathError, nearest
from agent_studio.knowledge import front_matter
from agent_studio.knowledge.artifacts import load as load_artifact
from agent_studio.knowledge.places import walk
from agent_studio.knowledge.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.roots import Project
    from agent_studio.reasoning.party.team import Seat, Team

PROJECT, BUILT_IN = "project", "built-in"
PERSONA_MAX = 24_000
"""Characters of a persona that a seat is given."""
_PERSONAS = Path(__file__).parent / "shipped" / "personas.toml"
_AGENTS = "agents"


@dataclass(frozen=True)
class Bound:
    """A seat and who speaks in it."""

    seat: Seat
    source: str
    """`project` or `built-in`."""
    file: str
    """The agent's file from the project's root; empty for a built-in persona."""
    sha256: str
    """Of the file's bytes, or of the persona."""
    persona: str
    model: str = ""
    """Which model the agent's file asks for."""


def bind(project: Project, team: Team) -> list[Bound]:
    """Return every seat of a team with its persona; raise `ConfigurationError` for one that nobody can take."""
    known = _Agents(project)
    bound = [known.bound(seat, team.file) for seat in team.seats]
    for fault in _twins(bound, team.file):
        raise fault
    return bound


def faults(project: Project, team: Team) -> Iterator[ConfigurationError]:
    """Yield what is wrong with each seat, where `bind` raises the first."""
    known, bound = _Agents(project), []
    for seat in team.seats:
        try:
            bound.append(known.bound(seat, team.file))
        except ConfigurationError as fault:
            yield fault
    yield from _twins(bound, team.file)


def _twins(bound: Sequence[Bound], file: str) -> Iterator[ConfigurationError]:
    """Yield seats in which one agent sits twice under two names."""
    seen: dict[tuple[str, str, str], Bound] = {}
    for one in bound:
        first = seen.setdefault((one.sha256, one.seat.model, one.seat.method), one)
        if first is not one:
            yield ConfigurationError(
                f"{file}:{one.seat.line} has {one.seat.agent}, who is {first.seat.agent} of line {first.seat.line}",
                hint="one agent may sit twice only with another model or method",
            )


def agents(project: Project) -> list[str]:
    """Return every agent that a seat can name: the project's own, and the built-in personas."""
    return sorted({*_Agents(project).by_name(), *personas()})


@cache
def personas() -> dict[str, str]:
    """Return the built-in personas by agent type."""
    import tomllib  # noqa: PLC0415 - only where a seat is bound

    return {name: text.strip() for name, text in tomllib.loads(_PERSONAS.read_text(encoding="utf-8")).items()}


class _Agents:
    """The agent definitions of one project; all of them are looked at only for a name that is no file's."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: dict[str, str] | None = None

    def by_name(self) -> dict[str, str]:
        """Return the file of each agent of the project, below `.claude/`, by name and by file name."""
        if self._found is None:
            self._found = {}
            prefix = self._project.shown("")
            for place in walk(self._project).files:
                if place.domain != "agent" or place.source != "project" or not place.path.startswith(prefix):
                    continue
                stated = load_artifact(place).matter.fields.get("name", "")
                for name in (stated, place.place.stem):
                    if isinstance(name, str) and name.strip():
                        self._found.setdefault(name.strip(), place.path.removeprefix(prefix))
        return self._found

    def bound(self, seat: Seat, file: str) -> Bound:
        own = self._own(seat, f"{file}:{seat.line}" if seat.line else file)
        if own is not None:
            return own
        text = personas().get(seat.agent)
        if text is None:
            near = nearest(seat.agent, [*self.by_name(), *personas()])
            raise ConfigurationError(
                f"{file}:{seat.line} names the agent {seat.agent}, whom no file in "
                f"{self._project.shown(_AGENTS)}/ defines",
                hint=(f'did you mean "{near}"? ' if near else "")
                + f"else write {self._project.shown(_AGENTS)}/{seat.agent}.md",
            )
        return Bound(seat, BUILT_IN, "", hashlib.sha256(text.encode()).hexdigest(), text)

    def _own(self, seat: Seat, place: str) -> Bound | None:
        direct = f"{_AGENTS}/{seat.agent}.md"
        try:
            bound = self._read(seat, direct, place)
            if bound is not None and bound[1] in {"", seat.agent}:
                return bound[0]
        except UnsafePathError:
            pass
        name = self.by_name().get(seat.agent)
        found = self._read(seat, name, place) if name else None
        return found[0] if found else None

    def _read(self, seat: Seat, name: str, place: str) -> tuple[Bound, str] | None:
        """Return the seat with the agent of a file and the name that the file states; None where there is no file."""
        try:
            data = self._project.read_definition(name)
        except FileNotFoundError:
            return None
        real = os.path.realpath(self._project.definition(name))
        if not Path(real).is_relative_to(os.path.realpath(self._project.path)):
            raise ConfigurationError(
                f"{place} names the agent {seat.agent}, whose file {self._project.shown(name)} is a link out of the "
                "project", hint="put the file itself there",
            )  # fmt: skip
        if not real.endswith(".md"):
            raise ConfigurationError(
                f"{place} names the agent {seat.agent}, whose file {self._project.shown(name)} is a link to what is no "
                "Markdown", hint="put the file itself there",
            )  # fmt: skip
        matter = front_matter.read(decode(data)[0])
        stated, model = matter.fields.get("name", ""), matter.fields.get("model", "")
        bound = Bound(
            seat, PROJECT, self._project.shown(name), hashlib.sha256(data).hexdigest(),
            matter.body.strip()[:PERSONA_MAX], model if isinstance(model, str) else "",
        )  # fmt: skip
        return bound, stated.strip() if isinstance(stated, str) else ""
