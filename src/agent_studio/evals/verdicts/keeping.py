"""Hands what a comparison found to the release: evidence `no-regression`, of one candidate against one release.

All the gate reads is in it: pairs by tag, so that the policy in force can choose tags and margin after the fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.evals.attempts.backends import SCRIPTED
from agent_studio.evals.runs.header import NONE
from agent_studio.evals.verdicts import betting, comparison
from agent_studio.release import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.evals.runs.header import Header
    from agent_studio.release.evidence import Evidence

KIND = "no-regression"
REHEARSED = "a script"
"""Where attempts were made by no agent: it counts only where results of others do."""


def keep(
    context: Context, header: Header, attempts: comparison.Attempts, tags: Sequence[str], margin: float
) -> Evidence | None:
    """Keep the comparison as evidence on its candidate; None where its other side is no release's."""
    if header.against in {None, NONE}:
        return None
    own = [task for task in header.tasks if not tags or set(tags) & set(task.tags)]
    counts = comparison.counted(comparison.pairs(attempts, own))
    verdict = betting.is_no_worse(counts, margin)
    return evidence.confirm(context, KIND, header.candidate, verdict, {
        "reason": reason(counts, margin, verdict, str(header.against)), "against": header.against, "run": header.id,
        "tags": list(tags), "margin": margin, "pin": header.pin, "tasks": [task.id for task in own],
        "backend": header.backend, "model": header.model, "isolation": header.isolation,
        "imported": REHEARSED if header.backend.startswith(f"{SCRIPTED}:") else "",
        **_figures(counts, verdict),
    })  # fmt: skip


def _figures(counts: betting.Pairs, verdict: str) -> dict[str, Any]:
    interval = betting.interval(counts) if counts.total else None
    return {
        "pairs": counts.total, "won": counts.won, "lost": counts.lost, "difference": counts.difference,
        "low": interval and interval.low, "high": interval and interval.high, "shown": verdict,
    }  # fmt: skip


def keep_imported(
    context: Context, candidate: str, against: str, counts: betting.Pairs, margin: float, source: Mapping[str, Any]
) -> Evidence | None:
    """Keep a result of another tool as evidence, labelled as imported: whether it counts is the policy's to say."""
    verdict = betting.is_no_worse(counts, margin)
    told = f"imported from {source['tool']}: {reason(counts, margin, verdict, against)}"
    return evidence.confirm(context, KIND, candidate, verdict, {
        "reason": told, "against": against, "run": "", "tags": [], "margin": margin, "pin": source["sha256"],
        "tasks": source["tasks"], "backend": source["tool"], "model": source.get("model"), "isolation": "",
        "imported": source["tool"], **_figures(counts, verdict),
    })  # fmt: skip


def reason(counts: betting.Pairs, margin: float, verdict: str, against: str) -> str:
    """Return in one line what was found."""
    if not counts.total:
        return f"no pair of attempts against {against[:12]} decides"
    interval = betting.interval(counts)
    told = (
        f"{counts.difference:+.0%} against {against[:12]} in {counts.total} pairs "
        f"({interval.low:+.0%} to {interval.high:+.0%}, margin {margin:.0%})"
    )
    if verdict == betting.INSUFFICIENT:
        more = betting.needed_no_worse(counts, margin)
        return f"{told}; {'no number of' if more is None else f'about {more}'} more pairs would settle it"
    return told
