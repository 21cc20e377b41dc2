"""What the sub-verbs of `evolve` have in common: options, and how evolutions, gates and suggestions are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem
from agent_studio.errors import ExitCode, UsageError
from agent_studio.evolution import drafts, phases, shown, store, workflow
from agent_studio.evolution.judging import Asker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.evolution.state import Evolution, State, Suggestion
    from agent_studio.evolution.store import Held

CODES = {"PASS": ExitCode.DONE, "FAIL": ExitCode.FAILED, "INSUFFICIENT": ExitCode.INSUFFICIENT}
MARKS = {"PASS": "ok", "FAIL": "bad", "INSUFFICIENT": "none"}


def add_unlike(parser: argparse.ArgumentParser) -> None:
    """Add the option that answers for artifacts which look alike."""
    parser.add_argument(
        "--unlike", action="append", default=[], metavar="NAME=WHY",
        help="an artifact that looks like it, and why it does not do what is needed; kept for ever, may be repeated",
    )  # fmt: skip


def unlike(args: argparse.Namespace) -> dict[str, str]:
    """Return the answers that were given; raise `UsageError` for one without a reason."""
    found = {}
    for given in args.unlike:
        name, _, why = (part.strip() for part in given.partition("="))
        if not name or len(why.split()) < 2:  # noqa: PLR2004 - one word is no reason
            raise UsageError(f"--unlike {given!r} gives no reason", hint='--unlike "NAME=WHY it does not do"')
        found[name] = " ".join(why.split())
    return found


def asker(session: Session) -> Asker:
    """Return who judges."""
    return Asker(session.context, session.variables, tuple(session.overrides))


def told(context: Context, one: Evolution) -> dict[str, Any]:
    """Return an evolution as programs are told of it, with where its draft belongs."""
    return {**shown.evolution(one), "draft": drafts.shown_place(context, one)}


def problems(held: Held) -> list[Problem]:
    """Return what is the matter with the state file, as a note."""
    said = store.problem(held)
    return [Problem("state-file", said, "agent-studio evolve status --repair", is_note=True)] if said else []


def gates(screen: Screen, found: Iterable[Mapping[str, Any]]) -> None:
    """Write one line a gate."""
    rows = list(found)
    width = max((len(one["name"]) for one in rows), default=0)
    for one in rows:
        screen.mark(MARKS[one["verdict"]], f"{one['name']:<{width}}  {one['reason']}")


def title(one: Evolution) -> str:
    """Return what an evolution is called in one line."""
    return f"Evolution {one.id}: {one.kind} {one.name}"


def path(one: Evolution) -> str:
    """Return the phases, the current one in brackets."""
    return " > ".join(f"[{name}]" if name == one.phase and not one.outcome else name for name in phases.PHASES)


def suggestions(screen: Screen, queue: Sequence[Suggestion]) -> None:
    """Write one line a suggestion."""
    rows = [(one.id, one.kind, f"{one.count}x", one.last[:10], one.text) for one in queue]
    screen.columns(("id", "from", "seen", "last", "what"), rows, numbers={"seen"})


def next_line(context: Context, state: State) -> str:
    """Return the line that says what brings things on."""
    return f"next: {workflow.next_command(context, state)}"
