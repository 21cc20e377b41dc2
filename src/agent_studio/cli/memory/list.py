"""`memory list`: the notes of an environment."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.errors import UsageError
from agent_studio.memory.book import open_memory
from agent_studio.memory.notes import KINDS, SESSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.memory.notes import Note

_LIMIT = 100
_LIMIT_MAX = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--kind", default="", choices=[*KINDS, SESSION.name], help="only of this kind")
    parser.add_argument("--tag", default="", help="only with this tag")
    parser.add_argument("--open", action="store_true", dest="only_open", help="only what still holds")
    parser.add_argument("--archived", action="store_true", help="what was rotated")
    parser.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help=f"notes at most (default: {_LIMIT})")


def run(args: argparse.Namespace, session: Session) -> Result:
    """List notes in the order of their files."""
    if not 1 <= args.limit <= _LIMIT_MAX:
        raise UsageError(f"--limit {args.limit} is not from 1 to {_LIMIT_MAX:,}")
    fitting = (
        note for note in open_memory(session.context).every(args.kind, archived=args.archived)
        if (not args.only_open or note.is_open) and (not args.tag or args.tag in note.tags)
    )  # fmt: skip
    (*shown,) = islice(fitting, args.limit)
    more = next(fitting, None) is not None
    data = {"notes": [note.told() for note in shown], "more": more}
    return Result(data, lambda screen: _render(screen, shown, more=more))


def _render(screen: Screen, shown: Sequence[Note], *, more: bool) -> None:
    if not shown:
        screen.line("No notes.")
        return
    draw(screen, shown)
    if more:
        screen.line(f"... and more: --limit {2 * len(shown)}")


def draw(screen: Screen, shown: Sequence[Note]) -> None:
    """Draw notes, one a line."""
    rows = [(note.id, note.kind, note.date, state(note), note.title) for note in shown]
    screen.columns(("id", "kind", "date", "state", "title"), rows)


def state(note: Note) -> str:
    """Return how a note stands, in a word or two."""
    return " ".join(filter(None, (note.severity.lower(), "" if note.is_open else "over"))) or "-"
