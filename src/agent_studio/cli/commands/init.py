"""Create an environment's folders, seed it, write missing configuration, and wire the recorder to Claude Code.

Running it again changes nothing that holds data. `--reset` (staging only) moves the data aside first
and says where.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli.output import Problem, Result, Screen, ask, warn, working
from agent_studio.environment.detect import VARIABLE, Environment
from agent_studio.environment.roots import EnvironmentRoot
from agent_studio.errors import ExitCode, UsageError
from agent_studio.isolation.secrets import baseline
from agent_studio.reasoning.client.install import CREATED, DIFFERS, KEPT, install
from agent_studio.release.backups.places import refuse_interrupted
from agent_studio.release.production import placing, whose
from agent_studio.staging import diagnosis
from agent_studio.staging.init import Item, Options, Report, initialise, preflight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.isolation.secrets.baseline import Baseline
    from agent_studio.reasoning.client.install import Placed

_PLANNED = {CREATED: "would be created", KEPT: "is there", DIFFERS: "is another one, and would be kept"}
_PLACED = {CREATED: "Created", KEPT: "kept", DIFFERS: "kept, it is another one"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `init`."""
    parser.add_argument("--reset", action="store_true", help="archive staging's data, then create it anew")
    parser.add_argument("--yes", action="store_true", help="do not ask before --reset")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
    parser.add_argument(
        "--with-activity", nargs="?", const=7, default=0, type=_days, metavar="DAYS",
        help="fill empty logs with days of generated activity, marked synthetic (default: 7)",
    )  # fmt: skip
    parser.add_argument("--no-hooks", action="store_true", help="leave the client's settings alone")
    parser.add_argument(
        "--target", metavar="DIR",
        help="with --env production: make DIR production, a git worktree of this checkout unless it is there; "
        "~/.claude or a plugin's folder for definitions alone",
    )  # fmt: skip
    told = "also place our skills and commands for Claude Code: party, elicit, evolve"
    parser.add_argument("--skills", action="store_true", help=told)
    parser.add_argument("--seed", type=int, default=1, help="seed of the generated activity (default: 1)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Initialise the chosen environment."""
    options = Options(args.reset, args.with_activity, args.seed, hooks=not args.no_hooks)
    placed = None
    if args.skills and (args.target is not None or whose.is_production(session.project)):
        raise UsageError("--skills is for the checkout that is worked in", hint="place them there, and promote them")
    if args.target is not None:
        placed, session = _of_target(args, session)
    arguments = (session.project, session.choice, session.variables, session.overrides, options)
    refuse_interrupted(EnvironmentRoot(session.project, session.choice.environment, "", {}))
    if args.dry_run:
        skills = install(session.project, dry_run=True) if args.skills else []
        return _plan(preflight(*arguments).path, options, skills)
    if args.reset:
        preflight(*arguments)
        ask(f"archive staging's data and create it anew in {session.project.path}?", yes=args.yes)
    accepted = baseline.load(session.project)
    skills = install(session.project) if args.skills else []  # first, so that they are in the index
    with working(f"Initialising {session.choice.environment}"):
        report = initialise(*arguments)
        if placed is not None:
            placing.note_baseline(placed)
    problems = _problems(session, report, skills, accepted)
    if report.failure:
        problems.append(Problem(report.failure.code, report.failure.message, report.failure.hint))
    code = report.failure.exit_code if report.failure else ExitCode.DONE
    _note(session, report)
    with_option = "" if VARIABLE in session.variables else f" --env {session.choice.environment}"
    return Result(_data(report, skills), lambda screen: _render(screen, report, skills, with_option), code, problems)


def _problems(session: Session, report: Report, skills: Sequence[Placed], accepted: Baseline) -> list[Problem]:
    """Return what was left out or kept as it is, and what git would carry to others."""
    return [
        *(_differs(one.path) for one in skills if one.state == DIFFERS),
        *(
            Problem(
                "secret",
                f"{found.path} holds a credential ({found.kind}); it was kept out of the index",
                "take it out and revoke it; agent-studio scan says where it stands",
            )
            for found in accepted.unanswered(report.secrets)
        ),
        *(Problem("skipped", f"{path} was not indexed: {reason}") for path, reason in report.skipped),
        *(Problem(found.code, found.message, found.fix) for found in diagnosis.committed(session.project)),
    ]


def _differs(place: object) -> Problem:
    return Problem(
        "differs", f"{place} is not as we would write it, and was kept",
        "remove it and run the command again for ours", is_note=True,
    )  # fmt: skip


def _of_target(args: argparse.Namespace, session: Session) -> tuple[placing.Placed, Session]:
    """Make a folder production, and return it with a session of it."""
    if session.choice.environment is not Environment.PRODUCTION:
        raise UsageError("--target is for production", hint="agent-studio init --env production --target DIR")
    if args.dry_run:
        raise UsageError("--target has no dry run", hint="it makes DIR and writes release.target into config.yaml")
    made = placing.place(session.project, args.target)
    for note in made.notes:
        warn(note)
    session.common.project = str(made.production.path)
    return made, session.anew()


def _note(session: Session, report: Report) -> None:
    if context := session.sound_context:
        items = [*report.items, *report.activity]
        created = sum(item.created for item in items)
        log.info(
            context, "environment.initialised", created=created, kept=len(items) - created,
            archived=report.archived is not None, complete=report.failure is None,
        )  # fmt: skip


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 90:  # noqa: PLR2004 - said in the message
        raise argparse.ArgumentTypeError("must be from 1 to 90 days")
    return int(text)


def _plan(root: object, options: Options, skills: Sequence[Placed]) -> Result:
    action = "archive the data in" if options.reset else "create what is missing in"
    text = f"would {action} {root}; nothing was changed"
    data = {"root": str(root), "plan": text, "skills": [{"file": str(one.path), "state": one.state} for one in skills]}

    def render(screen: Screen) -> None:
        for one in skills:
            screen.mark("none", f"{one.path}: {_PLANNED[one.state]}")
        screen.line(text)

    return Result(data, render)


def _data(report: Report, skills: Sequence[Placed]) -> dict[str, object]:
    items = [*report.items, *report.activity]
    placed = [str(one.path) for one in skills if one.state == CREATED]
    there = [str(one.path) for one in skills if one.state != CREATED]
    return {
        "root": str(report.root),
        "created": [*(str(item.path) for item in items if item.created), *placed],
        "kept": [*(str(item.path) for item in items if not item.created), *there],
        "archived": str(report.archived) if report.archived else None,
        "artifacts": report.rows,
        "testArtifactsCreated": report.test_artifacts,
        "recorder": report.recorder.kind if report.recorder else None,
        "settings": [{"file": change.name, "changed": change.changed} for change in report.wiring],
    }


def _render(screen: Screen, report: Report, skills: Sequence[Placed], with_option: str) -> None:
    name = report.environment.title()
    screen.box(f"Agent-Studio {name} Environment Initialization")
    screen.line(f"\nEnvironment: {report.environment}\n")
    if report.archived:
        screen.mark("ok", f"Archived: {report.archived}\n")
    screen.line(f"Step 1: Creating {report.environment} directories...")
    for item in report.folders:
        screen.mark("ok", f"{_verb(item)}: {item.path}")
    seeded = "test data" if report.environment is Environment.STAGING else "data"
    screen.line(f"\nStep 2: Seeding {seeded}...")
    if report.index:
        verb = "Copied" if report.index.created else "kept"
        screen.mark("ok", f"{verb} KB index ({report.index.size_bytes} bytes)")
    for item in report.files:
        screen.mark("ok", f"{_verb(item)}: {item.path.name}")
    if report.test_artifacts:
        screen.mark("ok", f"Created: {report.test_artifacts} test artifacts in context/artifacts")
    for item in report.activity:
        verb = "Generated activity" if item.created else "kept"
        screen.mark("ok", f"{verb}: {item.path.name}")
    for item in report.project_files:
        screen.mark("ok", f"{_verb(item)}: {item.path.name}")
    _render_recording(screen, report)
    for one in skills:
        screen.mark("ok" if one.state != DIFFERS else "none", f"{_PLACED[one.state]}: {one.path}")
    screen.line()
    if report.failure:
        screen.mark("bad", f"Initialization failed: {report.failure.message}")
        screen.line("\nWhat is listed above is in place. Mend the cause and run the command again.")
        return
    _render_ready(screen, name, seeded, with_option)


def _render_recording(screen: Screen, report: Report) -> None:
    if report.recorder is None:
        return
    screen.line("\nStep 3: Wiring Claude Code...")
    screen.mark("ok", f"Recorder in place ({report.recorder.kind})")
    for change in report.wiring:
        if change.before is None and change.after is not None:  # all of it is ours: nobody has to find our lines in it
            lines = len(change.after.splitlines())
            screen.line(f"  {change.name} is new, {lines} lines; agent-studio hooks uninstall takes it away")
        else:
            for line in change.diff.splitlines():
                screen.line(f"  {line}")
        screen.mark("ok", f"{'Wired' if change.changed else 'kept'}: {change.name}")
    if not report.wiring:
        screen.mark("none", "Settings left alone (--no-hooks)")


def _render_ready(screen: Screen, name: str, seeded: str, with_option: str) -> None:
    screen.box(f"{name} Environment Ready!")
    screen.line()
    screen.mark("ok", "Directory structure created")
    screen.mark("ok", f"{seeded.capitalize()} seeded")
    screen.mark("ok", "Log files initialized")
    screen.line("\nNext steps:")
    screen.line(f"  1. Run smoke tests: agent-studio smoke{with_option}")
    screen.line(f"  2. Run full test suite: agent-studio test{with_option}")
    screen.line(f"  3. Check monitoring: agent-studio monitor --env {name.lower()}")


def _verb(item: Item) -> str:
    if not item.created:
        return "kept"
    return "Added to" if item.was_there else "Created"
