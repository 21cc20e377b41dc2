"""`eval show`: a run again, or one of its attempts in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Result
from agent_studio.errors import UsageError, did_you_mean
from agent_studio.evals.runs import begin, log
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs.together import Runs
from agent_studio.evals.verdicts import comparison

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="the beginning of its id (default: the newest)")
    parser.add_argument("--attempt", metavar="NAME", help="one attempt, as TASK.NUMBER.SIDE")
    shared.add_files(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show it; nothing is tried and nothing is kept."""
    shared.refuse_files(args, session)
    context = shared.context_of(session)
    folder = begin.folder_of(context)
    found = folder.at(headers.find(folder, args.run))
    header, attempts = headers.read(found), log.read(found).attempts
    if (args.attempt is not None or header.against is None) and (args.junit or args.markdown):
        raise UsageError("only a comparison has a report", hint="leave --junit and --markdown out")
    if args.attempt is not None:
        if args.attempt not in attempts:
            raise UsageError(
                f"run {header.id} has no attempt {args.attempt!r}", hint=did_you_mean(args.attempt, attempts)
            )
        one = dict(attempts[args.attempt])
        return Result({"run": header.id, **one}, lambda screen: _attempt(screen, one))
    if header.against is None:
        data = shared.single(header, attempts)
        return Result(data, lambda screen: shared.render_single(screen, data), shared.single_code(data))
    data = comparison.data(Runs(folder).together(header.id), shared.margin(args, context))
    shared.write_files(args, session, data)
    return Result(data, lambda screen: shared.render(screen, data), shared.CODES[data["verdict"]])


def _attempt(screen: Screen, one: dict[str, Any]) -> None:
    word = {True: "passed", False: "failed", None: "not decided"}[one["passed"]]
    screen.mark({True: "ok", False: "bad", None: "none"}[one["passed"]], f"{one['attempt']}: {word}")
    facts = one["facts"]
    usd = "cost not known" if one["usd"] is None else f"{one['usd']} USD"
    screen.line(f"  {facts['ended']} after {one['durationMs'] / 1000:.1f} s, {facts['tokens']} tokens, {usd}")
    for check in one["checks"]:
        mark = {True: "ok", False: "bad", None: "none"}[check["passed"]]
        screen.told(mark, f"{check['name']}: {check['detail']}")
    for name, text, refused, by in facts["tools"]:
        screen.line(f"  {by + ': ' if by else ''}{name} {text[:100]}{f'  [{refused}]' if refused else ''}")
    for path in one["changed"]:
        screen.line(f"  changed {path}")
    if facts["answer"]:
        screen.line(f"  said: {facts['answer'][:500]}")
