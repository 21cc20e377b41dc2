"""What the limits of production say of a stage of a gradual rollout: a sample in, verdicts out.

The verdicts stay right however often one looks (`release.statistics`). Runs are taken as independent of each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release import statistics
from agent_studio.release.evidence import INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.config import Config
    from agent_studio.release.rollouts.sample import Sample

_THRESHOLDS = "monitoring.thresholds."
_P95_SHARE = 0.05


class Limit(NamedTuple):
    """One limit beside what was seen in a stage."""

    name: str
    """Its key below `monitoring.thresholds`."""
    verdict: str
    """PASS, FAIL or INSUFFICIENT."""
    value: float | None
    """A share from 0 to 1, or errors an hour."""
    limit: float | None
    """As `value`; None where production sets none."""
    reason: str


def limits(config: Config, sample: Sample, *, unread: Sequence[str] = ()) -> list[Limit]:
    """Return what each limit of production says of a sample; one that is not set, or not all read, is no PASS."""
    found = [
        _share_limit(config, "agentFailureRate", "agent runs failed", sample.agent_failures, sample.agent_runs, sample),
        _share_limit(config, "hookFailureRate", "hook runs failed", sample.hook_failures, sample.hook_calls, sample),
        _slow_limit(config, sample),
        _error_limit(config, sample),
    ]
    if not unread:
        return found
    lost = f"{unread[0]} could not be read"
    return [
        one._replace(verdict=INSUFFICIENT, reason=f"{one.reason}; {lost}") if one.verdict == PASS else one
        for one in found
    ]


def limit_of(config: Config, name: str) -> float | None:
    """Return a limit of production, None for one that is not set."""
    value = config[_THRESHOLDS + name]
    return None if value is None or value == math.inf else float(value)


def _share_limit(config: Config, name: str, what: str, hits: int, count: int, sample: Sample) -> Limit:
    percent = limit_of(config, name)
    if percent is None:
        return _unset(name)
    judged = statistics.share(hits, count, percent / 100)
    verdict, doubt = _with_damage(judged.verdict, hits, count, percent / 100, sample)
    reason = f"{hits:,} of {count:,} {what}, limit {percent:g} %{doubt or _more(judged, 'runs without a failure')}"
    return Limit(name, verdict, judged.value, percent / 100, reason)


def _slow_limit(config: Config, sample: Sample) -> Limit:
    name = "hookExecutionTimeMs"
    limit_ms = limit_of(config, name)
    if limit_ms is None:
        return _unset(name)
    hits, count = sample.hook_slow, sample.hook_timed
    judged = statistics.share(hits, count, _P95_SHARE)
    verdict, doubt = _with_damage(judged.verdict, hits, count, _P95_SHARE, sample)
    more = doubt or _more(judged, "runs within it")
    reason = f"{hits:,} of {count:,} hook runs took over {limit_ms:g} ms, limit 5 % (p95){more}"
    return Limit(name, verdict, judged.value, _P95_SHARE, reason)


def _error_limit(config: Config, sample: Sample) -> Limit:
    name = "errorRatePerHour"
    limit = limit_of(config, name)
    if limit is None:
        return _unset(name)
    judged = statistics.rate(sample.errors, sample.hours, limit)
    verdict, doubt = judged.verdict, ""
    if verdict == PASS and statistics.rate_verdict(sample.errors + sample.damaged, sample.hours, limit) != PASS:
        verdict, doubt = INSUFFICIENT, _damage(sample)
    more = doubt or _more(judged, "hours without an error", digits=1)
    reason = f"{sample.errors:,} errors in their share of the time, {sample.hours:.1f} h, limit {limit:g} an hour{more}"
    return Limit(name, verdict, judged.value, limit, reason)


def _with_damage(verdict: str, hits: int, count: int, limit: float, sample: Sample) -> tuple[str, str]:
    """Return a verdict that holds whatever the lines said that cannot be read, and what it lacks."""
    if verdict == PASS and statistics.share_verdict(hits + sample.damaged, count + sample.damaged, limit) != PASS:
        return INSUFFICIENT, _damage(sample)
    return verdict, ""


def _damage(sample: Sample) -> str:
    return f"; {sample.damaged:,} damaged lines may be more of them"


def _more(judged: statistics.Judged, what: str, digits: int = 0) -> str:
    if judged.verdict != INSUFFICIENT:
        return ""
    return f"; {judged.needed:,.{digits}f} more {what} for a verdict" if math.isfinite(judged.needed) else ""


def _unset(name: str) -> Limit:
    return Limit(name, INSUFFICIENT, None, None, f"production sets no limit: {_THRESHOLDS}{name}")
