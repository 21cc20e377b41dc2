"""`eval check`: tasks and checks that could not fail, found without any agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import ExitCode
from agent_studio.evals.runs import begin

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    shared.add_selection(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the checks where nothing was done, and name those that pass there."""
    context = shared.context_of(session)
    tasks = shared.selected(args, context)
    with working("looking at untouched starts"):
        found = begin.inspected(context, session.variables, tasks)
    rows: list[dict[str, Any]] = [{**one._asdict(), "sound": one.is_sound and not one.vacuous} for one in found]
    bad = [one for one in rows if not one["sound"]]
    problems = [Problem("vacuous", f"{len(bad)} of {len(rows)} tasks could not fail, or have checks that could not")]
    return Result(
        {"tasks": rows}, lambda screen: _render(screen, rows), ExitCode.FAILED if bad else ExitCode.DONE,
        problems if bad else [],
    )  # fmt: skip


def _render(screen: Screen, rows: list[dict[str, Any]]) -> None:
    for one in rows:
        screen.mark("ok" if one["sound"] else "bad", one["task"])
        if not one["can_fail"]:
            screen.told("bad", "  an agent that does nothing succeeds: every check passes at the start")
        for name in one["vacuous"]:
            screen.told("note", f"  vacuous, it passes before anything is done: {name}")
        for name in one["broken"]:
            screen.told("bad", f"  it is to hold all along, and does not at the start: {name}")
