"""Where each environment's events go: `.agent-studio/routes`, all that the recorder reads, and what had no route.

A line is `name TAB inbox TAB limit-bytes`. The inbox is an absolute path, checked here: the recorder cannot.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STATE
from agent_studio.errors import UnsafePathError
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.roots import EnvironmentRoot, Project

FILE = "routes"
INBOX = "events.jsonl"
UNROUTED = "unrouted.jsonl"
_HEAD_BYTES = 4_096
"""More than what stands before a recorded payload."""
_FIELDS = 2


@dataclass(frozen=True)
class Unrouted:
    """Events that went to no environment."""

    count: int
    environment: str
    """What `AGENT_STUDIO_ENV` said for the newest."""
    reason: str
    """Why the newest had no route, empty when its line is damaged."""


def write(project: Project, roots: Iterable[EnvironmentRoot], limit_bytes: Mapping[Environment, int]) -> None:
    """Replace the routes; an environment without a limit has none, one without a root has no route.

    Raises `UnsafePathError` for an inbox that is or passes a link, or whose path would break a line.
    """
    lines = []
    for root in roots:
        fields = [root.environment.encode(), os.fsencode(_inbox(root))]
        if root.environment in limit_bytes:
            fields.append(b"%d" % limit_bytes[root.environment])
        lines.append(b"\t".join(fields) + b"\n")
    state = _state(project)
    state.make()
    state.sweep(of=[FILE])
    state.replace(FILE, b"".join(lines))


def read(project: Project) -> dict[Environment, Path]:
    """Return each routed environment's inbox as the recorder finds it; empty when there are no routes."""
    try:
        table = _state(project).read(FILE)
    except FileNotFoundError:
        return {}
    found: dict[Environment, Path] = {}
    for line in table.split(b"\n"):
        fields = line.split(b"\t")
        name = fields[0].decode("utf-8", "replace")
        if len(fields) >= _FIELDS and name in list(Environment):
            found.setdefault(Environment(name), Path(os.fsdecode(fields[1])))
    return found


def unrouted(project: Project) -> Unrouted | None:
    """Return how many events have gone to no environment and why the newest did, or None when none has."""
    try:
        descriptor = _state(project).open(UNROUTED)
    except FileNotFoundError:
        return None
    count, position, start, newest = 0, 0, 0, 0
    with os.fdopen(descriptor, "rb") as file:
        for chunk in read_chunks(descriptor):
            count += chunk.count(b"\n")
            if (last := chunk.rfind(b"\n")) >= 0:
                before = chunk.rfind(b"\n", 0, last)
                newest, start = (position + before + 1 if before >= 0 else start), position + last + 1
            position += len(chunk)
        if position > start:  # a line without an end
            count, newest = count + 1, start
        file.seek(newest)
        head = file.read(_HEAD_BYTES)
    return Unrouted(count, *_why(head)) if count else None


def _why(head: bytes) -> tuple[str, str]:
    """Return environment and reason from the start of a line; both stand before the payload."""
    try:
        fields = json.loads(head.partition(b',"payload":')[0] + b"}")
        return str(fields["env"]), str(fields["reason"])
    except (ValueError, KeyError):
        return "", ""


def _inbox(root: EnvironmentRoot) -> Path:
    folder = root.folder("metrics")
    if folder.has_folder():  # a link on the way is refused
        with suppress(FileNotFoundError):
            folder.resolve(INBOX)  # looked at, never opened: it may be another environment's
    place = folder.path / INBOX
    if any(character in str(place) for character in "\t\n\r"):
        raise UnsafePathError(
            f"{str(place)!r} has a tab or a line break in its path, which the recorder's routes cannot hold",
            hint="rename the folder, then run the command again",
        )
    return place


def _state(project: Project) -> Folder:
    return Folder(project.path, STATE)
