"""`signoff sign`: read the words of a request, and sign them; with the project's clone alone, or where all is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, ask
from agent_studio.cli.signoff import shared
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.release import facts
from agent_studio.release.content.candidate import candidate
from agent_studio.release.signing import signoff, statement

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen

_VOID = "it would not count: {}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="what signoff request, or waive --out, wrote")
    parser.add_argument("--key", metavar="KEY", required=True, help="your private key, or a public one an agent holds")
    parser.add_argument("--out", metavar="FILE", help="write the signed file there (default: the same FILE)")
    parser.add_argument("--diff", action="store_true", help="also show every line that changes, where that is known")
    parser.add_argument("--dry-run", action="store_true", help="show the words, sign nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show the words, ask, sign, and keep the result where the candidate was made."""
    stated, signature = signoff.read(shared.read_file(args.file), args.file)
    if signature:
        raise UsageError(f"{args.file} is signed already", hint=f"agent-studio signoff verify {args.file}")
    statement.refuse_unreadable(stated, args.file)
    here = shared.known(session, stated)
    reason = signoff.untimely(stated) if here is None else facts.unfit(here[1], stated)
    if reason:
        return _refused(args, stated, reason)
    changed = shared.differences(*here) if here is not None and args.diff else []
    more = (*changed, "", _checkout(session, stated))
    if args.dry_run:
        return _shown(args.file, stated, more)
    if not session.common.json:
        shared.tell(stated, more)
    if args.out is not None:
        shared.refuse_file(args.out, signoff.unsigned(stated), session)
    ask("sign exactly this?", yes=args.yes)
    data = shared.sign(stated, args.key)
    who, key, kept = "", "", ""
    if here is not None:
        one, reason = facts.worth(session.project, here[1], data, args.file)
        if reason:
            return _refused(args, stated, reason)
        who, key, kept = one.who, one.key, signoff.keep(session.project, data, args.file)
    place = args.file if args.out is None else args.out
    shared.write_file(place, data, session)

    def render(screen: Screen) -> None:
        screen.mark("ok", f"Signed{f' by {who}' if who else ''} as {stated['role']}: {place}")
        if kept:
            screen.line(f"  it counts, and is kept in {kept}")
        else:
            screen.line(f"  whether it counts is told where the evidence is: agent-studio signoff verify {place}")

    told = {"candidate": stated["candidate"], "role": stated["role"], "file": place, "who": who or None}
    return Result({**told, "key": key or None, "kept": kept or None, "counts": bool(kept) or None}, render)


def _shown(file: str, stated: Mapping[str, Any], more: Iterable[str]) -> Result:
    told = {"candidate": stated["candidate"], "role": stated["role"], "file": file, "words": statement.words(stated)}

    def render(screen: Screen) -> None:
        shared.show(screen, stated, more)
        screen.line("\nnothing was signed (--dry-run)")

    return Result(told, render)


def _refused(args: argparse.Namespace, stated: Mapping[str, Any], reason: str) -> Result:
    told = {"candidate": stated["candidate"], "role": stated["role"], "file": args.file, "who": None}
    problem = Problem("not-signed", _VOID.format(reason), "have it requested anew, or sign with another key")
    data = {**told, "key": None, "kept": None, "counts": False}
    return Result(data, lambda screen: screen.mark("bad", "Nothing was signed"), ExitCode.NOT_SIGNED, [problem])


def _checkout(session: Session, stated: Mapping[str, Any]) -> str:
    """Say whether the definitions that lie here are those that are to be signed."""
    try:
        own = candidate(session.project).sha256
    except AgentStudioError as error:
        return f"Whether this checkout is the candidate cannot be told: {error.message}"
    if own == stated["candidate"]:
        return "The definitions in this checkout are exactly the candidate's."
    commit = stated["details"]["commit"]
    at = f" (its commit is {commit})" if commit else ""
    return f"The definitions in this checkout are NOT the candidate's{at}: what you read here is not what you sign."
