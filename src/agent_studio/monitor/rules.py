"""Every limit of an environment beside its figures.

Development has no limits, and neither has an environment with `monitoring.enabled: false`: no verdict at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import Environment
from agent_studio.monitor import limits
from agent_studio.monitor.durations import durations as read_durations
from agent_studio.monitor.summary import COUNTED, HOUR_MS
from agent_studio.monitor.verdict import BREACH, OK, UNKNOWN, Verdict, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import HookFigures, Summary, Window

    Durations = Callable[[Context, Window], Mapping[str, Sequence[float]]]

__all__ = ["BREACH", "OK", "UNKNOWN", "Verdict", "is_watched", "verdicts"]

HOOK_TIME, HOOK_RATE, HOOK_BURST = "hookExecutionTimeMs", "hookFailureRate", "hookFailureBurst"
AGENT_RATE, AGENT_BURST, ERRORS = "agentFailureRate", "agentFailureBurst", "errorRatePerHour"
DECISION = "decide"
"""Decision hooks of ours: a class of their own, under a limit of their own."""
DECISION_LIMIT_MS = 100.0
WORST = "worst hour"
_SEVERITIES = {HOOK_TIME: "MEDIUM", HOOK_RATE: "HIGH", AGENT_RATE: "HIGH", ERRORS: "HIGH"}


class Runs(NamedTuple):
    """Runs of one hook or agent, and how many of them failed."""

    label: str
    size: int
    failures: int


def is_watched(context: Context) -> bool:
    """Tell whether an environment has limits and alerts."""
    return context.environment is not Environment.DEVELOPMENT and bool(context.config["monitoring.enabled"])


def verdicts(
    context: Context,
    summary: Summary,
    recent: Summary | None = None,
    *,
    durations: Durations = read_durations,
) -> list[Verdict]:
    """Return the verdict on every limit; breaches first.

    `recent` is the summary of the last hour, for bursts; without it there are none. `durations` gives what the bounds
    of a p95 are taken from, and is asked only when one is over its limit. What cannot be looked at is UNKNOWN, never a
    fault.
    """
    if not is_watched(context):
        return []
    from agent_studio.monitor import halts, spend, watchers  # noqa: PLC0415 - SQLite and the ledger come with them

    found = [
        *_hook_times(context, summary, durations),
        *_rates(context, (HOOK_RATE, HOOK_BURST), _hooks(summary), _hooks(recent) if recent else ()),
        *_rates(context, (AGENT_RATE, AGENT_BURST), _agents(summary), _agents(recent) if recent else ()),
        *_errors(context, summary, recent),
        *spend.verdicts(context),
        *watchers.verdicts(context, summary, recent),
        *(halts.verdicts(context) if context.shared is None else ()),
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.state != BREACH)


def _limit(context: Context, rule: str) -> float | None:
    value = context.config[f"monitoring.thresholds.{rule}"]
    return None if value is None or value == float("inf") else float(value)


def _hook_times(context: Context, summary: Summary, durations: Durations) -> Iterator[Verdict]:
    limit = _limit(context, HOOK_TIME)
    if limit is None:
        return
    limits_ms = {one.hook: DECISION_LIMIT_MS if one.hook == DECISION else limit for one in summary.hooks}
    over = [one.hook for one in summary.hooks if one.p95_ms is not None and one.p95_ms > limits_ms[one.hook]]
    times = durations(context, summary.window) if over else {}
    each = [_hook_time(one, times.get(one.hook, ()), limits_ms[one.hook], one.hook in over) for one in summary.hooks]
    yield from each
    # One incident, one alert: what a single hook breaks is said of that hook.
    together = _all_times(summary, times, limit)
    yield together._replace(alerting=not any(one.state == BREACH for one in each))


def _hook_time(one: HookFigures, times: Sequence[float], limit: float, is_over: bool) -> Verdict:  # noqa: FBT001 - worked out once for all
    severity = _SEVERITIES[HOOK_TIME]
    if not is_over:
        return limits.p95_within(HOOK_TIME, one.hook, one.p95_ms, one.timed, limit, severity)
    if times:
        return limits.p95(HOOK_TIME, one.hook, times, limit, severity)
    return limits.p95_alone(HOOK_TIME, one.hook, one.p95_ms or 0, one.timed, limit, severity)


def _all_times(summary: Summary, times: Mapping[str, Sequence[float]], limit: float) -> Verdict:
    """Judge all hooks together; when each is within the limit, so are they."""
    own, severity = [one for one in summary.hooks if one.hook != DECISION], _SEVERITIES[HOOK_TIME]
    if any(held for hook, held in times.items() if hook != DECISION):
        pooled = sorted(one for hook, held in times.items() if hook != DECISION for one in held)
        return limits.p95(HOOK_TIME, "", pooled, limit, severity)
    worst = max((one.p95_ms for one in own if one.p95_ms is not None), default=None)
    if worst is not None and worst > limit:
        return unknown(HOOK_TIME, severity, "of so long a time only each hook's own p95 is looked at", unit="ms")
    verdict = limits.p95_within(HOOK_TIME, "", worst, sum(one.timed for one in own), limit, severity)
    said = verdict.message if worst is None else "no hook is slower than " + verdict.message
    return verdict._replace(value=None, high=worst, message=said)


def _rates(context: Context, names: tuple[str, str], runs: Sequence[Runs], recent: Sequence[Runs]) -> Iterator[Verdict]:
    """Judge each one's failures, all together, and those of the last hour; `names` are the rules of both."""
    rule, burst = names
    percent = _limit(context, rule)
    if percent is None:
        return
    limit, severity = percent / 100, _SEVERITIES[rule]
    each = [limits.rate(rule, one.label, one.failures, one.size, limit, severity) for one in runs]
    yield from each
    whole = limits.rate(rule, "", *_sums(runs), limit, severity)
    yield whole._replace(alerting=not any(one.state == BREACH for one in each))
    known = {one.label: one.state for one in each}
    for one in recent:
        if one.failures:
            found = limits.rate_burst(burst, one.label, one.failures, one.size, limit, severity)
            yield found._replace(alerting=known.get(one.label) != BREACH)


