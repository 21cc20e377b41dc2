"""Putting the skills and commands into a project: only what is missing, never over a file of somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project

CREATED, KEPT, DIFFERS = "created", "kept", "differs"
"""What became of a file: it was missing, was there as it is, or is somebody's own and stays."""
_FILES = Path(__file__).with_name("files")


class Placed(NamedTuple):
    """One file and what became of it, or would."""

    path: Path
    state: str


def names() -> list[str]:
    """Return the files, by their paths in `.claude/`."""
    return sorted(place.relative_to(_FILES).as_posix() for place in _FILES.rglob("*.md"))


def install(project: Project, *, dry_run: bool = False) -> list[Placed]:
    """Create each file that is missing and return what became of all.

    Raises `UnsafePathError` where a folder on the way is a link.
    """
    return [_placed(project, name, dry_run=dry_run) for name in names()]


def _placed(project: Project, name: str, *, dry_run: bool) -> Placed:
    data, shown = _FILES.joinpath(*name.split("/")).read_bytes(), project.shown(name)
    place = project.definition(name)
    try:
        there = project.folder.read(shown)
    except FileNotFoundError:
        there = b""
    if there:
        return Placed(place, KEPT if there == data else DIFFERS)
    if not dry_run:
        project.folder.make(shown.rpartition("/")[0])
        project.folder.create(shown, data)
    return Placed(place, CREATED)
