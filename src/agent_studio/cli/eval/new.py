"""`eval new`: a task to be filled in, one from a recorded session, or a starter suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Problem, Result
from agent_studio.cost import places
from agent_studio.errors import UsageError
from agent_studio.evals.making import from_session, starter, writing
from agent_studio.evals.tasks import loading

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.evals.tasks.task import Task

_PROMPT = "Say here what the agent is to do, as a person would ask for it."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the task, and of its file in .claude/evals/")
    parser.add_argument("--prompt", metavar="TEXT", help="what the agent is told")
    parser.add_argument("--from-session", metavar="ID", help="of a recorded session, or the id's beginning")
    parser.add_argument("--starter", action="store_true", help="a suite made of the project's own definitions")
    parser.add_argument(
        "--config-dir", action="append", default=[], metavar="DIR", help="where the client keeps its transcripts"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Write the tasks, and read them back as a run would."""
    context = shared.context_of(session)
    project = context.project
    if args.starter:
        if args.name or args.from_session is not None or args.prompt:
            raise UsageError("--starter takes nothing else", hint="agent-studio eval new --starter")
        files = starter.suite(project)
        if not files:
            raise UsageError("the project has no agents, skills or hooks to try", hint="agent-studio eval new NAME")
        written = writing.write(project, files)
    else:
        if not args.name:
            raise UsageError("name the task", hint="agent-studio eval new fix-rounding, or --starter")
        if args.from_session is not None:
            if not args.from_session.strip():
                raise UsageError(
                    "--from-session is blank", hint="the beginning of a session's id: its transcript's name"
                )
            folders = places.config_folders(args.config_dir, session.variables, Path.home())
            recorded = from_session.find(project, folders, args.from_session)
            task = from_session.task(project, recorded, args.name)
        else:
            task = writing.blank(args.name, args.prompt or _PROMPT)
        written = writing.write(project, {args.name: [task]})
    tasks = [one for one in loading.load(project, context.config) if one.file.rpartition(":")[0] in written]
    problems = [] if args.starter else [
        Problem("edit", "its checks are a beginning: look at them before you rely on them", "agent-studio eval check",
                is_note=True)
    ]  # fmt: skip
    data = {"files": written, "tasks": [one.id for one in tasks]}
    return Result(data, lambda screen: _render(screen, written, tasks), problems=problems)


def _render(screen: Screen, written: list[str], tasks: list[Task]) -> None:
    for place in written:
        screen.mark("ok", f"wrote {place}")
    screen.line(f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}: {', '.join(one.id for one in tasks[:6])}"
                f"{' and more' if len(tasks) > 6 else ''}")  # noqa: PLR2004  # fmt: skip
    screen.line("next: agent-studio eval check")