def _sums(runs: Iterable[Runs]) -> tuple[int, int]:
    listed = list(runs)
    return sum(one.failures for one in listed), sum(one.size for one in listed)


def _hooks(summary: Summary) -> list[Runs]:
    return [Runs(one.hook, one.calls, one.failures) for one in summary.hooks]


def _agents(summary: Summary) -> list[Runs]:
    return [Runs(one.agent, one.runs - one.cancelled, one.failures) for one in summary.agents]


def _errors(context: Context, summary: Summary, recent: Summary | None) -> Iterator[Verdict]:
    """Judge the errors of the last hour, and, to be seen only, those of the worst hour."""
    limit = _limit(context, ERRORS)
    if limit is None:
        return
    severity = _SEVERITIES[ERRORS]
    if not (summary.hooks or summary.agents or summary.errors or any(summary.sessions)):
        yield unknown(ERRORS, severity, "nothing was recorded", unit="errors")
        return
    hours: dict[int, int] = {}
    for one in summary.errors:
        if one.severity in COUNTED:
            hours[one.hour_ms] = hours.get(one.hour_ms, 0) + one.count
    if recent is None:
        now = (summary.window.until_ms - 1) // HOUR_MS * HOUR_MS
        last = max(hours.get(now, 0), hours.get(now - HOUR_MS, 0))
    else:
        last = recent.error_count
    yield limits.errors(ERRORS, "", last, limit, severity, "in the last hour")
    worst = limits.errors(ERRORS, WORST, max(hours.values(), default=0), limit, severity, "in the worst hour")
    yield worst._replace(alerting=False)
