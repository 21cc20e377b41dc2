"""The runs of a project in short, for lists and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.evals.runs import begin
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs.together import Runs
from agent_studio.evals.verdicts import comparison
from agent_studio.release import eval_runs

if TYPE_CHECKING:
    from agent_studio.environment.context import Context


def runs(context: Context) -> tuple[list[dict[str, Any]], list[AgentStudioError]]:
    """Return every run, oldest first, and why some cannot be read, or are gone."""
    folder = begin.folder_of(context)
    known, found = Runs(folder), list[dict[str, Any]]()
    faults: list[AgentStudioError] = []
    names = headers.ids(folder)
    try:
        faults += [
            IntegrityError(f"{folder.path / one.id} is gone, and its attempts count", hint=eval_runs.MEND)
            for one in eval_runs.all_of(folder) if one.id not in names
        ]  # fmt: skip
    except IntegrityError as error:
        faults.append(error)
    for name in names:
        try:
            header, state = known.read(name)
            verdict = None if header.against is None else _verdict(context, known, name)
        except AgentStudioError as error:
            faults.append(error)
            continue
        found.append({
            "run": name, "created": header.created, "candidate": header.candidate, "against": header.against,
            "attempts": len(state.attempts), "wanted": sum(task.repeats for task in header.tasks) * len(header.sides),
            "verdict": verdict, "backend": header.backend,
        })  # fmt: skip
    return found, faults


def _verdict(context: Context, known: Runs, name: str) -> str:
    """Return what was to be said when a run had been made: together with those before it."""
    asked = known.together(name)
    return comparison.judged(asked.attempts, asked.header.tasks, float(context.config["evals.margin"])).verdict
