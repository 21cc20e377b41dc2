"""Putting the skills and commands into a project: only what is missing, never over a file of somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project

CREATED, KEPT, DIFFERS = "created", "kept", "differs"
"""What became of a file: it was missing, was there as it is, or is somebody's own and stays."""
_SOURCES = (Path(__file__).with_name("files"), Path(__file__).parents[2] / "evolution" / "client")
"""Folders of files as they lie in `.claude/`; those of a floor above are data here."""


class Placed(NamedTuple):
    """One file and what became of it, or would."""

    path: Path
    state: str


def names() -> list[str]:
    """Return the files, by their paths in `.claude/`."""
    return sorted(files())


def files() -> dict[str, Path]:
    """Return where each file is kept, by its path in `.claude/`."""
    return {place.relative_to(folder).as_posix(): place for folder in _SOURCES for place in folder.rglob("*.md")}


def install(project: Project, *, dry_run: bool = False) -> list[Placed]:
    """Create each file that is missing and return what became of all.

    Raises `UnsafePathError` where a folder on the way is a link.
    """
    return [_placed(project, name, dry_run=dry_run) for name in names()]


def _placed(project: Project, name: str, *, dry_run: bool) -> Placed:
    data, shown = files()[name].read_bytes(), project.shown(name)
    place = project.definition(name)
    try:
        there: bytes | None = project.folder.read(shown)
    except FileNotFoundError:
        there = None
    if there is not None:
        return Placed(place, KEPT if there == data else DIFFERS)
    if not dry_run:
        project.folder.make(shown.rpartition("/")[0])
        project.folder.create(shown, data)
    return Placed(place, CREATED)
