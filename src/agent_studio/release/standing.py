"""Where production and the working checkout's candidate stand, at a glance: nothing is opened but what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.release import evidence, gate, history, whose
from agent_studio.release.candidate import candidate
from agent_studio.release.evidence import PASS
from agent_studio.release.sides import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.release.evidence import Evidence
    from agent_studio.release.history import Release

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
_FIRST = ("test", "smoke")
"""What has to pass before anything else is worth its time."""


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

    @property
    def passed(self) -> int:
        """How many kinds of evidence that a promotion needs say PASS."""
        return sum(one.verdict == PASS for kind, one in self.evidence.items() if kind in gate.REQUIRED)

    @property
    def next_step(self) -> str:
        """The command that gets the candidate on: mend what has to pass first, then gather, then ask the gate."""
        verdicts = {kind: one.verdict for kind, one in self.evidence.items()}
        for kind in _FIRST:
            if verdicts.get(kind) != PASS:
                return _STEPS[kind]
        missing = next((kind for kind in _STEPS if kind not in verdicts), "")
        if not missing:
            return "gate" if verdicts["burnin"] == PASS else "burnin status"
        return _STEPS[missing]


def standing(project: Project) -> Standing:
    """Return where things stand; a folder that is another project's production has no candidate of its own."""
    faults: list[AgentStudioError] = []
    owner = whose.owner(project)
    live: Release | None = None
    sha256, found = "", dict[str, evidence.Evidence]()
    try:
        live = history.read(owner or project).current
    except AgentStudioError as error:
        faults.append(error)
    if owner is None:
        try:
            sha256 = candidate(project).sha256
            found = evidence.of(project, SOURCE, sha256).evidence
        except AgentStudioError as error:
            faults.append(error)
    return Standing(live, sha256, found, faults)
