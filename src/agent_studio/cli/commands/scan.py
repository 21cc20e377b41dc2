"""Look for secrets in what would be seeded or released, in records, and in any file.

Without a path: the artifacts that init reads (seeds), the files of the candidate, and the environment's records. Tokens
of a provider's form block: exit code 1. URLs with a password, authorization headers and opaque values given to a name
such as token are warned of. No value is ever shown or kept.

  agent-studio scan
  agent-studio scan --only candidate
  agent-studio scan docs .env.example
  agent-studio scan --accept docs/setup.md:12 --reason "a key of the vendor's manual" --until 2027-01-31
  agent-studio scan --register --env production
"""

from __future__ import annotations

import getpass
import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cli.output import Result, working
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STATE
from agent_studio.environment.schema import KINDS
from agent_studio.errors import ExitCode, UsageError
from agent_studio.isolation.secrets import baseline, registered
from agent_studio.isolation.secrets.scan import Source, below, scan
from agent_studio.knowledge import places
from agent_studio.redaction import redact
from agent_studio.release.content import candidate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.isolation.secrets.baseline import Accepted, Baseline
    from agent_studio.isolation.secrets.scan import Hit, Report

ORIGINS = ("seeds", "candidate", "records")
_RAW = ("events.jsonl", "events.")
"""The recorder's inbox: what was recorded, as it came, until `ingest` has taken it in."""
_SHOWN = 50
_VERDICTS = {
    ExitCode.DONE: ("ok", "PASS"), ExitCode.FAILED: ("bad", "FAIL"), ExitCode.INSUFFICIENT: ("none", "INSUFFICIENT"),
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scan`."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files and folders to look through instead")
    parser.add_argument("--only", choices=ORIGINS, action="append", help="only this; may be repeated")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--accept", metavar="PATH[:LINE]", help="answer for the findings there, in the baseline")
    does.add_argument("--accepted", action="store_true", help="list what the baseline accepts")
    does.add_argument("--prune", action="store_true", help="drop what has expired or is found no more")
    does.add_argument(
        "--register", action="store_true", help="keep keyed hashes of production's values, which others must not have"
    )
    parser.add_argument("--reason", help="why a finding is accepted")
    parser.add_argument("--until", metavar="DATE", help="the day on which it counts again (default: in 90 days)")
    parser.add_argument("--by", metavar="NAME", help="who accepts it (default: your user name)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look, or do what else is asked for."""
    if args.register:
        return _register(session)
    found = baseline.load(session.project)
    if args.accepted:
        return _list(list(found.entries.values()))
    if args.accept is not None:
        return _accept(args, session, found)
    with working("Looking for secrets"):
        report = scan(list(_sources(args, session)), found)
    if args.prune:
        if args.paths or args.only:
            raise UsageError("--prune looks everywhere", hint="leave out paths and --only")
        return _prune(session, found, report)
    return Result(_data(report), lambda screen: _render(screen, report), _code(report))


def _code(report: Report) -> ExitCode:
    if any(hit.blocks for hit in report.hits):
        return ExitCode.FAILED
    missed = not report.files or any(one.matters for one in report.skipped)
    return ExitCode.INSUFFICIENT if missed else ExitCode.DONE


def _sources(args: argparse.Namespace, session: Session) -> Iterator[Source]:
    if args.paths:
        if args.only:
            raise UsageError("--only and paths exclude each other", hint="leave one of them out")
        for given in args.paths:
            yield from _given(given, session)
        return
    for origin in args.only or ORIGINS:
        yield from {"seeds": _seeds, "candidate": _candidate, "records": _records}[origin](session.context)


def _given(given: str, session: Session) -> Iterator[Source]:
    place = Path(given).absolute()
    if not os.path.lexists(place):
        raise UsageError(f"{given} is not there", hint="name a file or folder")
    if place.is_symlink():
        place = place.resolve()
    yield from below("paths", str(place), _shown(place, session.project.path))


def _shown(place: Path, project: Path) -> str:
    """Return a path from the project's folder where it lies in it: the baseline knows it by that."""
    real = Path(os.path.realpath(place))
    return real.relative_to(project).as_posix() if real.is_relative_to(project) else str(real)


def _seeds(context: Context) -> Iterator[Source]:
    project = context.project
    for place in sorted(places.walk(project).files, key=lambda place: place.path):
        yield Source("seeds", place.path, os.path.realpath(place.place))


def _candidate(context: Context) -> Iterator[Source]:
    for path, place in candidate.files(context.project):
        yield Source("candidate", _shown(Path(place), context.project.path) or path, place)


def _records(context: Context) -> Iterator[Source]:
    root = context.root
    folders = [root.folder(kind) for kind in KINDS] + [root.state]
    for folder in folders:
        if not folder.has_folder():
            continue
        shown = folder.path.relative_to(root.project.path).as_posix()
        for one in below("records", str(folder.path), shown):
            if folder.path != root.folder("metrics").path or not Path(one.place).name.startswith(_RAW):
                yield one


def _register(session: Session) -> Result:
    context = session.context
    if context.environment is not Environment.PRODUCTION:
        raise UsageError("only production's values are registered", hint="add --env production")
    names = context.config["secrets.production"] or ()
    if not names:
        raise UsageError("no variable is declared for production", hint="name them in secrets.production")
    done = registered.register(context.project, names, session.variables)
    place = f"{STATE}/{Environment.PRODUCTION}/{registered.FILE}"
    data = {**{name: list(listed) for name, listed in done._asdict().items()}, "file": place}

    def render(screen: Screen) -> None:
        for name in done.registered:
            screen.mark("ok", f"{name}: a keyed hash of its value is kept")
        for name in done.short:
            screen.mark(
                "note", f"{name}: not kept, under {registered.SHORTEST} characters it is told from no other value"
            )
        for name in done.missing:
            screen.mark("bad", f"{name}: not set here")
        screen.line(f"\nKept in {place}, for you only; no value is.")

    return Result(data, render, ExitCode.FAILED if done.missing else ExitCode.DONE)


def _accept(args: argparse.Namespace, session: Session, found: Baseline) -> Result:
    reason, by = (" ".join((text or "").split()) for text in (args.reason, args.by or getpass.getuser()))
    if not reason or not by:
        raise UsageError("a finding is accepted for a reason, by somebody", hint="add --reason TEXT, and --by NAME")
    until = _day(args.until)
    given, colon, line = args.accept.rpartition(":")
    if not (colon and line.isdecimal()) or os.path.lexists(args.accept):
        given, line = args.accept, ""
    found = baseline.salted(found)
    report = scan(list(_given(given, session)), found)
    hits = [hit for hit in report.hits if not line or hit.line == int(line)]
    if not hits:
        raise UsageError(f"nothing is found at {args.accept}", hint=f"see: agent-studio scan {given}")
    today = clock.now().date().isoformat()
    entries = [
        baseline.Accepted(hit.fingerprint or "", hit.kind, hit.path, redact(reason), redact(by), today, until)
        for hit in hits
    ]
    baseline.accept(session.project, found, entries)
    return _list(entries, f"Accepted in {session.project.shown(baseline.FILE)}; commit it.")


def _day(text: str | None) -> str:
    today = clock.now().date()
    try:
        day = today + timedelta(days=90) if text is None else date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until {text} is no day", hint="write it like 2027-01-31") from None
    if not today < day <= today + timedelta(days=baseline.LONGEST_DAYS):
        raise UsageError(
            f"--until {day} is not within a year from now", hint="a finding is looked at again once a year at least"
        )
    return day.isoformat()


def _list(entries: Sequence[Accepted], title: str = "") -> Result:
    data = {"accepted": [{**one._asdict(), "expired": one.is_expired} for one in entries]}

    def render(screen: Screen) -> None:
        for one in entries:
            expires = "expired" if one.is_expired else "until"
            screen.mark(
                "bad" if one.is_expired else "ok",
                f"{one.path}: {one.kind}, {expires} {one.expires}, {one.by}: {one.reason}",
            )
        screen.line(title or f"{len(entries)} accepted")

    return Result(data, render)


def _prune(session: Session, found: Baseline, report: Report) -> Result:
    kept = {hit.fingerprint for hit in report.hits}
    kept |= {name for name, one in found.entries.items() if one.path not in {hit.path for hit in report.hits}
             and _still_there(session, found, one)}  # fmt: skip
    gone = baseline.prune(session.project, found, kept)
    return _list(gone, f"{len(gone)} dropped from {session.project.shown(baseline.FILE)}")


def _still_there(session: Session, found: Baseline, one: Accepted) -> bool:
    """Tell whether a finding is still made in a file that a scan without paths does not reach."""
    place = session.project.path / one.path
    if not place.is_file():
        return False
    again = scan(below("paths", str(place), one.path), found)
    return any(hit.fingerprint == one.fingerprint for hit in again.hits)


def _data(report: Report) -> dict[str, Any]:
    return {
        "findings": [_told(hit) for hit in report.hits],
        "blocking": sum(hit.blocks for hit in report.hits),
        "files": report.files,
        "bytes": report.size_bytes,
        "skipped": [{"path": one.path, "reason": one.reason} for one in report.skipped],
    }


def _told(hit: Hit) -> dict[str, Any]:
    accepted = hit.accepted
    told = None
    if accepted is not None:
        told = {"reason": accepted.reason, "by": accepted.by, "expires": accepted.expires,
                "expired": accepted.is_expired}  # fmt: skip
    return {
        "source": hit.origin, "path": hit.path, "line": hit.line, "kind": hit.kind, "severity": hit.severity,
        "fingerprint": hit.fingerprint, "accepted": told,
    }  # fmt: skip


def _render(screen: Screen, report: Report) -> None:
    counted = sorted((hit for hit in report.hits if hit.counts), key=lambda hit: hit.severity)
    for hit in counted[:_SHOWN]:
        where = f"{hit.path}:{hit.line}" if hit.line else f"{hit.path}: in its name"
        again = f" (accepted, expired {hit.accepted.expires})" if hit.accepted else ""
        screen.mark("bad" if hit.blocks else "note", f"{where}: {hit.kind}{again}")
    if len(counted) > _SHOWN:
        screen.line(f"  and {len(counted) - _SHOWN} more (--json has them all)")
    for one in report.skipped:
        screen.mark("bad" if one.matters else "none", f"{one.path} was skipped: {one.reason}")
    if counted or report.skipped:
        screen.line()
    mark, verdict = _VERDICTS[_code(report)]
    blocking = sum(hit.blocks for hit in report.hits)
    accepted = len(report.hits) - len(counted)
    screen.mark(
        mark,
        f"{verdict}: {blocking} to take out, {len(counted) - blocking} to look at, {accepted} accepted "
        f"({report.files} files, {report.size_bytes / 1e6:.1f} MB)",
    )
    if counted:
        screen.line(
            "Take a secret out and revoke it. To answer for one: agent-studio scan --accept PATH:LINE --reason ..."
        )
