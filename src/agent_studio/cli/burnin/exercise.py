"""`burnin exercise`: synthetic samples from the candidate's hooks, or from sessions that a command starts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.release import burnin_exercise
from agent_studio.release.sides import SOURCE, open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.burnin_exercise import Ran
    from agent_studio.release.sides import Sides

_ROUNDS, _ROUNDS_MAX = 10, 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; a command may follow `--`."""
    parser.usage = f"{parser.prog} [OPTIONS] [-- CMD [ARG ...]]"
    parser.add_argument(
        "--runs", type=int, default=_ROUNDS, metavar="N",
        help=f"how often each hook, or the command, is run (default: {_ROUNDS})",
    )  # fmt: skip


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run hooks or the command, and label what comes of it as synthetic."""
    if not 1 <= args.runs <= _ROUNDS_MAX:
        raise UsageError(f"--runs is {args.runs}", hint=f"from 1 to {_ROUNDS_MAX:,}")
    sides = open_sides(session.project, session.variables, session.overrides)
    if args.command:
        return _sessions(args, session, sides)
    with working("running hooks") as told:
        ran = burnin_exercise.replay(sides.staging, session.variables, args.runs, told)
    data = {
        "exercise": ran.exercise, "candidate": ran.candidate, "hooks": ran.hooks, "runs": ran.runs,
        "failures": ran.failures, "blocked": ran.blocked,
        "refused": [{"hook": name, "reason": reason} for name, reason in ran.refused],
    }  # fmt: skip
    problems = [Problem("not-run", f"{name} was not run: {reason}", is_note=True) for name, reason in ran.refused]
    if not ran.is_same:
        message = "a definition changed meanwhile: these runs count for no candidate"
        problems.append(Problem("changed", message, "run the command again"))
        return Result(data, lambda screen: _render(screen, ran), ExitCode.INSUFFICIENT, problems)
    return Result(data, lambda screen: _render(screen, ran), ExitCode.DONE, problems)


def _render(screen: Screen, ran: Ran) -> None:
    screen.mark("ok", f"{ran.runs} runs of {', '.join(ran.hooks)} on {ran.candidate[:12]}, recorded as synthetic")
    screen.line(f"  {ran.failures} failed, {ran.blocked} blocked; they count for at most half of each sample")


def _sessions(args: argparse.Namespace, session: Session, sides: Sides) -> Result:
    """Run the command again and again inside `run --env staging`; sessions that start meanwhile are synthetic."""
    overrides = [word for one in session.overrides for word in ("--set", one)]
    command = [
        sys.executable, "-m", "agent_studio", "run", "--env", str(SOURCE), "--project", str(session.project.path),
        *overrides, "--", *args.command,
    ]  # fmt: skip
    codes = []
    with burnin_exercise.synthetic(sides.staging) as name:
        for _ in range(args.runs):
            out = sys.stderr if session.common.json else None
            codes.append(subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, check=False).returncode)
    failed = sum(1 for code in codes if code)
    data = {"exercise": name, "runs": len(codes), "failures": failed, "exitCodes": sorted(set(codes))}
    problems = [Problem("failed", f"{failed} of {len(codes)} runs of the command failed")] if failed else []

    def render(screen: Screen) -> None:
        screen.mark("bad" if failed else "ok", f"{len(codes)} runs; sessions that started meanwhile are synthetic")
        screen.line("  they count once they are ingested: agent-studio ingest --env staging")

    return Result(data, render, ExitCode.FAILED if failed else ExitCode.DONE, problems)
