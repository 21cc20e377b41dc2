"""A run as it is shown: for programs, and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cli.output import Problem, harmless, harmless_lines
from agent_studio.reasoning.elicitation import proposal, store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.elicitation.draft import Draft
    from agent_studio.reasoning.elicitation.store import Run

_STATES: Mapping[str, tuple[str, str]] = {
    store.OFFERED: ("ok", "offered"), store.KEPT: ("none", "original kept"), store.UNSOUND: ("bad", "refused"),
    store.ADVICE: ("note", "advice"),
}  # fmt: skip


class View(NamedTuple):
    """A run, and the text that it looked at."""

    context: Context
    run: Run
    draft: Draft
    name: str

    @property
    def offered(self) -> proposal.Proposal:
        """What it offers and nobody has decided on."""
        open_ = [one for one in self.run.findings if one["state"] == store.OFFERED]
        return proposal.propose(self.draft, (one for one in open_ if one["number"] not in self.run.decisions))

    @property
    def difference(self) -> str:
        """The offered changes as a difference to the text as the run saw it."""
        return proposal.difference(self.draft.text, self.offered.text, self.run.began["file"] or "text")


def data(view: View) -> dict[str, Any]:
    """Return a run for programs."""
    run, decisions = view.run, view.run.decisions
    ended = run.ended or {}
    return {
        "id": run.id, "status": ended.get("status", "running or killed"), "methods": run.began["methods"],
        "model": run.began["model"], "session": run.began["session"], "file": run.began["file"] or None,
        "section": run.began["section"] or None, "sha256": run.began["sha256"],
        "findings": [
            {
                **{key: one[key] for key in ("number", "method", "claim", "problem", "severity", "confidence", "fix")},
                "state": one["state"], "evidence": one["evidence"], "faults": one["faults"],
                "verdicts": one["verdicts"], "decision": decisions.get(one["number"]),
            }
            for one in run.findings
        ],
        "refused": [{"method": one["method"], "reason": one["reason"], "failed": one["failed"]} for one in run.refused],
        "diff": view.difference, "calls": run.sent, "costUsd": ended.get("costUsd"),
        "unpriced": ended.get("unpriced"),
    }  # fmt: skip


def problems(run: Run) -> list[Problem]:
    """Return methods that failed, and what of answers was not taken."""
    return [
        Problem(
            "method-failed" if one["failed"] else "not-taken", f"{one['method']}: {one['reason']}",
            is_note=not one["failed"],
        )
        for one in run.refused
    ]  # fmt: skip


def render(screen: Screen, view: View) -> None:
    """Draw a run: each finding with what became of it, then the changes that are offered."""
    run = view.run
    ended = run.ended or {}
    where = f", section {run.began['section']}" if run.began["section"] else ""
    screen.line(f"Run {run.id}: {', '.join(run.began['methods'])} on {view.name}{where}")
    cost = f"{ended['costUsd']} USD" if ended else "it has not ended"
    free = f", {ended['unpriced']} calls without a price" if ended.get("unpriced") else ""
    screen.line(f"  {run.sent} calls of {run.began['model']}, {cost}{free}")
    for one in run.findings:
        _finding(screen, one, run.decisions.get(one["number"]))
    if not run.findings and ended.get("status") == store.DONE:
        screen.line("\nNothing was found.")
    if difference := view.difference:
        screen.line()
        screen.block(harmless_lines(difference.rstrip("\n")))
        take = "Take it" if run.began["file"] else "Print the text with it"
        screen.line(f"\n{take}: {store.command(view.context, 'apply', run.id)} [--finding N]")
        screen.line(f"Leave it: {store.command(view.context, 'reject', run.id)} [--finding N]")


def _finding(screen: Screen, one: Mapping[str, Any], decision: str | None) -> None:
    mark, state = _STATES[one["state"]]
    screen.line()
    screen.mark(mark, harmless(f"{one['number']}. {one['claim']} [{one['severity']}, {one['method']}]"))
    for line in screen.folded(one["problem"], 4):
        screen.line(f"    {harmless(line)}")
    unverified = sum(not quote["verified"] for quote in one["evidence"])
    told = [state if decision is None else f"{state}, {decision}"]
    told += [f"{unverified} of {len(one['evidence'])} quotes are not in the text"] if unverified else []
    told += one["faults"]
    if one["verdicts"] and one["state"] == store.KEPT:
        told.append(f"the judge said {', '.join(one['verdicts'])} (B, A would be for the change)")
    screen.line(harmless(f"    {'; '.join(told)}"))
