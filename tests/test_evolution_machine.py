"""Whatever is started, advanced, drafted, damaged, given up and suggested in whatever order: a model says the same."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.conftest import Studio, add_artifacts
from tests.evolution_world import NEED, SKILL, EvolutionWorld

from agent_studio import clock
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.evolution import store, suggestions, workflow
from agent_studio.evolution.gates.sources import Asked
from agent_studio.evolution.judging import Asker
from agent_studio.evolution.phases import PHASES, PhaseError

GOOD, BAD = SKILL, SKILL + "\nTODO: the rest\n"
_texts = st.sampled_from(["", GOOD, BAD, GOOD + "\nAnother line.\n"])
_phases = st.sampled_from(["", *PHASES])


class Evolutions(RuleBasedStateMachine):
    """One project; the model is a phase, a set of sources, two drafts, three times and a bag of suggestions."""

    @initialize()
    def start_over(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / ".claude").mkdir()
        studio = Studio(self.folder.resolve())
        add_artifacts(studio)
        self.world = EvolutionWorld(studio)
        assert studio.run("init", "--no-hooks", "--set", "testData.artifactsCount=0").code == 0
        self.context = self.world.context
        self.now = datetime.now(UTC)
        self.clock = mock.patch.object(clock, "now", side_effect=lambda: self.now)
        self.clock.start()
        self.phase = ""
        self.sources: set[int] = set()
        self.text = self.locked = ""
        self.started: list[datetime] = []
        self.seen: dict[datetime, datetime] = {}
        self.outcomes: list[str] = []
        self.said: dict[str, int] = {}
        self.placed = False

    def teardown(self) -> None:
        if hasattr(self, "clock"):
            self.clock.stop()
            shutil.rmtree(self.folder)

    def _wrote(self) -> None:
        now = datetime.fromisoformat(clock.timestamp(self.now))
        for at in self.started:
            if at > now:
                self.seen[at] = min(now, self.seen.get(at, now))

    @rule(minutes=st.sampled_from([-300, 1, 25, 61]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(covered=st.sampled_from([False, False, True]))
    def start(self, covered: bool) -> None:  # noqa: FBT001 - drawn
        need = "reviews pull requests for correctness and style" if covered else NEED
        counted = [(at, min(self.now, self.seen.get(at, self.now)) if at > self.now else at) for at in self.started]
        counted = [(at, since) for at, since in counted if self.now - since < timedelta(hours=1)]
        too_many = len(counted) >= 3
        wanted = workflow.Wanted("skill", "release-notes", need)
        if self.phase or too_many:
            with pytest.raises(PhaseError if self.phase else UsageError):
                workflow.start(self.context, wanted)
            if not self.phase and any(at > self.now for at, _ in counted):
                self._wrote()
            return
        workflow.start(self.context, wanted)
        self._wrote()
        self.started.append(datetime.fromisoformat(clock.timestamp(self.now)))
        self.phase, self.covered = "evaluate", covered
        self.sources, self.text, self.locked = set(), "", ""

    @rule(number=st.integers(0, 4))
    def research(self, number: int) -> None:
        asked = Asked(f"https://example.org/{number}", "it says how to do it")
        if self.phase not in {"evaluate", "validate", "research"}:
            with pytest.raises(PhaseError):
                workflow.research(self.context, asked)
            return
        _, _, is_new = workflow.research(self.context, asked)
        assert is_new == (number not in self.sources)
        if is_new:
            self._wrote()
        self.sources.add(number)

    @precondition(lambda self: self.phase)
    @rule(text=_texts)
    def write(self, text: str) -> None:
        place = self.world.data / f"artifacts/evolution/{len(self.started)}/SKILL.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        self.text = text

    @rule(to=_phases)
    def advance(self, to: str) -> None:
        asker = Asker(self.context, {})
        following = PHASES[PHASES.index(self.phase) + 1] if self.phase not in {"", "enable"} else ""
        if not self.phase or (to and to != following):
            with pytest.raises(PhaseError):
                workflow.advance(asker, to=to)
            return
        step = workflow.advance(asker, to=to)
        self._wrote()
        verdict, phase = self._expected()
        assert (step.verdict, step.one.phase if not step.one.outcome else "") == (verdict, phase)
        if not phase:
            self.outcomes.append(step.one.outcome)
            assert step.one.outcome == ("enabled" if self.phase == "enable" else "stopped")
            self.placed = self.placed or self.phase == "enable"
        self.phase = phase

    def _expected(self) -> tuple[str, str]:
        """Return the verdict and the phase after it, as the model has them."""
        if self.phase == "evaluate":
            covered = self.covered or self.placed
            return ("FAIL", "") if covered else ("PASS", "validate")
        if self.phase == "validate":
            return ("FAIL", "") if self.placed else ("PASS", "research")
        if self.phase == "research":
            return ("PASS", "lock") if len(self.sources) >= 3 else ("INSUFFICIENT", "research")
        if self.phase == "lock":
            if not self.text:
                return "INSUFFICIENT", "lock"
            self.locked = self.text
            return "PASS", "verify"
        if self.text != self.locked or self.text == BAD:
            return "FAIL", "lock"
        return ("PASS", "enable") if self.phase == "verify" else ("PASS", "")

    @rule(steps=st.integers(2, 7))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            if self.phase == "research":
                for number in (0, 1, 1, 2):
                    self.research(number)
            if self.phase == "lock":
                self.write(GOOD)
            self.advance("")

    @rule(sure=st.integers(0, 3))
    def abort(self, sure: int) -> None:
        if sure:
            return  # else hardly anything would come to its end
        if not self.phase:
            with pytest.raises(PhaseError):
                workflow.abort(self.context, "a trial")
            return
        workflow.abort(self.context, "a trial")
        self._wrote()
        self.outcomes.append("aborted")
        self.phase = ""

    @rule(text=st.sampled_from(["read the logs", "Logs: read!", "plan a migration"]))
    def suggest(self, text: str) -> None:
        suggestions.say(self.context, text)
        self._wrote()
        key = "logs" if "log" in text.lower() else "migration"
        self.said[key] = self.said.get(key, 0) + 1

    @rule(how=st.sampled_from([b"", b"{", None, b'{"currentPhase": "dreaming"}', b'{"state": "idle"}']))
    def damage(self, how: bytes | None) -> None:
        place = self.world.data / "evolution-state.json"
        place.unlink(missing_ok=True)
        if how is not None:
            place.write_bytes(how)

    @rule()
    def repair(self) -> None:
        store.repair(self.context)
        if self.started or self.said:
            assert self.world.file["currentPhase"] == (self.phase or "idle")

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            state = self.world.state
        except AgentStudioError as error:
            raise AssertionError(error.message) from error
        assert state.phase == (self.phase or "idle")
        assert [one.outcome for one in state.past] == self.outcomes
        assert {one.count for one in state.queue} == set(self.said.values())
        if state.current:
            assert len(state.current.research) == len(self.sources)
        skill = self.folder / ".claude/skills/release-notes/SKILL.md"
        assert skill.exists() == self.placed
        assert not self.placed or skill.read_text() in {GOOD, GOOD + "\nAnother line.\n"}


TestEvolutions = Evolutions.TestCase
TestEvolutions.settings = settings(max_examples=14, stateful_step_count=30, deadline=None)
