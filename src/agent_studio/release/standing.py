"""Where production and the working checkout's candidate stand, at a glance: nothing is opened but what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.config import load
from agent_studio.errors import AgentStudioError
from agent_studio.release import evidence, gate, policy
from agent_studio.release.burnin import beginning
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import PASS
from agent_studio.release.production import history, whose
from agent_studio.release.production.sides import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.release.evidence import Evidence
    from agent_studio.release.production.history import Release

_STEPS: Mapping[str, str] = {
    "test": f"test --env {SOURCE}",
    "smoke": f"smoke --env {SOURCE}",
    "isolation": f"doctor isolation --env {SOURCE}",
    "checklist.pre": "checklist pre",
    "checklist.deploy": "checklist deploy",
    "burnin": "burnin start",
    "performance": "burnin report",
    "errors": "burnin report",
    "comparison": "burnin report",
    "checklist.post": "checklist post",
    "plan": "checklist promotion --plan plan.md",
    "checklist.promotion": "checklist promotion",
}
"""The command that gathers each kind of evidence, in the order in which they are best gathered."""


class Standing(NamedTuple):
    """What is known."""

    release: Release | None
    """What is live in production; None before the first promotion."""
    candidate: str
    """Of the working checkout; empty where it cannot be told."""
    evidence: Mapping[str, Evidence]
    """On that candidate, by kind."""
    faults: list[AgentStudioError]
    """Why something is not known."""

    stale: frozenset[str] = frozenset()
    """Kinds whose evidence is too old to count."""
    is_observed: bool = False
    """Whether a burn-in of the candidate was started."""

    @property
    def passed(self) -> int:
        """How many kinds of evidence that a promotion needs say PASS, and are not too old to."""
        return sum(map(self._holds, gate.REQUIRED))

    @property
    def next_step(self) -> str:
        """The command that gets the candidate on: of what does not hold the first, as it is best gathered."""
        kind = next((kind for kind in _STEPS if not self._holds(kind)), "")
        if kind == "burnin" and self.is_observed:
            return "burnin report"
        return _STEPS[kind] if kind else "gate"

    def _holds(self, kind: str) -> bool:
        held = self.evidence.get(kind)
        return held is not None and held.verdict == PASS and kind not in self.stale


def standing(project: Project) -> Standing:
    """Return where things stand; a folder that is another project's production has no candidate of its own."""
    faults: list[AgentStudioError] = []
    owner = whose.owner(project)
    live: Release | None = None
    sha256, found, stale, is_observed = "", dict[str, evidence.Evidence](), frozenset[str](), False
    try:
        live = history.read(owner or project).current
    except AgentStudioError as error:
        faults.append(error)
    if owner is None:
        try:
            sha256 = candidate(project).sha256
            found = evidence.of(project, SOURCE, sha256).evidence
            begun = beginning.started_in(project.state(SOURCE))
            is_observed = begun is not None and begun.candidate == sha256
            stale = _stale(project, found)
        except AgentStudioError as error:
            faults.append(error)
    return Standing(live, sha256, found, faults, stale, is_observed)


def _stale(project: Project, found: Mapping[str, Evidence]) -> frozenset[str]:
    if not found:
        return frozenset()
    now, days = clock.now(), policy.evidence_days_of(project, load(project, SOURCE, {}))
    return frozenset(kind for kind, one in found.items() if evidence.age_fault(one.time, now, days))
