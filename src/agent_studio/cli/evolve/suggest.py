"""`evolve suggest`: what the records say is needed, or what somebody says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Problem, Result, working
from agent_studio.evolution import shown, store, suggestions

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.evolution.suggestions import Suggested


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what is needed (default: look for it in the records)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Bring the queue up to date."""
    if args.text is not None:
        return _say(args.text, session)
    with working("reading the records"):
        found = suggestions.suggest(session.context)
    data = {
        "added": [one.id for one in found.added], "changed": [one.id for one in found.changed],
        "answered": found.answered, "queue": [shown.suggestion(one) for one in found.queue],
        "damagedLines": found.damaged,
    }  # fmt: skip
    damage = [Problem("damaged-lines", f"{found.damaged} damaged lines are not counted", is_note=True)]
    return Result(data, lambda screen: _render(screen, found), problems=damage if found.damaged else ())


def _say(text: str, session: Session) -> Result:
    one, is_new = suggestions.say(session.context, text)
    queue = store.read(session.context).state.queue
    data = {
        "added": [one.id] if is_new else [], "changed": [] if is_new else [one.id], "answered": [],
        "queue": [shown.suggestion(waiting) for waiting in queue], "damagedLines": 0,
    }  # fmt: skip
    was = "" if is_new else f", said {one.count} times" + ("" if one.status == "open" else f"; it is {one.status}")
    return Result(data, lambda screen: screen.mark("ok", f"suggestion {one.id}: {one.text}{was}"))


def _render(screen: Screen, found: Suggested) -> None:
    if not found.queue and found.answered:
        screen.line(f"Nothing waits: {len(found.answered)} answered by the knowledge base by now.")
        return
    if not found.queue:
        screen.line("Nothing is suggested: no search without a hit and no failure was seen often enough.")
        return
    shared.suggestions(screen, found.queue)
    new = f"{len(found.added)} new, {len(found.changed)} seen again, {len(found.answered)} answered by now"
    screen.line(f"\n{new}")
    screen.line("next: agent-studio evolve accept ID KIND NAME, or evolve dismiss ID --reason TEXT")
