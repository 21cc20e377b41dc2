"""`eval list`: the tasks of the project, and the runs that were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Problem, Result
from agent_studio.errors import AgentStudioError
from agent_studio.evals.runs import begin, log
from agent_studio.evals.runs import header as headers
from agent_studio.evals.tasks import loading
from agent_studio.evals.verdicts import betting, comparison

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no options."""
    del parser


def run(args: argparse.Namespace, session: Session) -> Result:
    """List both."""
    del args
    context = shared.context_of(session)
    tasks = [
        {"id": one.id, "file": one.file, "description": one.description, "tags": list(one.tags), "repeats": one.repeats,
         "checks": [check.name for check in one.checks], "limits": one.limits._asdict()}
        for one in loading.load(context.project, context.config)
    ]  # fmt: skip
    runs, problems = runs_of(context)
    data = {"tasks": tasks, "runs": runs}
    return Result(data, lambda screen: _render(screen, tasks, runs), problems=problems)


def runs_of(context: Context) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return every run in short, oldest first, and those that cannot be read."""
    folder = begin.folder_of(context)
    found, problems = [], []
    for name in headers.ids(folder):
        try:
            header, attempts = headers.read(folder.at(name)), log.read(folder.at(name)).attempts
        except AgentStudioError as error:
            problems.append(Problem(error.code, error.message, error.hint, is_note=True))
            continue
        counts = comparison.counted(comparison.pairs(attempts, header.tasks))
        verdict = None if header.against is None else betting.verdict(counts, float(context.config["evals.margin"]))
        wanted = sum(task.repeats for task in header.tasks) * len(header.sides)
        found.append({
            "run": name, "created": header.created, "candidate": header.candidate, "against": header.against,
            "attempts": len(attempts), "wanted": wanted, "verdict": verdict, "backend": header.backend,
        })  # fmt: skip
    return found, problems


def _render(screen: Screen, tasks: list[dict[str, Any]], runs: list[dict[str, Any]]) -> None:
    if tasks:
        screen.columns(
            ("task", "repeats", "checks", "tags", "file"),
            [(one["id"], str(one["repeats"]), str(len(one["checks"])), ", ".join(one["tags"]), one["file"])
             for one in tasks], numbers={"repeats", "checks"}, has_paths=True,
        )  # fmt: skip
    else:
        screen.line("no tasks yet: agent-studio eval new --starter")
    if runs:
        screen.line()
        screen.columns(
            ("run", "candidate", "against", "attempts", "verdict"),
            [(one["run"], one["candidate"][:12], (one["against"] or "-")[:12], f"{one['attempts']}/{one['wanted']}",
              one["verdict"] or "-") for one in runs],
        )  # fmt: skip
