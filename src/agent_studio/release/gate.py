"""The gate: what is known of a candidate goes in, a verdict comes out. It reads nothing and asks nobody.

Every requirement is PASS, FAIL, INSUFFICIENT or WAIVED; only PASS and WAIVED let through, and one for which there is
nothing, or nothing recent, is INSUFFICIENT. A waiver is a signed statement that names one requirement of one candidate.
Broken integrity, an interrupted switch, drift, grave issues that are open and missing signatures cannot be waived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import ExitCode
from agent_studio.release import no_regression
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS, age_fault
from agent_studio.release.signing import people
from agent_studio.release.signing.signoff import NOBODY, ROLES, WAIVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from agent_studio.release.evidence import Evidence
    from agent_studio.release.policy import Policy
    from agent_studio.release.signing.signoff import Checked

WAIVED = "WAIVED"
BURNIN = "burnin"
REQUIRED: Mapping[str, str] = {
    "smoke": "the smoke tests of staging",
    "test": "the project's full test suite",
    "performance": "performance against production's limits",
    "errors": "a look at the error log",
    "isolation": "how staging is kept apart",
    "comparison": "staging's figures beside production's",
    BURNIN: "a burn-in",
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
    "issues": "settle or grade them in staging's memory/issues.md; agent-studio alerts ack ID --env staging",
    "signers": "once it is live nobody could sign a promotion, not even the one that mends it",
}
"""Requirements on how store, production and staging are now, and why none of them can be waived."""
PRODUCTION = "production"
"""The requirement that stands in the place of `drift` where production is not on the machine that is asked."""
UNKNOWN_AUTHOR = "; nobody knows who made the candidate, so it may have been the same person"
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
    authors: Sequence[str]
    """Who made the candidate, as the signers' file would name them; none when nobody knows."""
    now: datetime
    damage: Sequence[str] = ()
    """What is not as it was recorded: objects, history, evidence."""
    interrupted: bool = False
    drift: Sequence[str] = ()
    """Files of production that are neither the live release nor the candidate."""
    unsettled: Mapping[str, str] = {}
    """Such as can be no release's either, so that a promotion cannot settle them, by path, and what to do."""
    issues: Sequence[str] = ()
    """What is open in staging and CRITICAL or HIGH, alerts among it."""
    unclear: Sequence[str] = ()
    """What staging's issues file does not say clearly."""
    broken: str = ""
    """Why the burn-in fails now, whatever its report said."""
    unsignable: Sequence[str] = ()
    """Why nobody could sign a promotion any more once the candidate is live."""
    absent: str = ""
    """Why nothing is known of production itself; empty where it is."""
    live: str = ""
    """The release in production; empty before the first."""
    evals: no_regression.Standing = no_regression.Standing()
    """What evidence on evals is held against."""


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
        found = [*facts.unsettled.values(), *facts.drift]
        first = "nothing was promoted yet, and nothing in production would be lost"
        yield _holds("drift", found, "production is the release that was promoted" if facts.live else first)
    issues = _holds("issues", facts.issues or facts.unclear, "nothing is open in staging that is CRITICAL or HIGH")
    yield issues._replace(verdict=INSUFFICIENT) if facts.unclear and not facts.issues else issues
    signers = _holds("signers", facts.unsignable, "for each role somebody may sign once it is live")
    # before the first release it is this promotion already that nobody can sign
    yield signers._replace(verdict=INSUFFICIENT) if facts.unsignable and facts.policy.bootstrap else signers


def _holds(name: str, faults: Sequence[str], otherwise: str) -> Requirement:
    if not faults:
        return Requirement(name, PASS, otherwise)
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return Requirement(name, FAIL, f"{faults[0]}{more}")


