"""`elicit apply`: make the changes that a run offers, in the file as the run saw it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cli.elicit import inputs
from agent_studio.cli.output import Problem, Result, harmless_lines
from agent_studio.errors import ExitCode, UsageError
from agent_studio.reasoning.elicitation import applying, limits, store
from agent_studio.release.production import whose
from agent_studio.release.production.sides import open_sides
from agent_studio.release.production.target import SEPARATE

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.elicitation.applying import Applied


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="a run")
    parser.add_argument(
        "--finding", type=int, action="append", default=[], metavar="N",
        help="a finding; may be repeated (default: all that are offered)",
    )  # fmt: skip
    parser.add_argument("--session", default="", metavar="NAME", help="the session, where the feature is rolled out")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Make the changes; exit code 5 when the file is not as the run saw it, 1 when there is nothing to change."""
    context = session.context
    limits.require_on(context, limits.session_of(args.session, session.variables))
    began = store.load(context, args.id).began
    file = began["file"]
    if file:
        _refuse_production(file, session)
    applied = applying.apply(context, args.id, args.finding, dry_run=args.dry_run)
    data = {
        "id": args.id, "file": file or None, "applied": applied.findings, "dryRun": args.dry_run,
        "left": [{"finding": number, "reason": why} for number, why in applied.left], "diff": applied.difference,
        "text": None if file else applied.data.decode(),
    }  # fmt: skip
    problems = [Problem("left", f"finding {number} was left out: {why}", is_note=True) for number, why in applied.left]
    if not file and began["name"] != inputs.STDIN:
        told = f"{began['name']} is outside the project: it is not changed, its text is printed"
        problems.append(Problem("outside", told, is_note=True))
    if not applied.findings:
        problems.append(Problem("nothing", "there is nothing to apply", store.command(context, "show", args.id)))
    code = ExitCode.DONE if applied.findings else ExitCode.FAILED
    return Result(data, lambda screen: _render(screen, applied, file, dry_run=args.dry_run), code, problems)


def _refuse_production(file: str, session: Session) -> None:
    """Raise `UsageError` for a file of production's target: what is live changes by promotion alone."""
    if whose.is_production(session.project):
        raise UsageError(f"{session.project.path} is production", hint="apply it in the checkout that is worked in")
    target = open_sides(session.project, session.variables, session.overrides, looking=True).target
    place = Path(session.project.path, file).resolve()
    around = target.tree.around or target.tree.definitions
    if target.separation == SEPARATE and place.is_relative_to(around):
        raise UsageError(f"{file} is production's ({around})", hint="what is live changes by promotion alone")


def _render(screen: Screen, applied: Applied, file: str, *, dry_run: bool) -> None:
    if not applied.findings:
        return
    if not file:
        screen.verbatim(applied.data)
        return
    screen.block(harmless_lines(applied.difference.rstrip("\n")))
    numbers = ", ".join(map(str, applied.findings))
    screen.mark("none" if dry_run else "ok", f"{'would change' if dry_run else 'changed'} {file}: finding {numbers}")
