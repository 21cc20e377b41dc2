"""`cost import`: from transcripts into the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.cost import selection
from agent_studio.cli.cost.report import reading_data, reading_problems, reconciliation_data, reconciliation_problems
from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.importing import Imported


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    selection.add_folders(parser)
    parser.add_argument(
        "--all-sessions", action="store_true",
        help="also sessions that are not known to be this environment's (always so with --config-dir)",
    )  # fmt: skip


def run(args: argparse.Namespace, session: Session) -> Result:
    """Import, and say what was added and how it compares with the client's own count."""
    from agent_studio.cost import importing, pricing  # noqa: PLC0415 - only what the chosen sub-verb needs

    context = session.context
    found = selection.folders(args, session)
    every = args.all_sessions or bool(args.config_dir)
    with working("reading transcripts"):
        done = importing.run(context, found.folders, pricing.table(context), project=found.project, every_session=every)
    problems = reading_problems(done.reading)
    if done.reconciliation:
        problems += reconciliation_problems(done.reconciliation)
    if done.refused:
        problems.append(Problem(
            "original", f"{done.refused} lines of the original's ledger are not as they were written: not taken",
            "agent-studio cost verify FILE names the first of them",
        ))  # fmt: skip
    if done.elsewhere:
        problems.append(
            Problem(
                "elsewhere",
                f"{len(done.elsewhere)} sessions are not known to be {context.environment}'s and were left out",
                "--all-sessions takes them too",
            )
        )
    if not done.reading.files:
        where = f"of {found.project} " if found.project else ""
        problems.append(Problem(
            "no-transcripts", f"there are no transcripts {where}in {', '.join(found.folders)}",
            "--config-dir DIR names another folder, --all-projects takes every project",
        ))  # fmt: skip
    data = {
        "responses": done.responses, "written": done.written, "amended": done.amended,
        "sessionsElsewhere": len(done.elsewhere), "refusedLines": done.refused,
        "transcripts": reading_data(done.reading),
    }  # fmt: skip
    if done.reconciliation:
        data["reconciliation"] = reconciliation_data(done.reconciliation)
    return Result(data, lambda screen: _render(screen, done), ExitCode.DONE, problems)


def _render(screen: Screen, done: Imported) -> None:
    amended = f", {done.amended} of them amend one before" if done.amended else ""
    reading = done.reading
    screen.mark("ok", f"{done.written} responses added to the ledger{amended}")
    screen.line(f"  {reading.changed} of {reading.files} transcripts were new or had grown")
    if done.reconciliation and done.reconciliation.sessions:
        found = done.reconciliation
        screen.line(f"  the client's own totals: {found.agreed} of {found.sessions} closed sessions agree")
