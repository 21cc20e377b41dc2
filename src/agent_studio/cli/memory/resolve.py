"""`memory resolve`: say in its place that a note no longer holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli.output import Result
from agent_studio.memory.book import open_memory

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("id", metavar="ID", help="its id, or what it is called by: ADR-012")
    parser.add_argument(
        "--as", dest="status", default="", metavar="STATUS",
        help='what it is now (default: Resolved, of a decision Superseded, else Obsolete); "Open" opens an issue again',
    )  # fmt: skip


def run(args: argparse.Namespace, session: Session) -> Result:
    """Change the note's status, and nothing else in its file."""
    note = open_memory(session.context).resolve(args.id, args.status)
    log.info(session.context, "memory.resolved", note=note.id, status=note.status)
    return Result(
        note.told(), lambda screen: screen.mark("ok", f"{note.id} in memory/{note.place}: {note.status or 'done'}")
    )
