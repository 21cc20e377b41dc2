"""`evolve advance`: what the gates of the phase say, and the next phase when all pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.cli.evolve import shared
from agent_studio.cli.output import Result, working
from agent_studio.evolution import phases, store, workflow

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.evolution.workflow import Step


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    told = "the one phase to enter, any but the next is refused (default: as far as the gates let it, up to enable)"
    parser.add_argument("phase", metavar="PHASE", nargs="?", default="", help=told)
    told = "the file that was drafted, or of a skill the folder; after lock it leads back there"
    parser.add_argument("--from", dest="given", metavar="PATH", help=told)
    shared.add_unlike(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ask the gates; their verdict is the exit code."""
    context = session.context
    given, unlike = args.given, shared.unlike(args)
    with working("asking the gates"):
        if args.phase:
            steps = [workflow.advance(shared.asker(session), to=args.phase, given=given, unlike=unlike)]
        else:
            steps = workflow.go_on(shared.asker(session), given=given, unlike=unlike)
    for one in steps:
        log.info(context, "evolution.judged", evolution=one.one.id, phase=one.left, verdict=one.verdict)
    step = steps[-1]
    state = store.read(context).state
    following = workflow.next_command(context, state)
    if step.one.outcome == phases.STOPPED:
        following = phases.START
    data = {
        "evolution": shared.told(context, step.one), **_told(step), "steps": list(map(_told, steps)),
        "placed": step.placed or None, "next": following,
    }  # fmt: skip
    return Result(data, lambda screen: _render(screen, steps, following), shared.CODES[step.verdict])


def _told(step: Step) -> dict[str, Any]:
    return {"left": step.left, "verdict": step.verdict, "gates": [gate.as_json() for gate in step.gates]}


def _render(screen: Screen, steps: Sequence[Step], following: str) -> None:
    for step in steps:
        screen.line(f"{shared.title(step.one)}, {step.left}: {step.verdict}")
        shared.gates(screen, (gate.as_json() for gate in step.gates))
    step, one = steps[-1], steps[-1].one
    if step.placed:
        screen.line(f"\nIt lies in the working checkout, {step.placed}; production gets it with the next candidate.")
    elif one.outcome:
        screen.line("\nThis evolution is stopped.")
    elif one.phase == step.left:
        screen.line(f"\nIt stays in {one.phase}.")
    elif step.verdict == "PASS":
        screen.line(f"\nIt is in {one.phase} now.")
    else:
        screen.line(f"\nIt is back in {one.phase}: mend the draft; it is locked and verified anew.")
    screen.line(f"next: {following}")
