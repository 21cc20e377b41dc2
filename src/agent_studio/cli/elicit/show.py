"""`elicit show`: what a run found and proposes, or the text as the run saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.elicit import shown
from agent_studio.cli.output import Result
from agent_studio.reasoning.elicitation import draft, store

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.elicitation.store import Run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="a run")
    parser.add_argument("--original", action="store_true", help="print the text as the run saw it")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show one run."""
    found = store.load(session.context, args.id)
    view = view_of(session.context, found)
    if args.original:
        data = store.original(session.context, found)
        return Result({"id": found.id, "original": data.decode()}, lambda screen: screen.verbatim(data))
    return Result(shown.data(view), lambda screen: shown.render(screen, view), problems=shown.problems(found))


def view_of(context: Context, found: Run) -> shown.View:
    """Return a run with the text that it looked at."""
    name = found.began["name"]
    return shown.View(found, draft.read(store.original(context, found), name, found.began["section"]), name)
