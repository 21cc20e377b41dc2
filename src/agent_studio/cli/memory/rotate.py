"""`memory rotate`: move what is old from files that have grown long to dated archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli import output
from agent_studio.cli.output import Result
from agent_studio.memory import rotation
from agent_studio.memory.book import open_memory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.memory.rotation import Rotated


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--all", action="store_true", help="also what is old in files that are not too long")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be moved")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Rotate the files of memory."""
    memory, within = open_memory(session.context), rotation.limits(session.context)
    if not memory.folder.has_folder():
        return Result({"files": [], "dryRun": args.dry_run}, lambda screen: screen.line("Nothing to rotate."))
    if not args.dry_run:
        planned = sum(len(one.moved) for one in rotation.rotate(memory, within, always=args.all, dry_run=True))
        if planned:
            output.ask(f"move {planned} notes to archives in memory/archive/?", yes=args.yes)
    found = rotation.rotate(memory, within, always=args.all, dry_run=args.dry_run)
    if not args.dry_run and any(one.moved for one in found):
        log.info(session.context, "memory.rotated", notes=sum(len(one.moved) for one in found))
    files = [
        {
            "file": one.file, "lines": one.lines, "linesAfter": one.lines_after, "archive": one.archive or None,
            "moved": [note.id for note in one.moved], "undated": one.undated,
        }
        for one in found
    ]  # fmt: skip
    return Result({"files": files, "dryRun": args.dry_run}, lambda screen: _render(screen, found, is_dry=args.dry_run))


def _render(screen: Screen, found: Sequence[Rotated], *, is_dry: bool) -> None:
    if not found:
        screen.line("Nothing to rotate: no file is over its limit of lines.")
    for one in found:
        verb = "would move" if is_dry else "moved"
        target = f" to memory/{one.archive}" if one.archive else ""
        screen.mark(
            "ok",
            f"{one.file}: {verb} {len(one.moved)} notes{target}, {one.lines:,} lines before, {one.lines_after:,} after",
        )
        if one.undated:
            screen.mark("note", f"{one.undated} have no date, and stay")
