"""Decides a checklist: items from evidence, from what is there, and from signed attestations; the worst is its verdict.

Sign-offs are shown with what the gate says of them and never counted: they name all evidence, this verdict included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.release import checked, evidence, policy
from agent_studio.release.checklists import attestations
from agent_studio.release.checklists.items import CHECKLISTS, How, Item
from agent_studio.release.checklists.looks import LOOKS
from agent_studio.release.checklists.scene import Scene, Seen
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.gate import WAIVED
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from collections.abc import Sequence


class Decided(NamedTuple):
    """One item and what was found of it."""

    item: Item
    verdict: str
    """PASS, FAIL, INSUFFICIENT, WAIVED; empty for a sign-off that the policy does not ask for."""
    reason: str
    source: str
    """Where that can be seen; empty for nowhere."""
    details: Sequence[str]

    @property
    def counts(self) -> bool:
        """Whether the checklist's verdict depends on it."""
        return self.item.how is not How.GATE and self.verdict != WAIVED


class Checklist(NamedTuple):
    """A checklist that was decided."""

    name: str
    candidate: str
    items: Sequence[Decided]

    @property
    def verdict(self) -> str:
        """The worst of the items that count."""
        verdicts = {one.verdict for one in self.items if one.counts}
        return next((one for one in (FAIL, INSUFFICIENT) if one in verdicts), PASS)

    @property
    def reason(self) -> str:
        """One sentence that the gate shows."""
        counted = [one for one in self.items if one.counts]
        waived = [one.item.id for one in self.items if one.verdict == WAIVED and one.item.how is not How.GATE]
        besides = f", {', '.join(waived)} waived" if waived else ""
        wrong = [one for one in counted if one.verdict != PASS]
        if not wrong:
            told = [f"; {one.item.id}: {one.reason}" for one in counted if one.item.is_told and one.details]
            return f"all {len(counted)} items hold{besides}{''.join(told)}"
        listed = ", ".join(f"{one.item.id} ({one.verdict})" for one in wrong)
        return f"{len(wrong)} of {len(counted)} items do not hold: {listed}{besides}"


def decide(name: str, scene: Scene) -> Checklist:
    """Decide every item of a checklist; raise `IntegrityError` for a damaged history, journal or store."""
    return Checklist(name, scene.made.candidate, [_decided(name, item, scene) for item in CHECKLISTS[name]])


def record(checklist: Checklist, scene: Scene) -> bool:
    """Keep the verdict as evidence, unless it is on record; return whether it was kept.

    Raises `ConfigurationError` where staging cannot be opened, `UsageError` where not files alone say how it is
    configured, `ChangedError` when the checkout is another by now.
    """
    checked.refuse_outside(scene.staging)
    if candidate(scene.sides.project).sha256 != checklist.candidate:
        raise ChangedError(
            "definitions changed while the checklist was decided: nothing was recorded", hint="run it again"
        )
    items = [
        {
            "id": one.item.id,
            "verdict": one.verdict or None,
            "reason": one.reason,
            "source": one.source,
            **({"details": list(one.details)} if one.item.is_told else {}),
        }
        for one in checklist.items
        if one.item.how is not How.GATE
    ]
    data = {"reason": checklist.reason, "checklist": checklist.name, "items": items}
    kind = f"checklist.{checklist.name}"
    return evidence.confirm(scene.staging, kind, checklist.candidate, checklist.verdict, data) is not None


class ChangedError(AgentStudioError):
    """The checkout is another candidate than it was at the start."""

    code = "candidate-changed"


def _decided(name: str, item: Item, scene: Scene) -> Decided:
    try:
        seen = _seen(name, item, scene)
        seen = seen if seen.verdict == PASS or not item.kind else _waived(item, scene) or seen
    except IntegrityError:
        raise
    except AgentStudioError as error:
        seen = Seen(INSUFFICIENT, error.message)
    return Decided(item, *seen)


def _waived(item: Item, scene: Scene) -> Seen | None:
    """Return that the evidence an item needs is waived, as the gate has it; None where it is not."""
    kept = signoff.kept(scene.sides.project, scene.made.candidate)
    if not any(signoff.is_waiver(data) for data in kept.values()):
        return None
    one = next(found for found in scene.gate.requirements if found.name == item.kind)
    return Seen(WAIVED, one.reason) if one.verdict == WAIVED else None


def _seen(name: str, item: Item, scene: Scene) -> Seen:
    if item.how is How.EVIDENCE:
        return _evidence(item, scene)
    if item.how is How.ATTESTED:
        return _attested(name, item, scene)
    if item.how is How.GATE:
        return _signed(item, scene)
    return LOOKS[item.id](scene)


def _evidence(item: Item, scene: Scene) -> Seen:
    one = scene.found.evidence.get(item.kind)
    if one is not None:
        return Seen(one.verdict, str(one.data.get("reason") or f"found at {one.time}"), one.file)
    faults = [fault for fault in scene.found.faults if f"/{item.kind}-" in fault]
    return Seen(INSUFFICIENT, faults[-1] if faults else f"there is no evidence of kind {item.kind} on this candidate")


def _attested(name: str, item: Item, scene: Scene) -> Seen:
    rules = policy.in_force(scene.sides.project, scene.made.candidate)
    found = attestations.of(scene.sides.project, subject(name, item, scene), rules, item.roles)
    good = next((one for one in found if one.counts), None)
    if good is not None:
        said = f"{good.who} as {good.role}: {good.statement['text']} (until {str(good.statement['expires'])[:10]})"
        return Seen(PASS, said, good.file)
    if found:
        return Seen(INSUFFICIENT, f"the attestation there is does not count: {found[0].reason}", found[0].file)
    return Seen(INSUFFICIENT, f"nobody has attested to it as {' or '.join(item.roles)}")


def subject(name: str, item: Item, scene: Scene) -> attestations.Subject:
    """Return what an attestation to an item has to be about."""
    return attestations.Subject(scene.made.candidate, name, item.id)


def _signed(item: Item, scene: Scene) -> Seen:
    one = next((found for found in scene.gate.requirements if found.name == item.id), None)
    if one is None:
        return Seen("", f"the policy in force does not ask for the role {item.roles[0]}")
    return Seen(one.verdict, one.reason)
