"""Writes the repairs of front matter into files: only the lines concerned change, each file in one step.

A file is left as it is where anything is in doubt: another encoding, line ends of two kinds, a link on the way to it,
or a result that would not be read the same by a strict reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.knowledge import front_matter, places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.places import Place
    from agent_studio.knowledge.yaml.mending import Repair

HEAD_BYTES = 1 << 20
"""Files above this are left alone."""


class Change(NamedTuple):
    """One file that is or would be rewritten."""

    path: str
    lines: int
    """How many of its lines are replaced."""
    data: bytes
    reason: str = ""
    """Why it is left as it is; empty where it is rewritten."""


def changes(project: Project) -> Iterator[Change]:
    """Yield what repairing would do, file by file; nothing is written."""
    for place in places.walk(project).files:
        try:
            data = project.folder.read(place.path)
        except FileNotFoundError:
            continue
        except AgentStudioError as fault:
            yield Change(place.path, 0, b"", fault.message)
            continue
        if change := _change(place, data):
            yield change


def write(project: Project, change: Change) -> None:
    """Replace one file; raise what the door to the project raises."""
    project.folder.replace(change.path, change.data)


def _change(place: Place, data: bytes) -> Change | None:
    if place.path.endswith((".yaml", ".yml")) or len(data) > HEAD_BYTES:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    found = front_matter.read(text)
    if not found.repairs:
        return None
    count = sum(repair.lines for repair in found.repairs)
    if text.count("\r") != text.count("\r\n") or 0 < text.count("\r\n") < text.count("\n"):
        return Change(place.path, count, b"", "its lines end in more than one way")
    end = "\r\n" if "\r\n" in text else "\n"
    repaired = end.join(_repaired(text.split(end), found.repairs))
    again = front_matter.read(repaired)
    if again.repairs or again.fields != found.fields or again.body != found.body:
        return Change(place.path, count, b"", "it would not be read the same")
    return Change(place.path, count, repaired.encode())


def _repaired(lines: list[str], repairs: Sequence[Repair]) -> list[str]:
    for one in sorted(repairs, key=lambda repair: -repair.line):
        lines[one.line - 1 : one.line - 1 + one.lines] = one.repaired.split("\n") if one.repaired else []
    return lines
