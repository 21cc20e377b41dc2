"""`kb doctor`: what is wrong with which artifact, and how it would look repaired."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, ask, harmless, working
from agent_studio.environment.findings import Severity
from agent_studio.errors import AgentStudioError, ExitCode, UsageError, did_you_mean
from agent_studio.knowledge import rewriting
from agent_studio.knowledge.diagnosis import CODES, YAML, Diagnosis, Issue, diagnose

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen

_BAD = frozenset((Severity.WARNING, Severity.ERROR))
_FILES_SHOWN = 20
_WIDTH = 110
_REPAIRED = "repaired: "


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--all", action="store_true", help="show every file, and notes as well")
    parser.add_argument("--code", action="append", default=[], metavar="CODE", help="only findings of this code")
    parser.add_argument("--user", action="store_true", help="also look at the user's own skills, agents and commands")
    parser.add_argument("--write", action="store_true", help="write the repairs of front matter into the files")
    parser.add_argument("--dry-run", action="store_true", help="with --write: say which files it would rewrite")
    parser.add_argument("--yes", action="store_true", help="with --write: do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look at every file; exit code 1 when anything is a warning or worse."""
    if args.dry_run and not args.write:
        raise UsageError("--dry-run goes with --write", hint="without --write nothing is changed anyway")
    if args.write and (args.code or args.user):
        raise UsageError(
            "--write repairs all front matter of the project, and nothing else", hint="leave --code and --user out"
        )
    for code in args.code:
        if code not in CODES and not code.startswith(YAML):
            raise UsageError(f"--code {code}: no finding is called so", hint=did_you_mean(code, sorted(CODES)))
    if args.write:
        return _write(args, session)
    with working("Reading artifacts"):
        found = diagnose(session.project, user=args.user)
    issues = [one for one in found.issues if not args.code or one.code in args.code]
    bad = any(one.severity in _BAD for one in issues)
    data = {
        "artifacts": found.artifacts,
        "counts": dict(sorted(Counter(one.code for one in issues).items())),
        "findings": [{**one._asdict(), "severity": str(one.severity)} for one in issues],
        "notArtifacts": [{"path": path, "reason": reason} for path, reason in found.others],
    }
    return Result(
        data,
        lambda screen: _render(screen, found, issues, whole=args.all),
        ExitCode.FAILED if bad else ExitCode.DONE,
    )


def _render(screen: Screen, found: Diagnosis, issues: list[Issue], *, whole: bool) -> None:
    shown = [one for one in issues if whole or one.severity in _BAD]
    files = [(path, list(group)) for path, group in groupby(shown, key=lambda one: one.path)]
    for path, group in files if whole else files[:_FILES_SHOWN]:
        screen.line(harmless(path))
        for one in group:
            where = f"line {one.line}: " if one.line else ""
            screen.mark("bad" if one.severity in _BAD else "note", f"{one.code}: {where}{harmless(one.message)}")
            for number, line in enumerate(one.repaired.split("\n") if one.repaired else ()):
                label = _REPAIRED if number == 0 else " " * len(_REPAIRED)
                screen.line(f"    {label}{_short(harmless(line))}")
    if not whole and len(files) > _FILES_SHOWN:
        screen.line(f"... and {len(files) - _FILES_SHOWN} more files; --all shows them")
    _counts(screen, found, issues)


def _counts(screen: Screen, found: Diagnosis, issues: list[Issue]) -> None:
    bad = Counter(one.code for one in issues if one.severity in _BAD)
    notes = Counter(one.code for one in issues if one.severity not in _BAD)
    if issues:
        screen.line()
    for kind, counts in (("bad", bad), ("note", notes)):
        for code, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            screen.mark(kind, f"{count:>5} {code}")
    files = len({one.path for one in issues if one.severity in _BAD})
    verdict = f"{sum(bad.values())} to mend in {files} files" if bad else "Nothing to mend"
    more = f"; {len(found.others)} other files belong to them" if found.others else ""
    screen.line(f"{verdict} ({found.artifacts} artifacts looked at{more})")


def _short(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _write(args: argparse.Namespace, session: Session) -> Result:
    """Rewrite what can be rewritten safely; exit code 1 where a file had to be left."""
    with working("Reading artifacts"):
        planned = list(rewriting.changes(session.project))
    todo = [one for one in planned if not one.reason]
    problems = [Problem("left", f"{one.path} is left as it is: {one.reason}") for one in planned if one.reason]
    done: list[rewriting.Change] = []
    if todo and not args.dry_run:
        ask(f"rewrite the front matter of {len(todo)} files?", yes=args.yes)
        for one in todo:
            try:
                rewriting.write(session.project, one)
                done.append(one)
            except (AgentStudioError, FileNotFoundError) as fault:
                problems.append(Problem("left", f"{one.path} is left as it is: {fault}"))
    listed = todo if args.dry_run else done
    data: dict[str, Any] = {
        "dryRun": args.dry_run, "files": [{"path": one.path, "lines": one.lines} for one in listed],
        "left": [{"path": one.path, "reason": one.reason} for one in planned if one.reason],
    }  # fmt: skip
    verb = "would be rewritten" if args.dry_run else "rewritten"

    def render(screen: Screen) -> None:
        for one in listed:
            screen.mark("note" if args.dry_run else "ok", f"{harmless(one.path)}: {one.lines} lines")
        screen.line(f"{len(listed)} files {verb}")

    return Result(data, render, ExitCode.FAILED if problems else ExitCode.DONE, problems)
