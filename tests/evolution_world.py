"""A project in which something is evolved: its commands, drafts that hold and that do not, a clock of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.evolution import store
from agent_studio.evolution.phases import following
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest
    from tests.conftest import Finished, Studio

    from agent_studio.evolution.state import State

NEED = "turn merged pull requests into announcements for customers"
SKILL = """---
name: release-notes
description: Turns merged pull requests into announcements that customers understand.
---

# Release notes

1. List what was merged since the last tag.
2. Say of each what it changes for a customer.
"""
SOURCES = (
    ("https://keepachangelog.com/en/1.1.0/", "--says", "notes are for people and grouped by kind"),
    ("--document", "Semantic Versioning 2.0.0", "--says", "a number says whether a release breaks something"),
    ("notes.md", "--quote", "Customers read what we ship.", "--says", "customers are those who read them"),
)


class EvolutionWorld:
    """One project."""

    def __init__(self, studio: Studio, *, environment: Environment = Environment.DEVELOPMENT) -> None:
        self.studio = studio
        self.environment = environment
        studio.write("notes.md", "# Notes\n\nCustomers read\nwhat we ship.\n")

    @property
    def context(self) -> Context:
        project = Project(self.studio.path.resolve())
        return open_context(project, Choice(self.environment, "a test"), {})

    @property
    def data(self) -> Path:
        return self.context.root.folder("context").path

    @property
    def state(self) -> State:
        return store.read(self.context).state

    @property
    def file(self) -> dict[str, Any]:
        """What the state file holds."""
        found: dict[str, Any] = json.loads((self.data / "evolution-state.json").read_bytes())
        return found

    @property
    def events(self) -> list[str]:
        return [one["event"] for one in chained.read(self.context.root.folder("context"), "evolution.jsonl").records]

    def evolve(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.code == code, (done.code, done.out, done.err)
        return done.data

    def refused(self, *arguments: str, code: int = 2) -> dict[str, str]:
        """Return the one problem of a command that is refused."""
        done = self.run(*arguments, "--json")
        assert done.code == code, (done.code, done.out, done.err)
        [problem] = done.envelope["problems"]
        found: dict[str, str] = problem
        return found

    def run(self, *arguments: str) -> Finished:
        return self.studio.run("evolve", *arguments, "--env", self.environment)

    def start(self, kind: str = "skill", name: str = "release-notes", *more: str, need: str = NEED) -> dict[str, Any]:
        found: dict[str, Any] = self.evolve("start", kind, name, "--need", need, *more)["evolution"]
        return found

    def research(self) -> None:
        for source in SOURCES:
            self.evolve("research", *source)

    def to(self, phase: str, *more: str) -> None:
        """Start, and go on with what holds until a phase is reached."""
        self.start("skill", "release-notes", *more)
        steps = ("validate", "research", "lock", "verify", "enable")
        for step in steps[: steps.index(phase) + 1]:
            if step == "lock":
                self.research()
            if step == "verify":
                self.draft(SKILL)
            self.evolve("advance", step)

    def step(self, *more: str, code: int = 0) -> dict[str, Any]:
        """Ask the gates of one phase, and of no other."""
        at = self.state.phase
        return self.evolve("advance", *([] if at == "enable" else [following(at)]), *more, code=code)

    def draft(self, text: str | Mapping[str, str]) -> None:
        """Write the draft where `status` says."""
        place = self.studio.path / self.evolve("status")["evolution"]["draft"]
        for name, content in ({place.name: text} if isinstance(text, str) else text).items():
            file = place.parent / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")


def verdicts(data: dict[str, Any]) -> dict[str, str]:
    """Return what each gate says."""
    return {gate["name"]: gate["verdict"] for gate in data["gates"]}


def reason(data: dict[str, Any], name: str) -> str:
    """Return why one gate says so."""
    found: str = next(gate["reason"] for gate in data["gates"] if gate["name"] == name)
    return found


class Clock:
    """A clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC)
        monkeypatch.setattr(clock, "now", lambda: self.now)

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)
