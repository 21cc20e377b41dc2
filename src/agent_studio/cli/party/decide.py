"""`party decide`: record what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.cli.party import shared
from agent_studio.environment.flag_journal import default_who
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.reasoning.party import decisions, outcome, verify

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.reasoning.party.outcome import Outcome


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id and the decision."""
    shared.add_id(parser)
    parser.add_argument("--option", default="", metavar="TEXT", help="what was decided (default: what is recommended)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed with --option")
    parser.add_argument("--by", default="", metavar="NAME", help="who decided (default: you, with --option)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Record a decision once."""
    if args.option and not args.reason.strip():
        raise UsageError("--option needs --reason", hint="say why it was decided so")
    place = shared.place_of(session, args.party)
    looked = verify.trusted(place)
    if not looked.is_vouched:
        raise verify.NotVouchedError(f"{place.id}: {verify.NOT_VOUCHED}", hint="record it where it was held")
    found = outcome.of(looked.session)
    who = args.by or (default_who(session.project) if args.option else "")
    entry = decisions.record(session.context, found, option=args.option, reason=args.reason, who=who)
    data = {"id": found.session.id, "recorded": entry is not None, "file": decisions.FILE, "entry": entry}
    said = f"Recorded in {decisions.FILE}" if entry else f"{decisions.FILE} says so already; nothing was added"
    return Result(data, lambda screen: screen.mark("ok" if entry else "none", said))


def added(session: Session, found: Outcome, result: Result) -> Result:
    """Return the result of a party with its recommendation recorded, or why it is not."""
    if found.decision != outcome.RECOMMEND:
        hint = f'{found.session.command("decide")} --option "..." --reason "..."'
        note = Problem("not-decided", "nothing is recommended, so nothing was recorded", hint, is_note=True)
        return result._replace(data={**result.data, "recorded": False}, problems=[*result.problems, note])
    try:
        entry = decisions.record(session.context, found)
    except AgentStudioError as error:  # the party is held and paid for: its outcome is told
        fault = Problem(error.code, error.message, error.hint, is_note=True)
        return result._replace(data={**result.data, "recorded": False}, problems=[*result.problems, fault])
    return result._replace(data={**result.data, "recorded": entry is not None})
