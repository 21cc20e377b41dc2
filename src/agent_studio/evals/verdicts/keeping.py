"""Hands what a comparison found to the release: evidence `no-regression`, of one candidate against one release.

All the gate reads is in it: pairs by tag, so that the policy in force can choose tags and margin after the fact.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Kept(NamedTuple):
    """What became of a comparison as evidence."""

    evidence: Evidence | None
    """None where it says what earlier evidence says, or is none."""
    why: str = ""
    """Why it is none."""
    hint: str = ""
    """What makes one of it."""


def keep(context: Context, asked: Together, rules: Rules, margin: float) -> Kept:
    """Keep the comparison as evidence on its candidate.

    Evidence is of all runs that are alike. What was found by a rehearsal never takes the place of what counts.
    """
    header = asked.header
    if header.vacuous:
        why = "it is no evidence: it was made with tasks that could not fail (--allow-vacuous)"
        return Kept(None, why, f"mend their checks, then {no_regression.COMMAND} without it")
    held = _held(context, header.candidate)
    folder = begin.folder_of(context)
    if held is not None and (gone := _gone(held, asked, folder)):
        why = f"it is no evidence: {', '.join(gone)}, which earlier evidence was made of, is no longer known"
        return Kept(None, why, f"{folder.path / eval_runs.REGISTER}: {eval_runs.MEND}")
    found = comparison.judged(asked.attempts, header.tasks, margin, betting.is_no_worse)
    tasks = {task.id: task.suite for task in header.tasks}
    data = {
        "reason": _told(found, margin, asked, tasks), "against": header.against, "run": header.id,
        "runs": {one: _noted(folder, one) for one in asked.runs}, "header": header.sha256, "tags": list(rules.tags),
        "margin": margin, "pin": header.pin, "tasks": sorted(tasks), "suite": tasks, "backend": header.backend,
        "words": shlex.split(header.backend), "model": ", ".join(asked.models) or None, "isolation": header.isolation,
        "imported": "",
        "why": found.why, **_figures(found.counts, found.verdict), "low": found.low, "high": found.high,
    }  # fmt: skip
    if no_regression.is_rehearsed(rules, data) and _counts(held, rules, header.against):
        why = "it is a rehearsal, and takes the place of no evidence that counts"
        return Kept(None, why, f"{no_regression.COMMAND} --backend {shlex.quote(shlex.join(rules.backend))}")
    return Kept(_keep(context, held, header.candidate, found.verdict, data))


def _counts(held: Evidence | None, rules: Rules, against: str | None) -> bool:
    """Tell whether evidence on the same two sides counts under a policy, whatever it says."""
    if held is None or held.data.get("against") != against or no_regression.is_rehearsed(rules, held.data):
        return False
    return rules.imported or not held.data.get("imported")


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
    more += f" with {', '.join(asked.models)}" if len(asked.models) > 1 else ""
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
    context: Context, candidate: str, against: str, counts: betting.Pairs, rules: Rules, margin: float,
    source: Mapping[str, Any],
) -> Kept:  # fmt: skip
    """Keep a result of another tool as evidence, labelled as imported: whether it counts is the policy's to say.

    It never takes the place of what was tried here and counts. All that was imported of the same sides is judged
    together, the same result once: who imports until one looks good gains nothing.
    """
    held = _held(context, candidate)
    is_own = held is not None and not held.data.get("imported")
    if is_own and _counts(held, rules, against):
        why = "it is no evidence: it takes the place of none that was made here"
        return Kept(None, why, f"{no_regression.COMMAND} tries more; another candidate begins anew")
    earlier = held.data.get("imports") if held is not None and held.data.get("against") == against else None
    parts = {**(earlier or {}), source["sha256"]: list(counts)}
    together = betting.Pairs(*(sum(column) for column in zip(*parts.values(), strict=True)))
    verdict = betting.is_no_worse(together, margin)
    more = f"{len(parts)} results, " if len(parts) > 1 else ""
    told = f"imported from {source['tool']}: {more}{reason(together, margin, verdict, against)}"
    pin = hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()
    data = {
        "reason": told, "against": against, "run": "", "tags": [], "margin": margin, "pin": pin, "imports": parts,
        "tasks": source["tasks"], "backend": source["tool"], "model": source.get("model"), "isolation": "",
        "imported": source["tool"], **_figures(together, verdict),
    }  # fmt: skip
    return Kept(_keep(context, held, candidate, verdict, data))


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
