"""The gate: what is known of a candidate goes in, a verdict comes out. It reads nothing and asks nobody.

Every requirement is PASS, FAIL, INSUFFICIENT or WAIVED; only PASS and WAIVED let through, and one for which there is
nothing, or nothing recent, is INSUFFICIENT. A waiver is a signed statement that names one requirement of one candidate.
Broken integrity, an interrupted switch, drift and missing signatures cannot be waived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import ExitCode
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS, age_fault
from agent_studio.release.signoff import NOBODY, ROLES, WAIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

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
STATE: Mapping[str, str] = {
    "integrity": "what was recorded is damaged, and nothing that is said of it can be relied on",
    "recovery": "a switch is interrupted: agent-studio recover brings it to its end",
    "drift": "edits that nobody promoted would be lost: agent-studio promote --adopt, or --discard",
}
"""Requirements on the state of store and production, and why none of them can be waived."""
PRODUCTION = "production"
"""The requirement that stands in the place of `drift` where production is not on the machine that is asked."""
SIGNED = "sign-off."
"""How the requirement of a role's signature begins."""
WAIVING_ROLES = ("qa", "security")
"""Roles in which a requirement may be waived."""
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
    waivers: Sequence[Checked]
    """Signed statements that waive a requirement of this candidate."""
    author: str
    """Who made the candidate, as the signers' file would name them; empty when nobody knows."""
    now: datetime
    damage: Sequence[str] = ()
    """What is not as it was recorded: objects, history, evidence."""
    interrupted: bool = False
    drift: Sequence[str] = ()
    """Files of production that are neither the live release nor the candidate."""
    absent: str = ""
    """Why nothing is known of production itself; empty where it is."""


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
    if facts.absent:
        yield Requirement(PRODUCTION, INSUFFICIENT, facts.absent)
    else:
        yield _holds("drift", facts.drift, "production is the release that was promoted")


def _holds(name: str, faults: Sequence[str], otherwise: str) -> Requirement:
    if not faults:
        return Requirement(name, PASS, otherwise)
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return Requirement(name, FAIL, f"{faults[0]}{more}")


def _gathered(facts: Facts) -> Iterator[Requirement]:
    for kind, about in REQUIRED.items():
        found = _found(kind, about, facts)
        if found.verdict != PASS:
            found = _waived(found, [one for one in facts.waivers if one.statement.get(WAIVES) == kind], facts)
        yield found


def _found(kind: str, about: str, facts: Facts) -> Requirement:
    one = facts.evidence.get(kind)
    if one is None:
        return Requirement(kind, INSUFFICIENT, f"nothing was gathered on this candidate about {about}")
    fault = age_fault(one.time, facts.now, facts.policy.evidence_days)
    if fault:
        return Requirement(kind, INSUFFICIENT, fault)
    return Requirement(kind, one.verdict, str(one.data.get("reason") or f"found at {one.time}"))


def _waived(found: Requirement, waivers: Sequence[Checked], facts: Facts) -> Requirement:
    faults = {waiver_fault(one, facts.author, one_person=_one_person(facts)): one for one in reversed(waivers)}
    if (good := faults.get("")) is not None:
        reason = f"{found.verdict}, waived by {good.who} as {good.role}: {good.statement['why']}"
        return Requirement(found.name, WAIVED, reason)
    refused = f"; the waiver there is does not count: {next(iter(faults))}" if faults else ""
    return found._replace(reason=found.reason + refused)


def waiver_fault(one: Checked, author: str, *, one_person: bool) -> str:
    """Return why a waiver does not count, empty when it does."""
    if not one.counts:
        return one.reason
    if refused := unwaivable(str(one.statement.get(WAIVES))):
        return refused
    if one.role not in WAIVING_ROLES:
        return f"only {' or '.join(WAIVING_ROLES)} may waive, not {one.role}"
    if not str(one.statement.get("why") or "").strip():
        return "it says no reason"
    return "" if one_person else _by_author(one, author)


