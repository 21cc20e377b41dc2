"""Hands what a comparison found to the release: evidence `no-regression`, of one candidate against one release.

All the gate reads is in it: pairs by tag, so that the policy in force can choose tags and margin after the fact.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from agent_studio.evals.runs import begin
from agent_studio.evals.verdicts import betting, comparison
from agent_studio.release import eval_runs, evidence, no_regression, suite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.evals.runs.together import Together
    from agent_studio.release.evidence import Evidence
    from agent_studio.release.no_regression import Rules
    from agent_studio.storage.folder import Folder

KIND = "no-regression"
_ABOUT = ("against", "tags", "margin", "suite", "words", "model", "imported")
"""What evidence is about: only what is alike in all of it can say the same."""


def keep(context: Context, asked: Together, rules: Rules, margin: float) -> tuple[Evidence | None, str]:
    """Keep the comparison as evidence on its candidate; return it, or why it is none.

    Evidence is of all runs that are alike. What was found by a rehearsal never takes the place of what counts.
    """
    header = asked.header
    if header.vacuous:
        return None, "it is no evidence: it was made with tasks that could not fail (--allow-vacuous)"
    held = _held(context, header.candidate)
    folder = begin.folder_of(context)
    if held is not None and (gone := _gone(held, asked, folder)):
        return None, f"it is no evidence: {', '.join(gone)}, which earlier evidence was made of, is no longer known"
    found = comparison.judged(asked.attempts, header.tasks, margin, betting.is_no_worse)
    tasks = {task.id: task.suite for task in header.tasks}
    data = {
        "reason": _told(found, margin, asked, tasks), "against": header.against, "run": header.id,
        "runs": {one: _noted(folder, one) for one in asked.runs}, "header": header.sha256, "tags": list(rules.tags),
        "margin": margin, "pin": header.pin, "tasks": sorted(tasks), "suite": tasks, "backend": header.backend,
        "words": shlex.split(header.backend), "model": header.model, "isolation": header.isolation, "imported": "",
        "why": found.why, **_figures(found.counts, found.verdict), "low": found.low, "high": found.high,
    }  # fmt: skip
    if (
        held is not None
        and held.data.get("against") == header.against
        and no_regression.is_rehearsed(rules, data)
        and not no_regression.is_rehearsed(rules, held.data)
    ):
        return None, "it is a rehearsal, and takes the place of no evidence that counts"
    return _keep(context, held, header.candidate, found.verdict, data), ""


def _gone(held: Evidence, asked: Together, folder: Folder) -> list[str]:
    """Return the runs of earlier evidence that nobody knows of any more: they would count."""
    known = {one.id for one in eval_runs.all_of(folder)}
    of_these = held.data.get("against") == asked.header.against and not held.data.get("imported")
    return [one for one in held.data.get("runs") or {} if of_these and one not in known]


def _noted(folder: Folder, run: str) -> dict[str, Any]:
    now = eval_runs.reached(folder, run)
    return {**now.head._asdict(), "deciding": now.deciding}


def _told(found: comparison.Judged, margin: float, asked: Together, tasks: Mapping[str, str]) -> str:
    header = asked.header
    told = found.why or reason(found.counts, margin, found.verdict, str(header.against), (found.low, found.high))
    more = f" in {len(asked.runs)} runs" if len(asked.runs) > 1 else ""
    count = f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"
    return f"{told}; {count}, suite {suite.sha256(tasks)[:12]}, by {header.backend}{more}"


def _held(context: Context, candidate: str) -> Evidence | None:
    return evidence.of(context.project, context.environment, candidate).evidence.get(KIND)


def _keep(
    context: Context, held: Evidence | None, candidate: str, verdict: str, data: Mapping[str, Any]
) -> Evidence | None:
    """Keep it, unless the newest says the same of the same: signatures on that stay valid then."""
    is_same = held is not None and all(held.data.get(name) == data.get(name) for name in _ABOUT)
    is_known = held is not None and _deciding(held.data) == _deciding(data)  # else the gate would wait for the rest
    if held is not None and is_same and is_known and int(held.data.get("pairs") or 0) >= int(data["pairs"]):
        return evidence.confirm(context, KIND, candidate, verdict, data)
    return evidence.record(context, KIND, candidate, verdict, data)


def _deciding(data: Mapping[str, Any]) -> dict[str, int]:
    runs = data.get("runs")
    return {run: one["deciding"] for run, one in runs.items()} if isinstance(runs, dict) else {}


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
    data = {
        "reason": told, "against": against, "run": "", "tags": [], "margin": margin, "pin": source["sha256"],
        "tasks": source["tasks"], "backend": source["tool"], "model": source.get("model"), "isolation": "",
        "imported": source["tool"], **_figures(counts, verdict),
    }  # fmt: skip
    return _keep(context, _held(context, candidate), candidate, verdict, data)


def reason(
    counts: betting.Pairs, margin: float, verdict: str, against: str,
    edges: tuple[float | None, float | None] = (None, None),
) -> str:  # fmt: skip
    """Return in one line what was found."""
    if not counts.total:
        return f"no pair of attempts against {against[:12]} decides"
    interval = betting.interval(counts)
    low, high = interval if None in edges else edges
    told = (
        f"{counts.difference:+.0%} against {against[:12]} in {counts.total} pairs "
        f"({low:+.0%} to {high:+.0%}, margin {margin:.0%})"
    )
    if verdict == betting.INSUFFICIENT:
        more = betting.needed_no_worse(counts, margin)
        return f"{told}; {'no number of' if more is None else f'about {more}'} more pairs would settle it"
    return told
