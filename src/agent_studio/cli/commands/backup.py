"""Keep an environment's data as it is now, verify what was kept, put it back, and remove what is old.

Knowledge, metrics, memory, sidecars, sessions and context are in a backup; evidence, flags and the history of releases
are in none and never go back. Production's data is that of release.target, where there is one. Exit code 8 when a
backup is not what was backed up.

  agent-studio backup create --reason "before the workshop" --env staging
  agent-studio backup verify --env staging
  agent-studio backup restore 20260131T093000.000Z-0a1b2c3d --env staging
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, ask, working
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, UsageError
from agent_studio.release.backups import backup, places, pruning, repairing, restore, verifying
from agent_studio.release.production import history, whose
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.release.backups.pruning import Pruned
    from agent_studio.release.backups.restore import Plan

_LISTED = 10
_DRY = "nothing was changed (--dry-run)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    create = verbs.add_parser("create", help="back the data up as it is now")
    create.add_argument("--reason", metavar="TEXT", default="", help="why; kept with it")
    verify = verbs.add_parser("verify", help="read a backup again and restore it on trial")
    verify.add_argument("backup", metavar="ID", nargs="?", default="", help="which (default: the newest)")
    verify.add_argument(
        "--repair", action="store_true",
        help="first put a damaged journal of backups aside, and begin one that names every backup that is whole",
    )  # fmt: skip
    put_back = verbs.add_parser("restore", help="put a backup in the place of the data")
    put_back.add_argument("backup", metavar="ID", help="which: agent-studio backup list")
    put_back.add_argument("--wait", action="store_true", help="wait until no session runs")
    verbs.add_parser("list", help="what was backed up, oldest first")
    prune = verbs.add_parser("prune", help="remove old backups")
    prune.add_argument("backups", metavar="ID", nargs="*", default=[], help="only these (default: all that are old)")
    prune.add_argument(
        "--keep", type=int, default=pruning.KEEP, metavar="N",
        help=f"how many of the newest stay (default: {pruning.KEEP})",
    )  # fmt: skip
    prune.add_argument("--older-than", type=int, default=0, metavar="DAYS", help="remove only those older than that")
    for changing in (put_back, prune):
        changing.add_argument("--dry-run", action="store_true", help="show what would be done and change nothing")
        changing.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Carry out one sub-verb."""
    verbs = {"create": _create, "verify": _verify, "restore": _restore, "list": _list, "prune": _prune}
    return verbs[args.subverb](args, session)


def _context(session: Session) -> Context:
    """Return the environment whose data is meant: production's may be that of another checkout."""
    is_target = whose.is_production(session.project)
    if session.choice.environment is Environment.PRODUCTION and not is_target:
        return open_sides(session.project, session.variables, session.overrides).live()
    return session.context


def _home(session: Session) -> Project:
    """Return the project that keeps the history of releases."""
    with suppress(AgentStudioError):
        return whose.owner(session.project) or session.project
    return session.project


