"""`evolve start`: what is needed, and what will do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Result
from agent_studio.evolution import store, workflow
from agent_studio.evolution.phases import KINDS
from agent_studio.evolution.workflow import Wanted

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_what(parser)
    parser.add_argument("--need", metavar="TEXT", default="", help="what nothing does yet, in a sentence")
    parser.add_argument("--suggestion", metavar="ID", default="", help="the suggestion that it answers")


def add_what(parser: argparse.ArgumentParser) -> None:
    """Add what tells the artifact."""
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="small letters, digits and single hyphens")
    parser.add_argument("--description", metavar="TEXT", default="", help="what it will say of itself (default: need)")
    shared.add_unlike(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Begin it."""
    return begin(args, session, args.need, args.suggestion)


def begin(args: argparse.Namespace, session: Session, need: str, suggestion: str) -> Result:
    """Begin an evolution, of a need or a suggestion."""
    context = session.context
    wanted = Wanted(args.kind, args.name, need, args.description, suggestion, shared.unlike(args))
    one = workflow.start(context, wanted)
    log.info(context, "evolution.started", evolution=one.id, kind=one.kind, name=one.name)
    state = store.read(context).state
    data = {"evolution": shared.told(context, one), "next": workflow.next_command(context, state)}

    def render(screen: Screen) -> None:
        screen.mark("ok", f"{shared.title(one)} is in evaluate")
        screen.line(f"  need: {one.need}")
        screen.line(shared.next_line(context, state))

    return Result(data, render)
