"""The burn-in: how long and how well the working checkout's candidate ran in staging, and what is still missing.

It decides on staging's limits, by the rules of the release that governs. A changed candidate has to be started on anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment import flags
from agent_studio.environment.config import load
from agent_studio.errors import AgentStudioError
from agent_studio.release import evidence, policy
from agent_studio.release.burnin import beginning
from agent_studio.release.burnin import rules as burnin_rules
from agent_studio.release.burnin.observed import Observed, observe
from agent_studio.release.burnin.rules import Limits, Requirement, limits_of
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.production import history
from agent_studio.release.production.sides import SOURCE, TO

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.release.burnin.beginning import Since, Started
    from agent_studio.release.production.sides import Sides

EVIDENCE = ("burnin", "performance", "errors", "comparison")
"""The kinds of evidence that a burn-in leaves."""
_WEEK_MS = 7 * 86_400_000
_SECTION = "release.policy."
_LATE_MS = 1_000


class Terms(NamedTuple):
    """What a burn-in is measured by."""

    hours: float
    gap_minutes: float
    governed_by: str
    """The release whose policy it is; empty before the first, when the candidate's own holds."""
    staging: Limits
    """None of them is looser than twice production's, whatever is written."""
    production: Limits
    loosened: list[str]
    """Requirements whose limits are written looser than that."""


class Burnin(NamedTuple):
    """Where a burn-in stands."""

    candidate: str
    verdict: str
    observed_hours: float
    requirements: list[Requirement]
    terms: Terms
    started: Started | None
    """None: never on this candidate."""
    since: Since | None
    seen: Observed
    starts: int
    """How often it was started on this candidate."""
    message: str
    """One sentence."""
    replaying_ms: int | None = None
    """When a replay began that runs, or left no mark of its end."""


class Minimum(NamedTuple):
    """What a burn-in takes at the least."""

    candidate: str
    requirements: list[Requirement]
    """`needed` of each, when nothing goes wrong."""
    days: float | None
    """At the rate of the last week; None when that is nothing."""
    slowest: str
    """The requirement that takes longest at that rate."""


def status(sides: Sides) -> Burnin:
    """Return where the burn-in of the working checkout's candidate stands.

    Raises `ConfigurationError`, `DisabledError`, `StorageError` for what cannot be read, `IntegrityError` for a damaged
    journal of ours.
    """
    return of(sides, candidate(sides.project).sha256)


def of(sides: Sides, sha256: str) -> Burnin:
    """Return where the burn-in of a candidate stands; raises what `status` raises."""
    context = sides.staging
    terms, now_ms = terms_of(sides, sha256), _now_ms()
    begun = beginning.started(context)
    if begun is None or begun.candidate != sha256:
        seen = Observed.nothing(now_ms)
        missing = "no burn-in was started" if begun is None else f"the burn-in was started on {begun.candidate[:12]}"
        told = f"{missing}, and the candidate is {sha256[:12]}: agent-studio burnin start"
        return _judged(sha256, terms, None, None, seen, 0, told)
    since, exercises = beginning.since(context, begun), beginning.exercises(context)
    seen = observe(
        context, since.at_ms, now_ms, candidate=sha256, exercises=exercises, gap_minutes=terms.gap_minutes
    )  # fmt: skip
    found = _judged(sha256, terms, begun, since, seen, beginning.starts(context, sha256, since))
    return found._replace(replaying_ms=next((one for one, end in exercises if end == beginning.FOREVER_MS), None))


def broken(sides: Sides, sha256: str) -> str:
    """Return why the burn-in of a candidate fails as things are now, whatever was reported; empty when it does not."""
    try:
        begun = beginning.started(sides.staging)
        if begun is None or begun.candidate != sha256:
            return ""
        found = of(sides, sha256)
    except AgentStudioError as error:
        return error.message
    return found.message if found.verdict == FAIL else ""


def start(sides: Sides, *, restart: bool = False) -> tuple[Started, bool]:
    """Start the burn-in of the working checkout's candidate, and tell whether it is a new one.

    One that runs on this candidate goes on as it is, unless it is to be started anew.
    """
    context, sha256 = sides.staging, candidate(sides.project).sha256
    beginning.end_killed(context)
    if not restart:
        begun = beginning.started(context)
        if begun is not None and begun.candidate == sha256:
            beginning.note_written(context, sha256, beginning.since(context, begun))
            return begun, False
    begun = beginning.start(context, sha256, flags.default_who(sides.project))
    evidence.void(context, EVIDENCE, sha256, "the burn-in was started anew, and nothing was reported since")
    return begun, True


