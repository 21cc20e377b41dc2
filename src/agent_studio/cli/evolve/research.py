"""`evolve research`: a source that was looked at, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Problem, Result
from agent_studio.evolution import store, workflow
from agent_studio.evolution.gates import sources
from agent_studio.evolution.gates.sources import Asked

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("source", metavar="SOURCE", help="an address, a file of the project, or a title")
    parser.add_argument("--says", metavar="TEXT", required=True, help="what it says about the need, in a sentence")
    parser.add_argument("--quote", metavar="TEXT", default="", help="of a file: words that stand in it")
    parser.add_argument("--document", action="store_true", help="it is a book, a paper or the like")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Record it."""
    context = session.context
    one, source, is_new = workflow.research(context, Asked(args.source, args.says, args.quote, args.document))
    gate = sources.gate(context.project, one.research)
    state = store.read(context).state
    data = {
        "source": source, "recorded": is_new, "gate": gate.as_json(), "next": workflow.next_command(context, state),
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.mark("ok" if is_new else "note", f"{source['kind']} {source['source']}")
        screen.line(f"  {gate.reason.partition(':')[0]}")
        screen.line(shared.next_line(context, state))

    said = "this source was recorded before; two quotes of one file are one source"
    return Result(data, render, problems=() if is_new else [Problem("known-source", said, is_note=True)])
