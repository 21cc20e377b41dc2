"""`memory show`: one note, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result, one_line
from agent_studio.memory.book import open_memory

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.memory.notes import Note


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="its id, or what it is called by: ADR-012")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Show the note."""
    memory = open_memory(session.context)
    note = memory.get(args.id)
    return Result(note.told(), lambda screen: _render(screen, note, memory.where(note.place)))


def _render(screen: Screen, note: Note, where: str) -> None:
    screen.line(f"{note.id}  {note.kind}  {where}:{note.line}\n")
    for line in note.text.split("\n"):
        screen.line(one_line(line))
