"""The requirements of a burn-in: what was observed and the limits go in, a verdict on each comes out.

Nothing is read here. FAIL takes proof, PASS takes proof, and everything else is INSUFFICIENT.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.release import statistics
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from agent_studio.release.burnin.observed import Observed, Sample

HOURS, HOOK_TIME, HOOK_FAILURES, AGENT_FAILURES, ERRORS, CLOCK, PRODUCTION = NAMES = (
    "observed-hours", "hook-time", "hook-failures", "agent-failures", "errors-per-hour", "clock", "production-targets",
)  # fmt: skip
SLOW = 0.05
"""How many of the calls may take longer than the limit: it is on the 95th percentile."""
_HALF_NOTE = "replayed runs count for at most half"


class Limits(NamedTuple):
    """An environment's limits; infinite where there is none."""

    environment: str
    hook_ms: float
    hook_failures: float
    """0 to 1."""
    agent_failures: float
    """0 to 1."""
    errors_per_hour: float


_FIELDS = {
    "hook_ms": HOOK_TIME, "hook_failures": HOOK_FAILURES, "agent_failures": AGENT_FAILURES, "errors_per_hour": ERRORS,
}  # fmt: skip
"""Fields of `Limits` and the requirements that they are of."""


class Requirement(NamedTuple):
    """One thing that a burn-in has to show."""

    name: str
    verdict: str
    """PASS, FAIL or INSUFFICIENT."""
    value: float | None
    limit: float | None
    needed: float
    """How many more hours, or runs without a hit, make it PASS; 0 once it is, infinite when none do, as for FAIL."""
    message: str


def limits_of(environment: str, values: Mapping[str, Any]) -> Limits:
    """Return the limits that a configuration sets, by key."""

    def limit(name: str) -> float:
        value = values[f"monitoring.thresholds.{name}"]
        return math.inf if value is None else float(value)

    return Limits(
        environment, limit("hookExecutionTimeMs"), limit("hookFailureRate") / 100, limit("agentFailureRate") / 100,
        limit("errorRatePerHour"),
    )  # fmt: skip


def at_most_twice(limits: Limits, production: Limits) -> Limits:
    """Return limits of which none is looser than twice production's."""
    return limits._replace(**{name: min(getattr(limits, name), 2 * getattr(production, name)) for name in _FIELDS})


def looser(limits: Limits, than: Limits) -> list[str]:
    """Return the requirements whose limits are looser than others."""
    return [shown for name, shown in _FIELDS.items() if getattr(limits, name) > getattr(than, name)]


def told(limits: Limits) -> str:
    """Return all limits in words."""
    units = {HOOK_TIME: ("ms", 1), HOOK_FAILURES: ("%", 100), AGENT_FAILURES: ("%", 100), ERRORS: ("/h", 1)}
    words = []
    for name, shown in _FIELDS.items():
        value, (unit, scale) = getattr(limits, name), units[shown]
        is_none = value == math.inf or (unit == "%" and value >= 1)
        words.append(f"{shown} {'no limit' if is_none else f'{scale * value:.6g} {unit}'}")
    return ", ".join(words)


def requirements(
    seen: Observed, hours: float, wanted_hours: float, staging: Limits, production: Limits, *, clock_fault: str = ""
) -> list[Requirement]:
    """Return the verdict on every requirement."""
    return [
        _hours(hours, wanted_hours),
        *_limited(seen, hours, staging),
        _clock(seen, clock_fault),
        production_targets(seen, hours, production),
    ]


def worst(verdicts: Iterable[str]) -> str:
    """Return the overall verdict: FAIL before INSUFFICIENT before PASS, INSUFFICIENT of nothing."""
    found = set(verdicts)
    return FAIL if FAIL in found else PASS if found == {PASS} else INSUFFICIENT


def least(hours: float, limits: Limits) -> list[Requirement]:
    """Return what each requirement takes at the least, from nothing: `needed` with not one hit."""
    empty = Requirement(HOURS, INSUFFICIENT, 0.0, hours, hours, f"{hours:g} observed hours")
    samples = [
        (HOOK_TIME, SLOW if limits.hook_ms < math.inf else 1.0, "timed calls of hooks"),
        (HOOK_FAILURES, limits.hook_failures, "calls of hooks"),
        (AGENT_FAILURES, limits.agent_failures, "runs of agents"),
    ]
    found = [_least(name, statistics.share(0, 0, limit), limit, what) for name, limit, what in samples]
    errors = statistics.rate(0, 0, limits.errors_per_hour)
    return [empty, *found, _least(ERRORS, errors, limits.errors_per_hour, "observed hours without an error")]


def _least(name: str, judged: statistics.Judged, limit: float, what: str) -> Requirement:
    if judged.verdict == PASS:
        return Requirement(name, PASS, None, None, 0, "no limit")
    return Requirement(name, INSUFFICIENT, None, limit, judged.needed, f"{_amount(judged.needed)} {what}")


def _hours(hours: float, wanted: float) -> Requirement:
    verdict = PASS if hours >= wanted else INSUFFICIENT
    return Requirement(
        HOURS, verdict, hours, wanted, max(wanted - hours, 0.0), f"{hours:.1f} of {wanted:g} h were observed"
    )


