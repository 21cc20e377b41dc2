"""`eval list`: the tasks of the project, and the runs that were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Problem, Result
from agent_studio.evals.runs import listed
from agent_studio.evals.tasks import loading

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


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
    runs, faults = listed.runs(context)
    problems = [Problem(one.code, one.message, one.hint, is_note=True) for one in faults]
    data = {"tasks": tasks, "runs": runs}
    return Result(data, lambda screen: _render(screen, tasks, runs), problems=problems)


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
