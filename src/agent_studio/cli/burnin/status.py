"""`burnin status`: what was observed of the candidate, and what is still missing."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.cli.burnin import figures
from agent_studio.cli.output import Result, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.release.burnin import progress
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.burnin.progress import Burnin

CODES = {"PASS": ExitCode.DONE, "FAIL": ExitCode.FAILED, "INSUFFICIENT": ExitCode.INSUFFICIENT}
_LEAST_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--live", action="store_true", help="stay, and look again and again")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show where the burn-in stands; its verdict is the exit code."""
    if args.live and session.common.json:
        raise UsageError("--live is for people, --json for programs", hint="leave one of them out")
    if args.live:
        return Result({}, lambda screen: _watch(screen, session))
    with working("reading the journals"):
        found = progress.status(open_sides(session.project, session.variables, session.overrides))
    return Result(progress.data_of(found), lambda screen: _render(screen, found), CODES[found.verdict])


def _render(screen: Screen, found: Burnin) -> None:
    render(screen, found)
    if found.since is not None:
        screen.line("as evidence for the gate: agent-studio burnin report")


def render(screen: Screen, found: Burnin) -> None:
    """Draw a burn-in: since when, each requirement, and what it comes to."""
    screen.line(f"Burn-in of candidate {found.candidate[:12]}: {found.verdict}")
    if found.since is not None:
        screen.line(f"  counts from {clock.timestamp(found.since.at)}: {found.since.why}")
    screen.line(f"  {figures.terms(found)}")
    headings = ("requirement", "verdict", "seen", "limit", "still needed")
    screen.columns(headings, figures.rows(found), numbers={"seen", "limit"})
    screen.line(f"\n{found.message}")
    for note in figures.notes(found):
        screen.mark("note", note)


def _watch(screen: Screen, session: Session) -> None:
    from rich.live import Live  # noqa: PLC0415 - only for people who stay
    from rich.text import Text  # noqa: PLC0415

    if not screen.is_terminal:
        raise UsageError("--live needs a terminal", hint="leave --live out")
    with Live(console=screen.console(), auto_refresh=False, transient=True) as live, suppress(KeyboardInterrupt):
        while True:
            began = time.monotonic()
            again = session.anew()
            found = progress.status(open_sides(again.project, again.variables, again.overrides))
            lines = figures.lines(found, f"{clock.timestamp(clock.now())[:19]}Z  Ctrl-C ends")
            live.update(Text("\n".join(lines)), refresh=True)
            time.sleep(max(_LEAST_S, 3 * (time.monotonic() - began)))  # never more than a quarter of a processor
