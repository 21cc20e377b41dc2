"""The plan of a deployment and of the ways back as evidence: kept, and compared with how things are now.

Text and hash are evidence of kind `plan`; the file that people read is a copy. `release.plan_text` writes it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release import evidence
from agent_studio.release.content import manifest
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.release.evidence import Evidence
    from agent_studio.release.facts import Gathered
    from agent_studio.release.production.sides import Sides

KIND = "plan"
LEVELS = (1, 2, 3)


class Plan(NamedTuple):
    """A plan and what it is about."""

    text: str
    candidate: str
    current: str
    """The release that is live; empty before the first."""
    target: str
    """The release that would be live."""

    @property
    def sha256(self) -> str:
        """Of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def versions(gathered: Gathered) -> tuple[str, str]:
    """Return the release that is live, empty before the first, and the one that would be."""
    current = gathered.past.current
    return "" if current is None else current.release, manifest.name_of(manifest.render(gathered.release))


def record(sides: Sides, plan: Plan, file: str) -> bool:
    """Keep a plan as evidence unless it is the newest already; return whether it was kept.

    The same text in another file is the same plan, as long as the file that was recorded was not edited.
    """
    held = evidence.of(sides.project, sides.staging.environment, plan.candidate).evidence.get(KIND)
    data = {
        "reason": f"{file}, sha256 {plan.sha256[:12]}: {_named(plan.current)} becomes {plan.target[:12]}",
        "file": file, "sha256": plan.sha256, "candidate": plan.candidate, "current": plan.current,
        "target": plan.target, "text": plan.text,
    }  # fmt: skip
    is_same = held is not None and held.data.get("sha256") == plan.sha256 and not _edited(held, sides.project.path)
    keep = evidence.confirm if is_same else evidence.record
    return keep(sides.staging, KIND, plan.candidate, PASS, data) is not None


def documented(held: Evidence | None) -> tuple[str, str]:
    """Return whether a plan says how to go back by every level, and why not."""
    if held is None:
        return INSUFFICIENT, "no plan was written for this candidate"
    text = str(held.data.get("text") or "")
    if hashlib.sha256(text.encode()).hexdigest() != held.data.get("sha256"):
        return FAIL, f"the text in {held.file} is not the one that its hash names"
    missing = [str(level) for level in LEVELS if f"agent-studio rollback --level {level} " not in text]
    if missing or held.verdict != PASS:
        return INSUFFICIENT, f"the plan names no command for level {', '.join(missing) or held.verdict}"
    return PASS, f"{held.data['file']}, sha256 {held.data['sha256'][:12]}, says how to go back by levels 1 to 3"


def ready(held: Evidence | None, project: Path, candidate: str, current: str, target: str) -> tuple[str, str]:
    """Return whether a plan's deployment checklist is of what would be promoted now, and why not."""
    if held is None:
        return INSUFFICIENT, "no plan was written for this candidate"
    wanted = {"candidate": candidate, "current": current, "target": target}
    for name, now in wanted.items():
        if (planned := str(held.data.get(name))) != now:
            return INSUFFICIENT, f"the plan has {_named(planned)} as {name}, and now it is {_named(now)}"
    if "## Deployment" not in str(held.data.get("text")):
        return INSUFFICIENT, "the plan holds no deployment checklist"
    file = str(held.data.get("file"))
    if fault := _edited(held, project):
        return INSUFFICIENT, fault
    if not (project / file).exists():
        return PASS, f"from {_named(current)} to {target[:12]}; {file} is gone, its text is in {held.file}"
    return PASS, f"{file}: from {_named(current)} to {target[:12]}"


def _edited(held: Evidence, project: Path) -> str:
    """Return why a plan's file is not what was recorded, empty where it is, or is gone."""
    file = str(held.data.get("file"))
    try:
        there = hashlib.sha256((project / file).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    if there != held.data.get("sha256"):
        return f"{file} is not the plan that was recorded: it was changed afterwards"
    return ""


def _named(release: str) -> str:
    return release[:12] or "no release"
