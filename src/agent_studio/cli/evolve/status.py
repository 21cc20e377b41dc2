"""`evolve status`: the phase, what each of its gates says now, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Problem, Result, working
from agent_studio.evolution import drafts, phases, store, workflow
from agent_studio.evolution.judging import judge

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.evolution.state import State


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--repair", action="store_true", help="write the state file anew from its history, or mend a damaged history"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look; without --repair nothing is written."""
    context = session.context
    mended = store.repair(context) if args.repair else ""
    held = store.read(context)
    one = held.state.current
    found: list[dict[str, Any]] = []
    if one is not None:
        draft = drafts.read(context, one) if one.phase in phases.DRAFTED else None
        with working("asking the gates"):
            found = [gate.as_json() for gate in judge(shared.asker(session), one, draft)]
    data = {
        "phase": held.state.phase,
        "evolution": None if one is None else {**shared.told(context, one), "gates": found},
        "suggestions": len(held.state.queue),
        "evolved": len(held.state.past),
        "stateFile": held.file,
        "next": workflow.next_command(context, held.state),
    }
    notes = [Problem("repaired", mended, is_note=True)] if mended else shared.problems(held)
    return Result(data, lambda screen: _render(screen, context, held.state, found), problems=notes)


def _render(screen: Screen, context: Context, state: State, found: list[dict[str, Any]]) -> None:
    one = state.current
    if one is None:
        screen.line(f"No evolution is under way; {len(state.past)} so far.")
    else:
        screen.line(f"{shared.title(one)}\n")
        screen.line(shared.path(one))
        screen.line(f"\nneed: {one.need}")
        for reason in one.blocked:
            screen.mark("bad", f"blocked by {reason}")
        shared.gates(screen, found)
        if one.phase == phases.ENABLE:
            screen.mark("none", "definitions and smoke are proved by advance, once it lies in its place")
        screen.line()
    if state.queue:
        screen.line(f"{len(state.queue)} suggestions wait: agent-studio evolve list")
    screen.line(shared.next_line(context, state))
