"""What a burn-in leaves as evidence: the burn-in, performance by production's limits, the errors, the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.config import load
from agent_studio.monitor import shared
from agent_studio.monitor.comparison import RULES, compare, data_of
from agent_studio.monitor.shift import WORSE
from agent_studio.monitor.summary import Window
from agent_studio.monitor.verdict import BREACH
from agent_studio.release import evidence
from agent_studio.release.burnin import beginning, progress, rules
from agent_studio.release.checklists import reviewed
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from agent_studio.environment.context import Context
    from agent_studio.monitor.comparison import Comparison, Metric
    from agent_studio.monitor.summary import Summary
    from agent_studio.monitor.verdict import Verdict
    from agent_studio.release.burnin.observed import Observed
    from agent_studio.release.burnin.progress import Burnin
    from agent_studio.release.production.sides import Sides

_HOOK_P95, _HOOK_RATE, _AGENT_RATE = RULES[:3]
_COMPARED = frozenset({_HOOK_P95, _HOOK_RATE, _AGENT_RATE})
"""What decides: figures with bounds. Errors an hour are the burn-in's own matter, and spending breaks no candidate."""
_LISTED = 3


class Finding(NamedTuple):
    """One piece of evidence."""

    kind: str
    verdict: str
    data: dict[str, Any]
    recorded: bool = False
    """False: the same was on record already, or nothing was kept."""

    @property
    def reason(self) -> str:
        """One sentence."""
        return str(self.data["reason"])


class Report(NamedTuple):
    """What was found, and kept."""

    burnin: Burnin
    findings: list[Finding]
    is_kept: bool
    """False: the definitions changed while it was worked out."""
    source: Mapping[str, Any]
    """Whose records it is of, see `source_of`."""

    @property
    def verdict(self) -> str:
        """The worst of all."""
        return rules.worst(one.verdict for one in self.findings) if self.is_kept else INSUFFICIENT


def report(sides: Sides) -> Report:
    """Work out where the burn-in stands and keep what is new of it as evidence.

    Raises what `burnin.status` raises.
    """
    found = progress.status(sides)
    findings = list(_findings(sides, found))
    source = source_of(sides, found)
    if sides.shared is not None:
        findings = [_sourced(one, source) for one in findings]
    if candidate(sides.project).sha256 != found.candidate:
        return Report(found, findings, is_kept=False, source=source)
    if found.since is not None:
        beginning.note_written(sides.staging, found.candidate, found.since)
    kept = [_kept(sides.staging, found.candidate, one) for one in findings]
    return Report(found, kept, is_kept=True, source=source)


def _sourced(one: Finding, source: Mapping[str, Any]) -> Finding:
    """Return a finding that says whose records it is of."""
    return one._replace(data={**one.data, "reason": f"{one.reason}; {told_source(source)}", "source": source})


def source_of(sides: Sides, found: Burnin) -> dict[str, Any]:
    """Return where the records of a burn-in are from: `{from (journals, fleet), engine, project, machines}`.

    Machines are those that ran the candidate.
    """
    if sides.shared is None:
        return {"from": "journals"}
    since_ms = found.seen.now_ms if found.since is None else found.since.at_ms
    machines = shared.machines(sides.staging, Window(since_ms, found.seen.now_ms + 1), found.candidate)
    return {
        "from": "fleet", "engine": sides.shared.dialect, "project": sides.shared.project, "machines": machines,
    }  # fmt: skip


def told_source(source: Mapping[str, Any]) -> str:
    """Return the same for people."""
    many = "1 machine" if source["machines"] == 1 else f"{source['machines']} machines"
    return f"from the fleet: project {source['project']} in {source['engine']}, {many}"


def _kept(context: Context, sha256: str, one: Finding) -> Finding:
    made = evidence.confirm(context, one.kind, sha256, one.verdict, one.data)
    return one._replace(recorded=made is not None)


def _findings(sides: Sides, found: Burnin) -> Iterator[Finding]:
    yield Finding("burnin", found.verdict, {"reason": found.message, **progress.data_of(found)})
    if found.since is None:
        for kind in ("performance", "errors", "comparison"):
            yield Finding(kind, INSUFFICIENT, {"reason": found.message})
        return
    target = next(one for one in found.requirements if one.name == rules.PRODUCTION)
    yield Finding("performance", target.verdict, {"reason": target.message})
    yield _errors(sides.staging, found.since.at, found.seen)
    yield _comparison(sides, Window(found.since.at_ms, found.seen.now_ms + 1), found.seen)