def _limited(seen: Observed, hours: float, limits: Limits) -> list[Requirement]:
    slow = seen.slower_than(limits.hook_ms)
    return [
        _slow(slow, limits) if limits.hook_ms < math.inf else _unlimited(HOOK_TIME),
        _share(HOOK_FAILURES, seen.hooks, limits.hook_failures, "calls of hooks failed"),
        _share(AGENT_FAILURES, seen.agents, limits.agent_failures, "runs of agents failed"),
        _errors(seen, hours, limits.errors_per_hour),
    ]


def _slow(sample: Sample, limits: Limits) -> Requirement:
    return _share(HOOK_TIME, sample, SLOW, f"calls of hooks took longer than {limits.hook_ms:g} ms")


def _unlimited(name: str) -> Requirement:
    return Requirement(name, PASS, None, None, 0, "no limit")


def _share(name: str, sample: Sample, limit: float, what: str) -> Requirement:
    """Judge a share by what counts: not more synthetic runs than real ones, for PASS with all of their hits."""
    if limit >= 1:
        return _unlimited(name)
    hits, count = sample.real_hits + sample.synthetic_hits, sample.real + sample.synthetic
    part = min(sample.real, sample.synthetic)
    part_hits = part * sample.synthetic_hits // max(sample.synthetic, 1)
    verdict = statistics.share_verdict(sample.real_hits + part_hits, sample.real + part, limit)
    needed = math.inf
    if verdict != FAIL:
        counted = max(sample.real + part, hits)
        judged = statistics.share(hits, counted, limit)
        verdict = PASS if judged.verdict == PASS else INSUFFICIENT
        needed = _real_ones(counted + judged.needed, sample) if judged.needed else 0
    seen = f"{hits:,} of {count:,} {what}, at most {100 * limit:.3g} % may"
    if sample.synthetic:
        seen += f"; {sample.synthetic:,} were replayed, and {_HALF_NOTE}"
    return Requirement(
        name, verdict, hits / count if count else None, limit, needed, seen + _more(verdict, needed, "runs")
    )


def _real_ones(wanted: float, sample: Sample) -> float:
    """Return how many more real runs make it so many that count: each brings in one of the synthetic ones left out."""
    if wanted == math.inf:
        return wanted
    return max(math.ceil(wanted / 2) - sample.real, wanted - sample.real - sample.synthetic)


def _errors(seen: Observed, hours: float, limit: float) -> Requirement:
    if limit == math.inf:
        return _unlimited(ERRORS)
    events = sum(seen.errors.values())
    judged = statistics.rate(events, hours, limit)
    verdict = judged.verdict
    if verdict == FAIL and hours < 1:
        verdict = INSUFFICIENT  # errors come in bursts: of less than an hour nothing follows for an hour
    told = f"{events:,} errors in {hours:.1f} observed hours, at most {limit:g} an hour"
    if seen.worst_hour is not None:
        at_ms, count = seen.worst_hour
        told += f"; most in one hour: {count:,} ({clock.of_ms(at_ms)[:13].replace('T', ' ')}:00 UTC)"
    needed = math.inf if verdict == FAIL else judged.needed
    return Requirement(ERRORS, verdict, judged.value, limit, needed, told + _more(verdict, needed, "hours without one"))


def _clock(seen: Observed, fault: str) -> Requirement:
    faults = [fault] if fault else []
    if seen.future:
        faults.append(f"{seen.future:,} records claim to be from the future")
    if seen.backward:
        faults.append(f"the clock went back {seen.backward:,} times by more than the longest gap")
    if not faults:
        told = "the clock ran on" if seen.backward is not None else "no record of any machine claims to be to come"
        return Requirement(CLOCK, PASS, 0, 0, 0, told)
    told = f"{'; '.join(faults)}: what was observed cannot be told; mend it, then agent-studio burnin start --restart"
    return Requirement(CLOCK, INSUFFICIENT, seen.future + (seen.backward or 0) + bool(fault), 0, math.inf, told)


def production_targets(seen: Observed, hours: float, limits: Limits) -> Requirement:
    """Judge the same by production's limits: FAIL only where it is proven that one is broken."""
    found = _limited(seen, hours, limits)
    broken = [one for one in found if one.verdict == FAIL]
    if broken:
        which = "; ".join(f"{one.name}: {one.message}" for one in broken)
        return Requirement(PRODUCTION, FAIL, len(broken), 0, math.inf, f"{limits.environment}'s limits: {which}")
    limited = [one for one in found if one.limit is not None]
    unseen = [one.name for one in limited if one.value is None]
    if unseen and len(unseen) == len(limited):
        return Requirement(PRODUCTION, INSUFFICIENT, None, 0, 1, "nothing was observed that a limit is on")
    without = f"; nothing was seen of {', '.join(unseen)}" if unseen else ""
    kept = f"none of {limits.environment}'s limits is proven to be broken ({told(limits)}){without}"
    return Requirement(PRODUCTION, PASS, 0, 0, 0, kept)


def _more(verdict: str, needed: float, what: str) -> str:
    if verdict != INSUFFICIENT:
        return ""
    if needed == math.inf:
        return "; no number of runs can show a limit of 0" if what == "runs" else "; it cannot be shown"
    return f"; {_amount(needed)} more {what} needed"


def _amount(needed: float) -> str:
    if needed == math.inf:
        return "no number of"
    return f"{needed:,.0f}" if needed == int(needed) else f"{needed:,.1f}"