def needed(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the kinds of evidence that a policy asks for, and what each is about."""
    more = {no_regression.KIND: no_regression.ABOUT} if no_regression.rules(values).required else {}
    return {**REQUIRED, **more}


def _gathered(facts: Facts) -> Iterator[Requirement]:
    for kind, about in needed(facts.policy.values).items():
        found = _found(kind, about, facts)
        if found.verdict != PASS:
            found = _waived(found, [one for one in facts.waivers if one.statement.get(WAIVES) == kind], facts)
        yield found


def _found(kind: str, about: str, facts: Facts) -> Requirement:
    one = facts.evidence.get(kind)
    if kind == no_regression.KIND and not facts.live:
        return Requirement(kind, PASS, "nothing is live yet that it could be worse than")
    if one is None:
        return Requirement(kind, INSUFFICIENT, f"nothing was gathered on this candidate about {about}")
    fault = age_fault(one.time, facts.now, facts.policy.evidence_days)
    if fault:
        return Requirement(kind, INSUFFICIENT, fault)
    if kind == BURNIN and one.verdict == PASS and facts.broken:
        return Requirement(kind, FAIL, f"it passed at {one.time}, and fails since: {facts.broken}")
    if kind == no_regression.KIND:
        rules = no_regression.rules(facts.policy.values)
        return Requirement(kind, *no_regression.judged(rules, one.data, facts.live, facts.evals))
    return Requirement(kind, one.verdict, str(one.data.get("reason") or f"found at {one.time}"))


def _waived(found: Requirement, waivers: Sequence[Checked], facts: Facts) -> Requirement:
    faults = {waiver_fault(one, facts.authors, one_person=_one_person(facts)): one for one in reversed(waivers)}
    if (good := faults.get("")) is not None:
        reason = f"{found.verdict}, waived by {good.who} as {good.role}: {good.statement['why']}"
        return Requirement(found.name, WAIVED, reason)
    told = next((fault for fault, one in faults.items() if one.counts), next(iter(faults), ""))
    refused = f"; the waiver there is does not count: {told}" if faults else ""
    return found._replace(reason=found.reason + refused)


def waiver_fault(one: Checked, authors: Sequence[str], *, one_person: bool) -> str:
    """Return why a waiver does not count, empty when it does."""
    if not one.counts:
        return one.reason
    if refused := unwaivable(str(one.statement.get(WAIVES))):
        return refused
    if one.role not in WAIVING_ROLES:
        return f"only {' or '.join(WAIVING_ROLES)} may waive, not {one.role}"
    why = one.statement.get("why")
    if not isinstance(why, str) or not why.strip() or not why.isprintable():
        return "it says no reason, in one line of text"
    return "" if one_person else _by_author(one, authors)


def unwaivable(name: str) -> str:
    """Return why a requirement cannot be waived, empty when it can."""
    if name in REQUIRED or name == no_regression.KIND:
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
    roles = _roles(facts)
    fit = _fit(facts)
    found: list[tuple[Checked, str]] = []
    for role in roles:
        own = [one for one in facts.signatures if one.role == role]
        found += [(one, one.reason or _barred(one, facts, fit)) for one in own]
    others = [one for one in facts.signatures if one.role not in roles]
    found += [(one, one.reason or f"the policy asks for no sign-off as {one.role}") for one in others]
    return found + [
        (one, waiver_fault(one, facts.authors, one_person=_one_person(facts))) for one in facts.waivers
    ]  # fmt: skip


def _roles(facts: Facts) -> list[str]:
    return list(dict.fromkeys(facts.policy.values.get("roles") or ()))


def _fit(facts: Facts) -> dict[str, Checked]:
    """Return the signature that does for each role, by as many people as there are roles."""
    roles, alone = _roles(facts), _one_person(facts)
    options = [
        list({one.key: one for one in reversed(facts.signatures) if one.role == role and one.counts
              and (alone or not _by_author(one, facts.authors))}.values())[::-1]
        for role in roles
    ]  # fmt: skip
    found = people.chosen(options, lambda one, other: not alone and _is_same(one, other))
    return {role: one for role, one in zip(roles, found, strict=True) if one is not None}


def _is_same(one: Checked, other: Checked) -> bool:
    return one.key == other.key or people.are_one(one.names or (one.who,), other.names or (other.who,))


def _signed(facts: Facts) -> Iterator[Requirement]:
    alone = " (one-person mode)" if _one_person(facts) else "" if facts.authors else UNKNOWN_AUTHOR
    worth = [pair for pair in judged(facts) if WAIVES not in pair[0].statement]
    for role in _roles(facts):
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


def _barred(one: Checked, facts: Facts, fit: Mapping[str, Checked]) -> str:
    """Return why a good signature does not do for its role, empty when it does."""
    if _one_person(facts):
        return ""
    if reason := _by_author(one, facts.authors):
        return reason
    for role, other in fit.items():
        if role != one.role and _is_same(one, other):
            how = "signed with the key that" if one.key == other.key else f"may be {other.who}, who"
            return f"{one.who} {how} signed as {role}: another person has to"
    return ""


def _by_author(one: Checked, authors: Sequence[str]) -> str:
    """Return that an author signed; a key of several names, or of a pattern, is that of anybody whom it may name."""
    names = (one.who, *one.names)
    made = next((author for author in authors if people.are_one(names, [author])), None)
    if made is None:
        return ""
    meant = "" if made.casefold() == one.who.casefold() else f" may be {made}, who"
    return f"{one.who}{meant} made the candidate: another person has to sign"


def _code(requirements: Sequence[Requirement]) -> ExitCode:
    verdicts = {one.name: one.verdict for one in requirements}
    for code, name in _CODES:
        if verdicts.get(name) == FAIL:
            return code
    signing = (SIGNED, "signers")
    signatures = {verdict for name, verdict in verdicts.items() if name.startswith(signing)}
    others = {verdict for name, verdict in verdicts.items() if not name.startswith(signing)}
    if FAIL in others | signatures:
        return ExitCode.FAILED
    if INSUFFICIENT in others:
        return ExitCode.INSUFFICIENT
    return ExitCode.NOT_SIGNED if INSUFFICIENT in signatures else ExitCode.DONE
