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


_MOST_REPEATS = 1_000
_SETTLED = ("tasks", "tag", "candidate", "against", "backend", "model", "seed", "keep", "allow_vacuous")


def done(
    args: argparse.Namespace, session: Session, context: Context, against: str | None, *, has_two_sides: bool
) -> Done:
    """Make the attempts, or those that are left of a run."""
    parallel = shared.positive("--parallel", args.parallel, int(context.config["evals.parallel"]))
    if args.repeats is not None:
        shared.positive("--repeats", args.repeats, 1)
        if args.repeats > _MOST_REPEATS:
            raise UsageError(f"--repeats {args.repeats} is more than {_MOST_REPEATS}", hint="as a task's own repeats")
    with working("making attempts") as tell:
        if args.resume is not None:
            chosen = _chosen(args, context, has_two_sides=has_two_sides)
            return begin.resume(
                context, session.variables, chosen, loading.load(context.project, context.config), parallel,
                lambda made, total, _: tell(made, total),
                None if args.limit_usd is None else shared.limit_usd(args, context), args.repeats,
                unconfined=args.unconfined,
            )  # fmt: skip
        asked = begin.Asked(
            shared.selected(args, context), begin.resolved(context.project, args.candidate),
            None if against is None else begin.resolved(context.project, against), shared.backend(args, context),
            args.model or context.config["evals.model"], shared.limit_usd(args, context), parallel, args.repeats,
            1 if args.seed is None else args.seed, args.keep, args.allow_vacuous, args.unconfined,
        )  # fmt: skip
        return begin.begin(context, session.variables, asked, lambda made, total, _: tell(made, total))


def _chosen(args: argparse.Namespace, context: Context, *, has_two_sides: bool) -> str:
    """Return the run to go on with: the newest of its kind where none is named."""
    if given := [name for name in _SETTLED if getattr(args, name, None)]:
        told = ", ".join("TASK" if name == "tasks" else f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"a run that goes on has these already: {told}", hint="leave them out, or begin anew")
    folder = begin.folder_of(context)
    if not args.resume:
        kinds = [
            one for one in headers.ids(folder) if (headers.read(folder.at(one)).against is not None) is has_two_sides
        ]
        if kinds:
            return kinds[-1]
    run = headers.find(folder, args.resume or None)
    if (headers.read(folder.at(run)).against is not None) is not has_two_sides:
        sides, verb = ("two sides", "compare") if not has_two_sides else ("one side", "run")
        raise UsageError(f"run {run} has {sides}", hint=f"agent-studio eval {verb} --resume {run}")
    return run
