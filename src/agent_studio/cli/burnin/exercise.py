"""`burnin exercise`: synthetic samples from the candidate's hooks, or from sessions that a command starts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.release.burnin import exercise
from agent_studio.release.production.sides import SOURCE, open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.burnin.exercise import Ran
    from agent_studio.release.production.sides import Sides

_ROUNDS, _ROUNDS_MAX = 10, 10_000
_STDERR = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; a command may follow `--`."""
    parser.usage = f"{parser.prog} [OPTIONS] [-- CMD [ARG ...]]"
    parser.add_argument(
        "--runs", type=int, metavar="N",
        help=f"how often each hook, or the command, is run (default: {_ROUNDS}, a command once)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say which hooks would be run")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run hooks or the command, and label what comes of it as synthetic."""
    if args.runs is None:
        args.runs = 1 if args.command else _ROUNDS
    if not 1 <= args.runs <= _ROUNDS_MAX:
        raise UsageError(f"--runs is {args.runs}", hint=f"from 1 to {_ROUNDS_MAX:,}")
    sides = open_sides(session.project, session.variables, session.overrides)
    if args.command and args.dry_run:
        raise UsageError("--dry-run is about the candidate's hooks", hint="leave -- CMD out")
    if args.command:
        return _sessions(args, session, sides)
    if args.dry_run:
        return _would_run(args, sides)
    with working("running hooks") as told:
        ran = exercise.replay(sides.staging, session.variables, args.runs, told)
    data = {
        "exercise": ran.exercise, "candidate": ran.candidate, "hooks": [one._asdict() for one in ran.hooks],
        "runs": ran.runs, "failures": ran.failures, "blocked": ran.blocked,
        "refused": [{"hook": name, "reason": reason} for name, reason in ran.refused], "dryRun": False,
    }  # fmt: skip
    problems = [Problem("not-run", f"{name} was not run: {reason}", is_note=True) for name, reason in ran.refused]
    problems += [
        Problem("failed", f"{one.hook} failed in {one.failures} of {one.runs} runs: {one.message}")
        for one in ran.hooks
        if one.failures
    ]
    if not ran.is_same:
        message = "a definition changed meanwhile: these runs count for no candidate"
        problems.append(Problem("changed", message, "run the command again"))
        return Result(data, lambda screen: _render(screen, ran), ExitCode.INSUFFICIENT, problems)
    code = ExitCode.FAILED if ran.failures else ExitCode.DONE
    return Result(data, lambda screen: _render(screen, ran), code, problems)


def _would_run(args: argparse.Namespace, sides: Sides) -> Result:
    """Say what would be run; hooks have effects."""
    found = exercise.hooks_of(sides.staging)
    fit = [one.name for one in found if not one.refusal]
    data = {
        "hooks": fit, "runs": args.runs * len(fit), "dryRun": True,
        "refused": [{"hook": one.name, "reason": one.refusal} for one in found if one.refusal],
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.line(f"{args.runs} times each would be run: {', '.join(fit) or 'nothing'}")
        screen.line("nothing was run (--dry-run)")

    return Result(data, render)


def _render(screen: Screen, ran: Ran) -> None:
    names = ", ".join(one.hook for one in ran.hooks)
    mark = "bad" if ran.failures else "ok"
    screen.mark(mark, f"{ran.runs} runs of {names} on {ran.candidate[:12]}, recorded as synthetic")
    screen.line(f"  {ran.failures} failed, {ran.blocked} blocked; they count for at most half of each sample")


def _sessions(args: argparse.Namespace, session: Session, sides: Sides) -> Result:
    """Run the command again and again inside `run --env staging`; sessions that start meanwhile are synthetic."""
    overrides = [word for one in session.overrides for word in ("--set", one)]
    command = [
        sys.executable, "-m", "agent_studio", "run", "--env", str(SOURCE), "--project", str(session.project.path),
        *overrides, "--", *args.command,
    ]  # fmt: skip
    codes = []
    with exercise.synthetic(sides.staging) as name:
        for _ in range(args.runs):
            out = _STDERR if session.common.json else None  # the one JSON object stays alone on stdout
            codes.append(subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, check=False).returncode)
    failed = sum(1 for code in codes if code)
    data = {"exercise": name, "runs": len(codes), "failures": failed, "exitCodes": sorted(set(codes))}
    problems = [Problem("failed", f"{failed} of {len(codes)} runs of the command failed")] if failed else []

    def render(screen: Screen) -> None:
        screen.mark("bad" if failed else "ok", f"{len(codes)} runs; sessions that started meanwhile are synthetic")
        screen.line("  they count once they are ingested: agent-studio ingest --env staging")

    return Result(data, render, ExitCode.FAILED if failed else ExitCode.DONE, problems)