def _create(args: argparse.Namespace, session: Session) -> Result:
    context = _context(session)
    with working("Backing up"):
        made = backup.create(context, args.reason, home=_home(session))
    data = {
        "backup": made.id, "files": len(made.data.files), "bytes": made.size_bytes, "verdict": "PASS",
        "reason": made.reason, "candidate": made.candidate, "release": made.release,
        "ledger": made.data.ledger._asdict(), "leftOut": made.data.left_out,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.mark("ok", f"Backup {made.id}: {len(made.data.files)} files, {made.size_bytes:,} bytes, each read back")

    return Result(data, render, problems=_notes(made.notes))


def _notes(notes: list[str]) -> list[Problem]:
    return [Problem("note", note, is_note=True) for note in notes]


def _verify(args: argparse.Namespace, session: Session) -> Result:
    root = _context(session).root
    notes = _repaired(root) if args.repair else []
    held = backup.listed(root)
    if not held and not args.backup:
        raise UsageError(f"{root.environment} has no backup", hint="make one: agent-studio backup create")
    with working("Verifying"):
        found = verifying.verify(root, args.backup or str(held[-1]["id"]))
    problems = [Problem("integrity", fault, "agent-studio backup list: use another") for fault in found.faults]
    data = {
        "backup": found.id, "files": found.files, "bytes": found.size_bytes,
        "verdict": "PASS" if found.passed else "FAIL", "faults": found.faults,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        if found.passed:
            told = f"{found.files} files, {found.size_bytes:,} bytes, restored on trial byte for byte"
            screen.mark("ok", f"Backup {found.id}: {told}")
        else:
            screen.mark("bad", f"Backup {found.id} is not what was backed up")

    code = ExitCode.DONE if found.passed else ExitCode.INTEGRITY
    return Result(data, render, code, [*problems, *_notes([*notes, *found.notes])])


def _repaired(root: EnvironmentRoot) -> list[str]:
    """Repair the journal and return what there is to say of it."""
    with working("Repairing"):
        done = repairing.repair(root)
    if done is None:
        return ["the journal of backups is whole: there was nothing to repair"]
    kept = f"it is kept as {done.aside}" if done.aside else "it was gone"
    return [
        f"{done.fault}: {kept}; the new one names {len(done.kept)} backups, as their manifests were found",
        *(f"{own} is in it no more: {why}" for own, why in done.left_out.items()),
    ]


def _restore(args: argparse.Namespace, session: Session) -> Result:
    context = _context(session)
    root, others = context.root, list(restore.shared_by(context))
    whose_data = " and ".join((str(context.environment), *others))
    if args.dry_run:
        with places.alone(root, "a restore is planned"):
            found = restore.plan(root, args.backup)
        return Result(_restored(found, None, others), lambda screen: _render_plan(screen, found, whose_data))
    if str(Environment.PRODUCTION) in {str(context.environment), *others} and not args.yes:
        told = f"the data of {whose_data} is one" if others else "it is production's data"
        raise UsageError(f"production's data is restored with --yes only: {told}", hint="see first: --dry-run")

    def agree(found: Plan) -> None:
        ask(f"put backup {found.backup.id} in the place of the data of {whose_data} in {root.path}?", yes=args.yes)

    with working("Restoring"):
        done = restore.restore(context, args.backup, agree, wait=args.wait)

    def render(screen: Screen) -> None:
        screen.mark("ok", f"Data of {whose_data} is that of backup {done.backup.id}")
        screen.line(f"  {done.written} files written, {done.removed} removed")
        screen.line(f"  the way back: agent-studio backup restore {done.before} --env {root.environment}")

    found = restore.Plan(done.backup, done.differences)
    return Result(_restored(found, done.before, others), render, problems=_notes(done.notes))


def _restored(found: Plan, before: str | None, others: list[str]) -> dict[str, Any]:
    return {
        "backup": found.backup.id, "files": len(found.backup.data.files), "bytes": found.backup.size_bytes,
        "verdict": "PASS", "written": [f"{one.kind}/{one.path}" for one in found.differences.write],
        "removed": [f"{kind}/{path}" for kind, path in found.differences.remove], "before": before,
        "sharedBy": others, "dryRun": before is None,
    }  # fmt: skip


def _render_plan(screen: Screen, found: Plan, whose_data: str) -> None:
    write, remove = found.differences.write, found.differences.remove
    told = f"{len(write)} files would be written, {len(remove)} removed, {found.differences.same} are as they were"
    screen.mark("ok", f"Backup {found.backup.id} verifies: in the data of {whose_data}, {told}")
    names = [*(f"write {one.kind}/{one.path}" for one in write), *(f"remove {kind}/{path}" for kind, path in remove)]
    for name in names[:_LISTED]:
        screen.line(f"  {name}")
    if len(names) > _LISTED:
        screen.line(f"  and {len(names) - _LISTED} more")
    screen.line(_DRY)


def _list(args: argparse.Namespace, session: Session) -> Result:
    del args
    root = _context(session).root
    rows = [
        {"backup": one["id"], "time": one["time"], "reason": one["reason"], "by": one["by"],
         "files": one["files"], "bytes": one["bytes"]}
        for one in backup.listed(root)
    ]  # fmt: skip

    def render(screen: Screen) -> None:
        if not rows:
            screen.line(f"{root.environment} has no backup: agent-studio backup create")
            return
        names = ("backup", "by", "files", "bytes", "reason")
        screen.columns(names, [[row[name] for name in names] for row in rows], numbers={"files", "bytes"})

    return Result({"backups": rows}, render)


def _named(session: Session) -> set[str]:
    """Return the backups that the history of releases names; production's is that of who promotes there."""
    project, held = session.project, whose.read(session.project)
    if held is not None:
        project = held.project
        if not project.path.is_dir():
            raise IntegrityError(
                f"this is production of {project.path}, which is not there; its history says what has to stay",
                hint="bring it back, or promote from another checkout first",
            )
    return {str(one[name]) for one in history.read(project).records for name in ("backup", "restored") if one.get(name)}


def _prune(args: argparse.Namespace, session: Session) -> Result:
    if args.keep < 1 or args.older_than < 0:
        raise UsageError("--keep is at least 1, --older-than at least 0", hint="the newest backup always stays")
    root = _context(session).root
    named = _named(session)

    def agree(found: Pruned) -> None:
        if found.gone:
            ask(f"remove {len(found.gone)} backups of {root.environment}?", yes=args.yes)

    found = pruning.prune(
        root, agree, keep=args.keep, older_than_days=args.older_than, named=named, only=args.backups,
        dry_run=args.dry_run,
    )  # fmt: skip
    data = {
        "removed": found.gone, "kept": [{"backup": own, "reason": why} for own, why in found.kept.items()],
        "left": found.left, "pieces": found.pieces, "dryRun": args.dry_run,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        done = "would go" if args.dry_run else "are gone"
        screen.mark("ok", f"{len(found.gone)} backups {done}, {found.left} stay")
        for own, why in found.kept.items():
            screen.line(f"  {own} stays: {why}")
        if args.dry_run:
            screen.line(_DRY)

    return Result(data, render)