def _errors(context: Context, since: datetime, seen: Observed) -> Finding:
    groups = reviewed.errors(context, since)
    verdict, reason = reviewed.verdict(groups)
    if verdict == PASS and not seen.moments:
        verdict, reason = INSUFFICIENT, "no real session was observed, so the error log says nothing"
    data = {"since": clock.timestamp(since), "groups": [one._asdict() for one in groups]}
    return Finding("errors", verdict, {"reason": reason, **data})


def _comparison(sides: Sides, window: Window, seen: Observed) -> Finding:
    found = compare(_as_filed(sides.staging), _as_filed(sides.live()), window)
    verdict, reason = decided(found, _replayed(seen))
    return Finding("comparison", verdict, {"reason": reason, **data_of(found), "verdict": verdict})


def _as_filed(context: Context) -> Context:
    """Return an environment with the limits of its files: a variable of who reports changes no evidence."""
    return context._replace(config=load(context.project, context.environment, {}))


def _replayed(seen: Observed) -> frozenset[str]:
    """Return the figures that are of more replays than real runs."""
    of = {_HOOK_P95: seen.hooks, _HOOK_RATE: seen.hooks, _AGENT_RATE: seen.agents}
    return frozenset(rule for rule, sample in of.items() if sample.synthetic > sample.real)


def decided(found: Comparison, replayed: Collection[str]) -> tuple[str, str]:
    """Return what a comparison means for a candidate, and one sentence about it.

    FAIL takes proof that a figure breaks staging's limit, or is worse than production's and over production's limit,
    and is not `replayed` for the most part. What only shifted is told and decides nothing.
    """
    if _is_empty(found.a.summary):
        return INSUFFICIENT, f"{found.a.environment} has no figures"
    broken = [*_breaches(found), *((one.rule, told) for one in found.metrics if (told := _worse(one)))]
    if proven := [told for rule, told in broken if rule not in replayed]:
        more = f", and {len(proven) - _LISTED} more" if len(proven) > _LISTED else ""
        return FAIL, "; ".join(proven[:_LISTED]) + more
    if broken:
        return INSUFFICIENT, f"most runs were replayed, and replays alone break no limit: {broken[0][1]}"
    if _is_empty(found.b.summary):
        return PASS, f"{found.b.environment} has no figures to compare with"
    shifted = [_name(one) for one in found.metrics if one.shift is not None and one.shift.verdict == WORSE]
    told = f"; slower or worse without breaking a limit: {', '.join(shifted[:_LISTED])}" if shifted else ""
    return PASS, f"nothing is proven to be worse than in {found.b.environment} and over a limit{told}"


def _breaches(found: Comparison) -> Iterator[tuple[str, str]]:
    """Yield the figures that break staging's limit, and how."""
    for one in found.a.verdicts:
        # Of many hooks one looks bad by chance: a single one has to be so at 99 %.
        if one.rule in _COMPARED and one.state == BREACH and (not one.label or one.certain):
            yield one.rule, f"{_name(one)} breaks {found.a.environment}'s limit: {one.message}"


def _worse(one: Metric) -> str:
    """Return that a figure is proven to be worse than production's and over its limit, empty when it is not."""
    if one.rule not in _COMPARED or one.a is None or one.b is None or None in {one.a.value, one.b.limit}:
        return ""
    ours, limit = one.a, one.b.limit
    if one.rule == _HOOK_P95:
        is_worse = ours.low is not None and one.b.high is not None and ours.low > one.b.high
    else:
        is_worse = one.shift is not None and one.shift.verdict == WORSE
    if not is_worse or ours.value is None or limit is None or ours.value <= limit:
        return ""
    return f"{_name(one)} is proven to be worse than production's and over its limit: {ours.value:.4g} over {limit:.4g}"


def _name(one: Metric | Verdict) -> str:
    return f"{one.rule} {one.label}".rstrip()


def _is_empty(summary: Summary) -> bool:
    return not (summary.hooks or summary.agents or summary.errors or any(summary.sessions))