def minimum(sides: Sides) -> Minimum:
    """Return what the burn-in takes at the least, and the days that is at the rate of the last week."""
    context, sha256 = sides.staging, candidate(sides.project).sha256
    terms, now_ms = terms_of(sides, sha256), _now_ms()
    week = observe(context, now_ms - _WEEK_MS, now_ms, candidate=None, exercises=beginning.exercises(context))
    hours = week.hours(terms.gap_minutes)
    rates = {
        burnin_rules.HOURS: hours, burnin_rules.ERRORS: hours, burnin_rules.HOOK_TIME: len(week.real_ms),
        burnin_rules.HOOK_FAILURES: week.hooks.real, burnin_rules.AGENT_FAILURES: week.agents.real,
    }  # fmt: skip
    found = burnin_rules.least(terms.hours, terms.staging)
    days = [
        (math.inf if not rates[one.name] else one.needed / (rates[one.name] / 7), one.name)
        for one in found
        if one.needed
    ]
    longest, slowest = max(days, default=(0.0, ""))
    return Minimum(sha256, found, None if longest == math.inf else longest, slowest)


def terms_of(sides: Sides, sha256: str) -> Terms:
    """Return the limits of both sides and the policy in force; limits are those of the files, whatever else is set.

    Staging's file is no part of the candidate: what it writes can make a limit stricter, not looser.
    """
    rules, governed_by = _rules(sides.project, sha256)
    written = limits_of(str(SOURCE), load(sides.project, SOURCE, {}).values())
    production = limits_of(str(TO), load(sides.production, TO, {}).values())
    staging = burnin_rules.at_most_twice(written, production)
    return Terms(
        float(rules["burnin.hours"]), float(rules["burnin.maxGapMinutes"]), governed_by, staging, production,
        burnin_rules.looser(written, staging),
    )  # fmt: skip


def data_of(found: Burnin) -> dict[str, Any]:
    """Return a burn-in for programs; `needed` is null for what no number can show."""
    since = found.since
    return {
        "candidate": found.candidate,
        "verdict": found.verdict,
        "observedHours": round(found.observed_hours, 3),
        "requirements": [
            {**one._asdict(), "limit": _finite(one.limit), "needed": _finite(one.needed)} for one in found.requirements
        ],
        "message": found.message,
        "since": None if since is None else clock.timestamp(since.at),
        "sinceWhy": None if since is None else since.why,
        "starts": found.starts,
        "sessions": found.seen.sessions,
        "syntheticSessions": found.seen.synthetic_sessions,
        "errors": [{"hour": clock.of_ms(at_ms), "count": count} for at_ms, count in found.seen.errors.items()],
        "leftOut": found.seen.left_out,
        "damagedLines": found.seen.damaged,
        "limits": {one.environment: _limits(one) for one in (found.terms.staging, found.terms.production)},
        "policy": {
            "hours": found.terms.hours,
            "maxGapMinutes": found.terms.gap_minutes,
            "release": found.terms.governed_by or None,
        },
    }


def _judged(
    sha256: str, terms: Terms, begun: Started | None, since: Since | None, seen: Observed, starts: int, told: str = ""
) -> Burnin:
    hours = seen.hours(terms.gap_minutes)
    fault = _ahead(since, seen)
    found = burnin_rules.requirements(seen, hours, terms.hours, terms.staging, terms.production, clock_fault=fault)
    verdict = burnin_rules.worst(one.verdict for one in found) if begun is not None else INSUFFICIENT
    told = told or _message(found, terms.staging)
    told += f" (started {starts} times on this candidate)" if starts > 1 else ""
    return Burnin(sha256, verdict, hours, found, terms, begun, since, seen, starts, told)


def _ahead(since: Since | None, seen: Observed) -> str:
    """Return that a moment is to come, if it is; a change of a file is dated a little late."""
    if since is None or since.at_ms <= seen.now_ms + _LATE_MS:
        return ""
    return f"the burn-in counts from {clock.timestamp(since.at)}, which is to come"


def _message(found: list[Requirement], limits: Limits) -> str:
    missing = sorted((one for one in found if one.verdict != PASS), key=lambda one: one.verdict)
    if not missing:
        return f"{found[0].message}, and limits are shown to be kept: {burnin_rules.told(limits)}"
    more = f"; {len(missing) - 1} more are open" if len(missing) > 1 else ""
    return f"{missing[0].name}: {missing[0].message}{more}"


def _rules(project: Project, sha256: str) -> tuple[dict[str, Any], str]:
    """Return the policy in force; before the first release the candidate's own, from the checkout that it is."""
    if history.read(project).governing is not None:
        found = policy.in_force(project, sha256)
        return dict(found.values), found.of
    values = load(project, TO, {}).values()
    return {name.removeprefix(_SECTION): value for name, value in values.items() if name.startswith(_SECTION)}, ""


def _limits(limits: Limits) -> dict[str, float | None]:
    """Return limits by the names and in the units that the configuration has for them."""
    return {
        "hookExecutionTimeMs": _finite(limits.hook_ms), "hookFailureRate": _finite(100 * limits.hook_failures),
        "agentFailureRate": _finite(100 * limits.agent_failures), "errorRatePerHour": _finite(limits.errors_per_hour),
    }  # fmt: skip


def _finite(value: float | None) -> float | None:
    return None if value is None or value == math.inf else value


def _now_ms() -> int:
    return int(clock.now().timestamp() * 1000)
