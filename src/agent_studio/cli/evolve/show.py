"""`evolve show`: one evolution, or one suggestion, with all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Result
from agent_studio.errors import UsageError
from agent_studio.evolution import shown, store

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.evolution.state import Evolution, State, Suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="the number of an evolution, or the id of a suggestion")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show it."""
    context = session.context
    held = store.read(context)
    notes = shared.problems(held)
    one = _evolution(held.state, args.id)
    if one is not None:
        data = {"evolution": shared.told(context, one), "suggestion": None}
        return Result(data, lambda screen: _draw(screen, one), problems=notes)
    found = [known for known in held.state.suggestions.values() if known.id.startswith(args.id.casefold())]
    if len(found) != 1:
        raise UsageError(f"{args.id!r} names no evolution and no suggestion", hint="agent-studio evolve list")
    data = {"evolution": None, "suggestion": shown.suggestion(found[0])}
    return Result(data, lambda screen: _draw_suggestion(screen, found[0]), problems=notes)


def _evolution(state: State, given: str) -> Evolution | None:
    every = (*state.past, *filter(None, (state.current,)))
    return next((one for one in every if str(one.id) == given), None)


def _draw(screen: Screen, one: Evolution) -> None:
    screen.line(f"{shared.title(one)}: {one.outcome or one.phase}{f', {one.reason}' if one.reason else ''}")
    screen.line(f"  need: {one.need}")
    screen.line(f"  by {one.who}, {one.started}{f' to {one.ended}' if one.ended else ''}")
    for name, why in one.unlike.items():
        screen.line(f"  unlike {name}: {why}")
    for source in one.research:
        screen.line(f"  {source['kind']} {source['source']}: {source.get('says', '')}")
    shared.gates(screen, one.gates)


def _draw_suggestion(screen: Screen, one: Suggestion) -> None:
    why = f": {one.reason}" if one.reason else ""
    screen.line(f"Suggestion {one.id} ({one.kind}), {one.status}{why}")
    screen.line(f"  {one.text}")
    screen.line(f"  seen {one.count} times, from {one.first} to {one.last}")
    for piece in one.evidence:
        screen.line("  " + ", ".join(f"{name} {value}" for name, value in piece.items()))
