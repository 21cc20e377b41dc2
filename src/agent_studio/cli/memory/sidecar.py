"""`memory sidecar`: what one agent keeps for itself.

An agent at work opens its own. A person adds `--as-operator`, and who did what to whose memory is written down first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cli import output
from agent_studio.cli.memory.add import text_of
from agent_studio.cli.output import Problem, Result
from agent_studio.errors import ExitCode, UsageError
from agent_studio.memory.sidecar import open_sidecar
from agent_studio.memory.sidecars import importing, operator, rendering
from agent_studio.memory.sidecars.entry import KINDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.memory.sidecar import Sidecar
    from agent_studio.memory.sidecars.entry import Entry

AT_WORK = "CLAUDECODE"
"""What the client sets where an agent is at work."""
_CALLS = {
    "add": "keep an entry; exit code 1 when it is there already",
    "list": "list what is kept, oldest first",
    "search": "rank the entries that fit a question; exit code 1 when none does",
    "show": "show one entry, or without an id what a prompt would be given",
    "pin": "keep an entry in sight, or no longer",
    "supersede": "put an entry in the place of another that is no longer true",
    "expire": "say from when on an entry no longer holds",
    "forget": "remove an entry from every file, for good",
    "archive": "move an entry to the archive",
    "render": "write what is kept into the client's MEMORY.md of the agent, in a marked block",
    "import": "take over what the original kept for the agent",
    "agents": "list the agents that keep something (operator)",
    "accesses": "list what operators did (operator)",
}
_OF_ALL = ("agents", "accesses")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the calls and their options."""
    calls = parser.add_subparsers(dest="call", metavar="SUBCOMMAND", required=True)
    made = {}
    for name, does in _CALLS.items():
        call = made[name] = calls.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        if name not in _OF_ALL:
            call.add_argument("--agent", default="", metavar="NAME", required=True, help="whose")
        call.add_argument("--as-operator", action="store_true", help="a person looks or changes; it is written down")
    for name in ("add", "supersede"):
        _add_fields(made[name], is_new=name == "add")
    for name in ("pin", "expire", "forget", "archive"):
        made[name].add_argument("id", metavar="ID", help="the entry's id, as list shows it")
    made["list"].add_argument("--archived", action="store_true", help="what is in the archive")
    made["search"].add_argument("words", nargs="+", metavar="WORDS", help="a question, or words in any order")
    made["search"].add_argument("--limit", type=int, default=5, metavar="N", help="hits at most (default: 5)")
    made["show"].add_argument(
        "id", nargs="?", default="", metavar="ID", help="its id (default: what a prompt is given)"
    )
    made["show"].add_argument(
        "--bytes", type=int, default=4_000, metavar="N", help="of what a prompt is given (default: 4000)"
    )
    made["pin"].add_argument("--off", action="store_true", help="no longer")
    made["expire"].add_argument("--in", dest="until", default="", metavar="TIME", help="30m, 12h or 7d from now")
    made["render"].add_argument("--remove", action="store_true", help="take the block out")
    made["forget"].add_argument("--yes", action="store_true", help="do not ask")
    made["forget"].add_argument("--dry-run", action="store_true", help="only show what would go")


def _add_fields(call: argparse.ArgumentParser, *, is_new: bool) -> None:
    if not is_new:
        call.add_argument("id", metavar="ID", help="the entry's id, as list shows it")
    call.add_argument("text", help="what to keep; - reads it from stdin")
    call.add_argument("--kind", default="note", choices=list(KINDS))
    call.add_argument("--tag", action="append", default=[], metavar="TAG", help="a word to find it by; may be repeated")
    call.add_argument("--source", default="", metavar="WHERE", help="a file, a session, an address")
    call.add_argument("--pin", action="store_true", help="keep it in sight")
    call.add_argument("--expires", default="", metavar="TIME", help="30m, 12h or 7d from now")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one call on one agent's memory."""
    if args.call in _OF_ALL:
        return _of_all(args, session)
    return _DO[args.call](args, session, _opened(args, session))


def _opened(args: argparse.Namespace, session: Session) -> Sidecar:
    """Open the memory that is meant, as its agent or as an operator."""
    agent = args.agent
    if args.as_operator:
        return operator.open_as_operator(session.context, agent, args.call, getattr(args, "id", ""))
    if not session.variables.get(AT_WORK):
        raise UsageError(
            f"the memory of {agent} is its own: only an agent at work opens it so", hint="a person adds --as-operator"
        )
    return open_sidecar(session.context, agent)


def _of_all(args: argparse.Namespace, session: Session) -> Result:
    if not args.as_operator:
        raise UsageError(f"memory sidecar {args.call} is for operators", hint="add --as-operator")
    if args.call == "agents":
        names = operator.agents(session.context)
        return Result(_told(args, agents=names), lambda screen: _lines(screen, names, "No agent keeps anything."))
    found = operator.accesses(session.context)
    rows = [(one["timestamp"], one["who"], one["agent"], one["action"], one["id"] or "") for one in found]
    return Result(
        _told(args, accesses=found), lambda screen: screen.columns(("time", "who", "agent", "action", "id"), rows)
    )


