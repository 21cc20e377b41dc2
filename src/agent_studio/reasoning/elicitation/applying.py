"""Applying and rejecting what a run found: on the file as the run saw it, in one step, and on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.flag_journal import default_who
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, UsageError
from agent_studio.reasoning.elicitation import draft as drafts
from agent_studio.reasoning.elicitation import proposal, store
from agent_studio.reasoning.elicitation.places import refuse_place
from agent_studio.storage import locks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.elicitation.draft import Draft
    from agent_studio.reasoning.elicitation.store import Run

_LOCK = "applying.lock"
_WAIT_S = 5.0


class DriftError(AgentStudioError):
    """A file is not what a run looked at."""

    code = "drift"
    exit_code = ExitCode.BUSY


class Applied(NamedTuple):
    """What was applied, or would be."""

    run: Run
    findings: list[int]
    left: list[tuple[int, str]]
    """Findings whose changes do not fit beside the others, and why."""
    data: bytes
    """The text as it is now."""
    difference: str


def apply(context: Context, run_id: str, numbers: Sequence[int], *, dry_run: bool = False) -> Applied:
    """Make the changes of findings, of all that are offered and undecided where none is named.

    A run on standard input has no file: its text is returned, and that it was applied is kept all the same.
    Raises `DriftError` when the file is not as the run, or what was applied of it before, left it.
    """
    door = store.folder(context)
    if dry_run:
        return _apply(context, store.load(context, run_id), numbers, dry_run=True)
    door.make()
    with locks.exclusive(door, _LOCK, doing="applying findings", wait_s=_WAIT_S):
        return _apply(context, store.load(context, run_id), numbers, dry_run=False)


def _apply(context: Context, run: Run, numbers: Sequence[int], *, dry_run: bool) -> Applied:
    run = _caught_up(context, run, dry_run=dry_run)
    chosen = _chosen(context, run, numbers, applying=True)
    draft = _current(context, run)
    proposed = proposal.propose(draft, chosen)
    if numbers and proposed.left:
        finding, why = proposed.left[0]
        raise UsageError(f"finding {finding['number']} cannot be applied: {why}", hint="apply the others without it")
    made = [finding["number"] for finding in proposed.made]
    name = run.began["file"] or "text"
    difference, after = proposal.difference(draft.text, proposed.text, name), draft.data(proposed.text)
    applied = Applied(run, made, [(one["number"], why) for one, why in proposed.left], after, difference)
    if dry_run or not made:
        return applied
    before = drafts.digest(draft.data(draft.text))
    record = {**_decided(context, run, made), "before": before, "after": drafts.digest(after)}
    if run.began["file"]:
        store.note(context, run.id, store.APPLYING, record)
        context.project.folder.replace(run.began["file"], after)
    store.settle(context, run.id, store.APPLIED, record)
    return applied


def _caught_up(context: Context, run: Run, *, dry_run: bool) -> Run:
    """Return a run with what was written to its file and, for an interruption, is not on record yet."""
    last = run.applying[-1] if run.applying else None
    if last is None or any(number in run.decisions for number in last["findings"]):
        return run
    folder, name = context.project.folder, run.began["file"]
    if not folder.has_file(name) or drafts.digest(folder.read(name)) != last["after"]:
        return run
    record = {key: last[key] for key in ("findings", "methods", "who", "before", "after")}
    if not dry_run:
        store.settle(context, run.id, store.APPLIED, record)
    return run._replace(decided=[*run.decided, {"kind": store.APPLIED, **record}])


def reject(context: Context, run_id: str, numbers: Sequence[int], reason: str) -> tuple[Run, list[int]]:
    """Keep that findings are rejected, all that are undecided where none is named; no text is touched."""
    door = store.folder(context)
    door.make()
    with locks.exclusive(door, _LOCK, doing="rejecting findings", wait_s=_WAIT_S):
        run = store.load(context, run_id)
        chosen = [finding["number"] for finding in _chosen(context, run, numbers, applying=False)]
        if chosen:
            store.settle(context, run.id, store.REJECTED, {**_decided(context, run, chosen), "reason": reason})
    return run, chosen


def _chosen(context: Context, run: Run, numbers: Sequence[int], *, applying: bool) -> list[dict[str, Any]]:
    """Return findings by their numbers; raise `UsageError` for one that is not there, or is decided already."""
    by_number = {finding["number"]: finding for finding in run.findings}
    states = {store.OFFERED} if applying else {store.OFFERED, store.ADVICE, store.KEPT}
    decided, show = run.decisions, store.command(context, "show", run.id)
    if not numbers:
        return [one for number, one in by_number.items() if one["state"] in states and number not in decided]
    chosen = []
    for number in dict.fromkeys(numbers):
        finding = by_number.get(number)
        if finding is None:
            known = ", ".join(map(str, by_number)) or "none"
            raise UsageError(f"the run {run.id} has no finding {number}", hint=f"it has: {known}")
        if number in decided:
            raise UsageError(f"finding {number} is {decided[number]} already", hint=show)
        if applying and finding["state"] != store.OFFERED:
            raise UsageError(f"finding {number} offers no change: {_why(finding)}", hint=show)
        chosen.append(finding)
    return chosen


def _why(finding: Mapping[str, Any]) -> str:
    if finding["state"] == store.UNSOUND:
        return "; ".join(finding["faults"])
    return "it is advice" if finding["state"] == store.ADVICE else "the judge did not prefer it in both orders"


def _current(context: Context, run: Run) -> Draft:
    """Return what changes are made to: the original with those that were made, in the order in which they were.

    Raises `DriftError` where the file is not that.
    """
    name = run.began["file"]
    draft = drafts.read(store.original(context, run), name or "the text", run.began["section"])
    for one in (one for one in run.decided if one["kind"] == store.APPLIED):
        draft = _again(context, run, draft, one)
    if not name:
        return draft
    show = store.command(context, "show", run.id)
    refuse_place(context, name)
    try:
        data = context.project.folder.read(name)
    except FileNotFoundError:
        raise DriftError(f"{name} is gone", hint=f"its text is kept: {show} --original") from None
    if data != draft.data(draft.text):
        raise DriftError(
            f"{name} has changed since the run {run.id} looked at it",
            hint=f"run the methods again, or take the change over by hand: {show}",
        )
    return draft


def _again(context: Context, run: Run, draft: Draft, decision: Mapping[str, Any]) -> Draft:
    """Return a draft with the changes of a decision made again; raise `IntegrityError` where that leads elsewhere."""
    by_number = {finding["number"]: finding for finding in run.findings}
    proposed = proposal.propose(draft, (by_number[number] for number in decision["findings"]))
    if proposed.left or drafts.digest(draft.data(proposed.text)) != decision["after"]:
        raise IntegrityError(
            f"what was applied of the run {run.id} does not lead to the text that is on record",
            hint=f"take the changes over by hand: {store.command(context, 'show', run.id)}",
        )
    return proposed.draft


def _decided(context: Context, run: Run, numbers: Sequence[int]) -> dict[str, Any]:
    methods: dict[str, int] = {}
    for finding in run.findings:
        if finding["number"] in numbers and finding["state"] == store.OFFERED:  # there was something to take
            methods[finding["method"]] = methods.get(finding["method"], 0) + 1
    return {"findings": list(numbers), "methods": methods, "who": default_who(context.project)}
