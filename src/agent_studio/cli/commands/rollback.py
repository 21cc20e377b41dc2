"""Go back: 1 makes staging anew, 2 brings production to its last healthy release, 3 restores staging from a backup.

Level 2 makes staging anew too and runs the project's suite; with --git the checkout's last commit is reverted instead
of production. Where level 3 finds no backup, staging is disabled until init --reset. Data that is replaced is archived,
evidence stays, and a burn-in starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result, ask, working
from agent_studio.environment.detect import Environment
from agent_studio.errors import UsageError
from agent_studio.release import rollback
from agent_studio.release.production.sides import SOURCE, TO, open_sides_to_return, refuse_development
from agent_studio.release.rollback import REVERT, Options

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.rollback import RolledBack

_MARKS = {"PASS": "ok", "FAIL": "bad", "INSUFFICIENT": "none", "PLANNED": "none"}
_QUESTIONS = {
    1: "archive staging's data and make it anew?",
    2: "bring production back to its last healthy release, and make staging anew?",
    3: "archive staging, and disable it: there is no backup to restore?",
}
_BY_GIT = "revert the checkout's last commit, and make staging anew?"
_DRY = "nothing was changed (--dry-run)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rollback`."""
    parser.add_argument("--level", type=int, choices=(1, 2, 3), required=True, help="how far: 1, 2 or 3")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; kept in the history")
    parser.add_argument("--git", action="store_true", help="with level 2: revert the checkout's last commit instead")
    parser.add_argument("--backup", metavar="ID", default="", help="with level 3: the backup to restore")
    parser.add_argument("--wait", action="store_true", help="wait until no session runs")
    parser.add_argument("--dry-run", action="store_true", help="show the steps and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Go back."""
    refuse_development(session.choice)
    _check(args, session)
    session.acts_on(TO if args.level == REVERT and not args.git else SOURCE)
    sides = open_sides_to_return(session.project, session.variables, session.overrides)
    options = Options(args.level, args.reason.strip(), args.git, args.backup, args.wait, args.dry_run)

    def agree(told: str) -> None:
        question = f"archive staging and restore {told}?" if told else _QUESTIONS[args.level]
        ask(_BY_GIT if args.git else question, yes=args.yes)

    with working("Rolling back"):
        done = rollback.roll_back(sides, options, agree)
    data = {
        "release": done.release or None, "previous": done.previous or None, "wouldBe": done.would_be or None,
        "level": done.level,
        "smoke": {"passed": done.passed, "failed": done.failed}, "steps": [one._asdict() for one in done.steps],
        "backup": done.backup or None, "restored": done.restored or None, "dryRun": args.dry_run,
    }  # fmt: skip
    return Result(data, lambda screen: _render(screen, done, dry_run=args.dry_run), done.code)


def _check(args: argparse.Namespace, session: Session) -> None:
    if not args.reason.strip():
        raise UsageError("--reason is empty", hint="every rollback says why")
    if session.choice.environment is Environment.PRODUCTION and args.level != REVERT:
        raise UsageError(
            f"level {args.level} acts on staging, never on production",
            hint="production's way back is level 2; for staging: --env staging",
        )
    if args.git and args.level != REVERT:
        raise UsageError("--git belongs to level 2", hint="agent-studio rollback --level 2 --git --reason TEXT")
    if args.backup and args.level != rollback.NUCLEAR:
        raise UsageError(
            "--backup belongs to level 3", hint="agent-studio rollback --level 3 --backup ID --reason TEXT"
        )


def _render(screen: Screen, done: RolledBack, *, dry_run: bool) -> None:
    for one in done.steps:
        screen.mark(_MARKS[one.verdict], f"{one.name}: {one.message}")
    if done.release:
        moves = done.would_be and done.would_be != done.release
        screen.line(f"\nProduction is release {done.release}{f' and would be {done.would_be}' if moves else ''}")
    if dry_run:
        screen.line(_DRY)
