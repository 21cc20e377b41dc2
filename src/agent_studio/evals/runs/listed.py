"""The runs of a project in short, for lists and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError
from agent_studio.evals.runs import begin, log
from agent_studio.evals.runs import header as headers
from agent_studio.evals.verdicts import comparison

if TYPE_CHECKING:
    from agent_studio.environment.context import Context


def runs(context: Context) -> tuple[list[dict[str, Any]], list[AgentStudioError]]:
    """Return every run, oldest first, and why some cannot be read."""
    folder = begin.folder_of(context)
    found: list[dict[str, Any]] = []
    faults: list[AgentStudioError] = []
    for name in headers.ids(folder):
        try:
            header, attempts = headers.read(folder.at(name)), log.read(folder.at(name)).attempts
        except AgentStudioError as error:
            faults.append(error)
            continue
        margin = float(context.config["evals.margin"])
        verdict = None if header.against is None else comparison.judged(attempts, header.tasks, margin).verdict
        found.append({
            "run": name, "created": header.created, "candidate": header.candidate, "against": header.against,
            "attempts": len(attempts), "wanted": sum(task.repeats for task in header.tasks) * len(header.sides),
            "verdict": verdict, "backend": header.backend,
        })  # fmt: skip
    return found, faults
