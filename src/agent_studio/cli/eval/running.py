"""What `eval run` and `eval compare` do alike: begin or go on, show progress, never leave anything running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.eval import shared
from agent_studio.cli.output import working
from agent_studio.errors import UsageError
from agent_studio.evals.runs import begin
from agent_studio.evals.runs import header as headers
from agent_studio.evals.tasks import loading

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.evals.runs.begin import Done


def done(args: argparse.Namespace, session: Session, context: Context, against: str | None) -> Done:
    """Make the attempts, or those that are left of a run."""
    parallel = shared.positive("--parallel", args.parallel, int(context.config["evals.parallel"]))
    if args.repeats is not None:
        shared.positive("--repeats", args.repeats, 1)
    with working("making attempts") as tell:
        if args.resume is not None:
            return _resumed(args, session, context, parallel, lambda made, total, _: tell(made, total))
        asked = begin.Asked(
            shared.selected(args, context), begin.resolved(context.project, args.candidate),
            None if against is None else begin.resolved(context.project, against), shared.backend(args, context),
            args.model or context.config["evals.model"], shared.limit_usd(args, context), parallel, args.repeats,
            args.seed, args.keep, args.allow_vacuous,
        )  # fmt: skip
        return begin.begin(context, session.variables, asked, lambda made, total, _: tell(made, total))


def _resumed(args: argparse.Namespace, session: Session, context: Context, parallel: int, tell: begin.Tell) -> Done:
    if args.tasks or args.tag or args.candidate:
        raise UsageError("a run that goes on has its tasks and sides already", hint="leave out what chooses them")
    run = headers.find(begin.folder_of(context), args.resume or None)
    limit = None if args.limit_usd is None else shared.limit_usd(args, context)
    tasks = loading.load(context.project, context.config)
    return begin.resume(context, session.variables, run, tasks, parallel, tell, limit, args.repeats)
