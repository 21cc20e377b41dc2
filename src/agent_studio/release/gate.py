"""The gate: what is known of a candidate goes in, a verdict comes out. It reads nothing and asks nobody.

Every requirement is PASS, FAIL, INSUFFICIENT or WAIVED; only PASS and WAIVED let through, and one for which there is
nothing is INSUFFICIENT. A waiver is a signed statement that names one requirement of one candidate. Broken integrity,
an interrupted switch, drift and missing signatures cannot be waived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import ExitCode
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.release.evidence import Evidence
    from agent_studio.release.policy import Policy
    from agent_studio.release.signoff import Checked

WAIVED = "WAIVED"
REQUIRED: Mapping[str, str] = {
    "smoke": "the smoke tests of staging",
    "test": "the project's full test suite",
    "performance": "performance against production's limits",
    "errors": "a look at the error log",
    "isolation": "how staging is kept apart",
    "comparison": "staging's figures beside production's",
    "burnin": "a burn-in",
    "plan": "a plan of deployment and rollback",
    "checklist.pre": "the checklist before deployment to staging",
    "checklist.deploy": "the checklist of that deployment",
    "checklist.post": "the checklist after it",
    "checklist.promotion": "the checklist of the promotion",
}
"""Kinds of evidence that a promotion needs, and what each is about."""
_CODES = (
    (ExitCode.INTEGRITY, "integrity"), (ExitCode.RECOVERY, "recovery"), (ExitCode.BUSY, "drift"),
)  # fmt: skip
"""Requirements with an exit code of their own, the gravest first; CONTRACT: 8, 6, 5, then 1, 3, 4."""


class Facts(NamedTuple):
    """What is known when the gate is asked."""

    candidate: str
    separation: str
    """`target`, or `none` where one tree is staging's and production's."""
    policy: Policy
    evidence: Mapping[str, Evidence]
    signatures: Sequence[Checked]
    waivers: Mapping[str, Checked]
    """Signed waivers of this candidate by the requirement that they name."""
    author: str
    """Who made the candidate, as the signers' file would name them; empty when nobody knows."""
    damage: Sequence[str] = ()
    """What is not as it was recorded: objects, history, evidence."""
    interrupted: bool = False
    drift: Sequence[str] = ()
    """Files of production that are neither the live release nor the candidate."""


class Requirement(NamedTuple):
    """One thing that has to hold."""

    name: str
    verdict: str
    reason: str


class Gate(NamedTuple):
    """What the gate says."""

    requirements: list[Requirement]
    code: ExitCode

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INSUFFICIENT: the worst of all."""
        verdicts = {one.verdict for one in self.requirements}
        return FAIL if FAIL in verdicts else INSUFFICIENT if INSUFFICIENT in verdicts else PASS


def decide(facts: Facts) -> Gate:
    """Return what the gate says to some facts: the same facts, the same answer."""
    requirements = [*_state(facts), *_gathered(facts), *_signed(facts)]
    return Gate(requirements, _code(requirements))


def _state(facts: Facts) -> Iterator[Requirement]:
    yield _holds("integrity", facts.damage, "objects, history and evidence are what was recorded")
    waiting = ["a promotion or rollback was interrupted: agent-studio recover"] if facts.interrupted else []
    yield _holds("recovery", waiting, "no switch is interrupted")
    yield _holds("drift", facts.drift, "production is the release that was promoted")


def _holds(name: str, faults: Sequence[str], otherwise: str) -> Requirement:
    if not faults:
        return Requirement(name, PASS, otherwise)
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return Requirement(name, FAIL, f"{faults[0]}{more}")


def _gathered(facts: Facts) -> Iterator[Requirement]:
    for kind, about in REQUIRED.items():
        one = facts.evidence.get(kind)
        if one is None:
            found = Requirement(kind, INSUFFICIENT, f"nothing was gathered on this candidate about {about}")
        else:
            found = Requirement(kind, one.verdict, str(one.data.get("reason") or f"found at {one.time}"))
        waiver = facts.waivers.get(kind)
        if found.verdict != PASS and waiver is not None and waiver.counts:
            found = Requirement(kind, WAIVED, f"{found.verdict}, waived by {waiver.who}: {waiver.statement['why']}")
        yield found


def _signed(facts: Facts) -> Iterator[Requirement]:
    one_person = bool(facts.policy.values.get("onePerson"))
    keys: dict[str, str] = {}
    for role in facts.policy.values.get("roles") or ():
        counted = [one for one in facts.signatures if one.role == role and one.counts]
        name = f"sign-off.{role}"
        if not counted:
            refused = next((one.reason for one in facts.signatures if one.role == role), "")
            reason = f"the one there is does not count: {refused}" if refused else "nobody has signed"
            yield Requirement(name, INSUFFICIENT, reason)
            continue
        fit = next((one for one in counted if not _barred(one, facts.author, keys, one_person=one_person)), None)
        if fit is None:
            yield Requirement(name, INSUFFICIENT, _barred(counted[0], facts.author, keys, one_person=one_person))
            continue
        keys[fit.key] = role
        alone = " (one-person mode)" if one_person else ""
        yield Requirement(name, PASS, f"signed by {fit.who}{alone}")


def _barred(one: Checked, author: str, keys: Mapping[str, str], *, one_person: bool) -> str:
    """Return why a good signature does not do for its role, empty when it does."""
    if one_person:
        return ""
    if one.key in keys:
        return f"{one.who} signed with the key that signed as {keys[one.key]}: another person has to"
    if author and one.who.casefold() == author.casefold():
        return f"{one.who} made the candidate: another person has to sign it"
    return ""


def _code(requirements: Sequence[Requirement]) -> ExitCode:
    verdicts = {one.name: one.verdict for one in requirements}
    for code, name in _CODES:
        if verdicts[name] == FAIL:
            return code
    signatures = {verdict for name, verdict in verdicts.items() if name.startswith("sign-off.")}
    others = {verdict for name, verdict in verdicts.items() if not name.startswith("sign-off.")}
    if FAIL in others | signatures:
        return ExitCode.FAILED
    if INSUFFICIENT in others:
        return ExitCode.INSUFFICIENT
    return ExitCode.NOT_SIGNED if INSUFFICIENT in signatures else ExitCode.DONE
