"""`elicit show`: what a run found and proposes, or the text as the run saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.elicit import shown
from agent_studio.cli.output import Result
from agent_studio.errors import UsageError
from agent_studio.reasoning.elicitation import draft, store

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.elicitation.store import Run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", nargs="?", help="a run (default: the newest)")
    parser.add_argument("--original", action="store_true", help="print the text as the run saw it")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show one run."""
    found = store.load(session.context, args.id or _newest(session.context))
    view = view_of(session.context, found)
    if args.original:
        data = store.original(session.context, found)
        return Result({"id": found.id, "original": data.decode()}, lambda screen: screen.verbatim(data))
    return Result(shown.data(view), lambda screen: shown.render(screen, view), problems=shown.problems(found))


def _newest(context: Context) -> str:
    """Return the id of the run that began last; raise `UsageError` where there is none."""
    found = [str(one["id"]) for one in store.index(context) if one["kind"] == store.BEGAN]
    if not found:
        raise UsageError(f"there is no run in {context.environment} yet", hint="agent-studio elicit run")
    return found[-1]


def view_of(context: Context, found: Run) -> shown.View:
    """Return a run with the text that it looked at."""
    name = found.began["name"]
    return shown.View(context, found, draft.read(store.original(context, found), name, found.began["section"]), name)