def _lines(screen: Screen, lines: Sequence[str], none: str) -> None:
    for line in lines or [none]:
        screen.line(line)


def _told(args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    return {"call": args.call, "agent": getattr(args, "agent", None) or None, **more}


def _one(args: argparse.Namespace, entry: Entry, what: str) -> Result:
    return Result(_told(args, entry=entry.told()), lambda screen: screen.mark("ok", f"{entry.id} {what}: {entry.text}"))


def _add(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    made = sidecar.add(
        text_of(args.text), kind=args.kind, tags=args.tag, source=args.source, pinned=args.pin,
        expires=_from_now(args.expires) if args.expires else None, supersedes=getattr(args, "id", ""),
    )  # fmt: skip
    return _one(args, made, "is kept")


def _list(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    found, damaged = sidecar.entries(archived=args.archived), sidecar.damaged_lines
    problems = [Problem("damaged", f"{damaged} lines are no entries; the next change archives them", is_note=True)]
    return Result(
        _told(args, entries=[one.told() for one in found], damagedLines=damaged),
        lambda screen: _draw(screen, [("", one) for one in found]), problems=problems if damaged else [],
    )  # fmt: skip


def _search(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    if not 1 <= args.limit <= 100:  # noqa: PLR2004 - told in the message
        raise UsageError(f"--limit {args.limit} is not from 1 to 100")
    hits = sidecar.search(" ".join(args.words), args.limit)
    return Result(
        _told(args, hits=[{**hit.entry.told(), "score": hit.score} for hit in hits]),
        lambda screen: _draw(screen, [(f"{hit.score:.1f}", hit.entry) for hit in hits]),
        ExitCode.DONE if hits else ExitCode.FAILED,
    )


def _draw(screen: Screen, found: Sequence[tuple[str, Entry]]) -> None:
    if not found:
        screen.line("Nothing is there.")
        return
    now = clock.timestamp(clock.now())
    rows = [
        (score, one.id, one.kind, "pinned" if one.pinned else "-" if one.holds(now) else "over", one.text)
        for score, one in found
    ]
    screen.columns(("score", "id", "kind", "state", "text"), rows, numbers=("score",))


def _show(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    if args.id:
        return _one(args, sidecar.get(args.id), "says")
    shown = sidecar.digest(max(args.bytes, 0))
    return Result(_told(args, digest=shown), lambda screen: _lines(screen, shown.splitlines(), "Nothing is kept."))


def _changed(verb: str, what: str) -> Callable[[argparse.Namespace, Session, Sidecar], Result]:
    def change(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
        del session
        return _one(args, getattr(sidecar, verb)(args.id), what)

    return change


def _pin(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    return _one(args, sidecar.pin(args.id, pinned=not args.off), "is no longer pinned" if args.off else "is pinned")


def _expire(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    del session
    changed = sidecar.expire(args.id, _from_now(args.until) if args.until else None)
    return _one(args, changed, f"holds until {changed.expires}")


def _forget(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    entry = sidecar.get(args.id)
    if args.dry_run:
        return _one(args, entry, "would be forgotten")
    output.ask(f"forget {entry.id} for good?", yes=args.yes)
    gone = sidecar.forget(args.id)
    rendering.refresh(session.context, sidecar)
    return _one(args, gone, "is forgotten")


def _render(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    place, changed = rendering.render(session.context, sidecar, remove=args.remove)
    return Result(
        _told(args, file=place, changed=changed),
        lambda screen: screen.mark("ok", f"{place} {'is written' if changed else 'was so already'}"),
    )


def _import(args: argparse.Namespace, session: Session, sidecar: Sidecar) -> Result:
    done = importing.take_over(session.context, sidecar)
    problems = [Problem("refused", one, is_note=True) for one in done.refused]
    data = _told(args, files=done.files, added=done.added, known=done.known, refused=list(done.refused))
    said = f"{done.files} files: {done.added} entries added, {done.known} were there"
    return Result(data, lambda screen: screen.mark("ok", said), problems=problems)


def _from_now(text: str) -> datetime:
    units = {"m": 1, "h": 60, "d": 1_440}
    if not re.fullmatch(r"[0-9]{1,5}[mhd]", text):
        raise UsageError(f"{text!r} is no time from now", hint="30m, 12h or 7d")
    try:
        return (clock.now() + timedelta(minutes=int(text[:-1]) * units[text[-1]])).astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{text!r} is too far away", hint="30m, 12h or 7d") from None


_DO: dict[str, Callable[[argparse.Namespace, Session, Sidecar], Result]] = {
    "add": _add, "supersede": _add, "list": _list, "search": _search, "show": _show, "pin": _pin, "expire": _expire,
    "forget": _forget, "archive": _changed("archive", "is in the archive"), "render": _render, "import": _import,
}  # fmt: skip
