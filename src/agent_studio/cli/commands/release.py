"""List what was live, show a release, verify store, history and production, remove what no release needs.

Exit code of verify: 8 when history, a manifest or an object is damaged, 6 when a switch was interrupted, 5 when
production differs from the live release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, ask, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.release import prune, verify
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, whose
from agent_studio.release.production.sides import open_sides, refuse_development
from agent_studio.release.signing.signoff import WAIVES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.production.history import Release
    from agent_studio.release.prune import Pruned

_SHORTEST = 6
_TOLD = frozenset(("gate", "signed", "nonces"))
"""Fields of a line of the history that are told in words."""
_WORDS = {True: "healthy", False: "failed", None: "not proven"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    verbs.add_parser(
        "list", help="what was live, oldest first", description="List every release that was live, oldest first."
    )
    show = verbs.add_parser(
        "show", help="what a release consists of, and on whose word it went live",
        description="Show a release's files and all that its line of the history says.",
    )  # fmt: skip
    show.add_argument("release", metavar="HASH", nargs="?", help="its first digits (default: what is live)")
    verbs.add_parser(
        "verify", help="read history, manifests, objects and production again",
        description="Read the history's chain, every manifest, every object and production's files again.",
    )  # fmt: skip
    old = verbs.add_parser(
        "prune", help="remove bytes that no release, evidence or recent candidate needs",
        description="Remove from the store what nothing needs: releases that failed long ago, forgotten candidates.",
    )  # fmt: skip
    old.add_argument(
        "--keep", type=int, default=prune.KEEP, metavar="N",
        help=f"how many of the last releases stay whatever became of them (default: {prune.KEEP})",
    )  # fmt: skip
    old.add_argument("--dry-run", action="store_true", help="show what would go and change nothing")
    old.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Carry out one sub-verb."""
    refuse_development(session.choice)
    whose.refuse_production(session.project)
    return {"list": _list, "show": _show, "verify": _verify, "prune": _prune}[args.subverb](args, session)


def _row(one: Release, current: Release | None) -> dict[str, Any]:
    return {
        "release": one.release, "candidate": one.candidate, "id": one.id, "step": one.step, "time": one.time,
        "healthy": one.healthy, "live": current is not None and one.id == current.id,
    }  # fmt: skip


def _list(args: argparse.Namespace, session: Session) -> Result:
    past = history.read(session.project)
    rows = [_row(one, past.current) for one in past.releases]

    def render(screen: Screen) -> None:
        if not rows:
            screen.line("Nothing was promoted yet: agent-studio candidate create")
            return
        screen.table(
            ("release", "candidate", "step", "time", "health", "live"),
            [
                (one["release"][:12], one["candidate"][:12], one["step"], one["time"], _WORDS[one["healthy"]],
                 "live" if one["live"] else "")
                for one in rows
            ],
        )  # fmt: skip

    return Result({"releases": rows}, render)


def _show(args: argparse.Namespace, session: Session) -> Result:
    past = history.read(session.project)
    one = _named(past, args.release)
    files = [
        {"path": path, "mode": entry.mode, "sha256": entry.sha256}
        for path, entry in Store(session.project).manifest(one.release).items()
    ]
    record = {name: value for name, value in one.record.items() if not name.startswith("_")}

    def render(screen: Screen) -> None:
        screen.line(f"Release {one.release} ({one.step}, {_WORDS[one.healthy]})")
        for name, value in record.items():
            if value not in ("", [], {}, None) and name not in _TOLD:
                screen.line(f"  {name}: {_plain(value)}")
        for line in _said(record):
            screen.line(f"  {line}")
        screen.table(("mode", "sha256", "path"), [(file["mode"], file["sha256"][:12], file["path"]) for file in files])

    return Result({**_row(one, past.current), "record": record, "files": files}, render)


def _plain(value: Any) -> str:
    """Return a value of a record in words."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name} ({_plain(one)})" if isinstance(one, dict | list) else f"{name} {_plain(one)}"
            for name, one in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return {True: "on", False: "off", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _said(record: Mapping[str, Any]) -> Iterator[str]:
    """Say on whose word a release went live, and what was waived for it."""
    for one in record.get("signed") or ():
        if WAIVES in one:
            yield f"waived: {one[WAIVES]}, by {one['who']} as {one['role']}: {one['why']} ({one['key']})"
        else:
            yield f"signed as {one['role']}: {one['who']} ({one['key']})"


def _named(past: history.History, prefix: str | None) -> Release:
    if prefix is None:
        if past.current is None:
            raise UsageError("nothing was promoted yet", hint="agent-studio promote")
        return past.current
    fit = {one.release: one for one in past.releases if one.release.startswith(prefix)}
    if len(prefix) < _SHORTEST or len(fit) != 1:
        raise UsageError(f"{prefix!r} names no release", hint=f"agent-studio release list; at least {_SHORTEST} digits")
    found = next(iter(fit.values()))
    if found.release in past.pruned:
        raise UsageError(f"the files of release {found.release[:12]} were removed", hint="agent-studio release list")
    return found


def _verify(args: argparse.Namespace, session: Session) -> Result:
    sides = open_sides(session.project, session.variables, session.overrides)
    found = verify.verify(sides.project, sides.target.tree)
    problems = [Problem("integrity", fault) for fault in found.damage]
    if found.interrupted:
        problems.append(Problem("recovery", "a promotion or rollback was interrupted", "agent-studio recover"))
    problems += [
        Problem("drift", f"{one.path} in production is not the release's", "agent-studio promote --adopt, or --discard")
        for one in found.drift
    ]
    problems += [Problem("drift", told) for told in found.unsettled.values()]
    code = (
        ExitCode.INTEGRITY if found.damage
        else ExitCode.RECOVERY if found.interrupted
        else ExitCode.BUSY if found.drift or found.unsettled else ExitCode.DONE
    )  # fmt: skip
    data = {
        "releases": found.releases, "objects": found.objects, "damage": found.damage,
        "interrupted": found.interrupted, "drift": [*(one.path for one in found.drift), *found.unsettled],
        "head": {"seq": found.head.seq, "hash": found.head.hash},
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.line(f"{found.releases} releases, {found.objects} objects, {found.head.seq} lines of history")
        screen.mark("bad" if code else "ok", "not as recorded" if code else "all is as it was recorded")

    return Result(data, render, code, problems)


def _prune(args: argparse.Namespace, session: Session) -> Result:
    if args.keep < 1:
        raise UsageError("--keep is at least 1", hint="what is live always stays")

    def agree(found: Pruned) -> None:
        if found.objects or found.candidates:
            ask(f"remove {found.objects} objects from the store?", yes=args.yes)

    sides = open_sides(session.project, session.variables, session.overrides, looking=True)
    held = whose.read(sides.production)
    with working("Cleaning up"):
        found = prune.prune(
            session.project, agree, keep=args.keep, baseline=held.baseline if held else "", dry_run=args.dry_run
        )
    data = {**found._asdict(), "dryRun": args.dry_run}

    def render(screen: Screen) -> None:
        done = "would go" if args.dry_run else "are gone"
        screen.mark(
            "ok",
            f"{found.objects} objects {done}, {found.left} stay; {len(found.releases)} releases and "
            f"{len(found.candidates)} candidates {done}",
        )
        for name in found.releases:
            screen.line(f"  release {name[:12]}: it never proved itself and has no evidence")
        if args.dry_run:
            screen.line("nothing was changed (--dry-run)")

    return Result(data, render)