def unwaivable(name: str) -> str:
    """Return why a requirement cannot be waived, empty when it can."""
    if name in REQUIRED:
        return ""
    if name in STATE:
        return f"{name} cannot be waived: {STATE[name]}"
    if name == PRODUCTION:
        return f"{name} cannot be waived: the gate has to be asked where it is"
    if name.startswith(SIGNED):
        return f"{name} cannot be waived: a role that is not asked for is a matter of release.policy.roles"
    return f"{name!r} is no requirement"


def judged(facts: Facts) -> list[tuple[Checked, str]]:
    """Return every sign-off and waiver with why it does not do for its requirement, empty when it does."""
    roles = list(facts.policy.values.get("roles") or ())
    found: list[tuple[Checked, str]] = []
    keys: dict[str, str] = {}
    for role in roles:
        own = [one for one in facts.signatures if one.role == role]
        of_role = [(one, one.reason or _barred(one, facts, keys)) for one in sorted(own, key=_roles_of_key(facts))]
        fit = next((one for one, reason in of_role if not reason), None)
        if fit is not None:
            keys[fit.key] = role
        found += of_role
    others = [one for one in facts.signatures if one.role not in roles]
    found += [(one, one.reason or f"the policy asks for no sign-off as {one.role}") for one in others]
    return found + [
        (one, waiver_fault(one, facts.author, one_person=_one_person(facts))) for one in facts.waivers
    ]  # fmt: skip


def _roles_of_key(facts: Facts) -> Callable[[Checked], int]:
    """Sort a key that signed in one role before one that signed in several, which another role may need."""
    return lambda one: len({other.role for other in facts.signatures if other.counts and other.key == one.key})


def _signed(facts: Facts) -> Iterator[Requirement]:
    alone = " (one-person mode)" if _one_person(facts) else ""
    worth = [pair for pair in judged(facts) if WAIVES not in pair[0].statement]
    for role in facts.policy.values.get("roles") or ():
        of_role = [(one, reason) for one, reason in worth if one.role == role]
        fit = next((one for one, reason in of_role if not reason), None)
        if fit is not None:
            yield Requirement(f"{SIGNED}{role}", PASS, f"signed by {fit.who}{alone}")
            continue
        known = next((reason for one, reason in of_role if one.counts), of_role[0][1] if of_role else "")
        nobody = "nobody has signed" if facts.policy.signers else NOBODY
        if role not in ROLES:
            known, nobody = "", f"{role!r} is no role: {', '.join(ROLES)}"
        reason = f"the one there is does not count: {known}" if known else nobody
        yield Requirement(f"{SIGNED}{role}", INSUFFICIENT, reason)


def _one_person(facts: Facts) -> bool:
    return bool(facts.policy.values.get("onePerson"))


def _barred(one: Checked, facts: Facts, keys: Mapping[str, str]) -> str:
    """Return why a good signature does not do for its role, empty when it does."""
    if _one_person(facts):
        return ""
    if one.key in keys:
        return f"{one.who} signed with the key that signed as {keys[one.key]}: another person has to"
    return _by_author(one, facts.author)


def _by_author(one: Checked, author: str) -> str:
    made = author and one.who.casefold() == author.casefold()
    return f"{one.who} made the candidate: another person has to sign" if made else ""


def _code(requirements: Sequence[Requirement]) -> ExitCode:
    verdicts = {one.name: one.verdict for one in requirements}
    for code, name in _CODES:
        if verdicts.get(name) == FAIL:
            return code
    signatures = {verdict for name, verdict in verdicts.items() if name.startswith(SIGNED)}
    others = {verdict for name, verdict in verdicts.items() if not name.startswith(SIGNED)}
    if FAIL in others | signatures:
        return ExitCode.FAILED
    if INSUFFICIENT in others:
        return ExitCode.INSUFFICIENT
    return ExitCode.NOT_SIGNED if INSUFFICIENT in signatures else ExitCode.DONE
