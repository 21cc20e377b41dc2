"""`evolve list`: what was evolved, what was not and why, and what is suggested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Result
from agent_studio.evolution import shown, store

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.evolution.state import State


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options: there are none."""
    parser.set_defaults()


def run(args: argparse.Namespace, session: Session) -> Result:  # noqa: ARG001 - every command has the same signature
    """List them."""
    held = store.read(session.context)
    state = held.state
    every = [*state.past, *filter(None, (state.current,))]
    data = {
        "evolutions": [shown.evolution(one) for one in every], "imported": state.imported.get("history", []),
        "suggestions": [shown.suggestion(one) for one in state.suggestions.values()],
    }  # fmt: skip
    return Result(data, lambda screen: _render(screen, state), problems=shared.problems(held))


def _render(screen: Screen, state: State) -> None:
    every = [*state.past, *filter(None, (state.current,))]
    if every:
        rows = [
            (one.id, one.kind, one.name, one.outcome or one.phase, (one.ended or one.started)[:16], one.reason)
            for one in every
        ]
        screen.columns(("id", "kind", "name", "is", "since", "why"), rows, numbers={"id"})
    else:
        screen.line("Nothing was evolved yet.")
    if before := state.imported.get("history", []):
        screen.line(f"\n{len(before)} more are known from the original's state file")
    if state.queue:
        screen.line()
        shared.suggestions(screen, state.queue)
