"""The files that a journal consists of: those of closed days, sealed, and the live one.

The live file is renamed when its day has closed: `hooks.jsonl` becomes `hooks.<day>.<number>.jsonl`, the UTC day on
which it was begun and a number from 1. A sealed file never changes again, may be gzipped, and has a twin of columns in
the lake. A record is in exactly one segment, so nobody who reads each once counts anything twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

JOURNALS: Mapping[str, tuple[str, str]] = {
    "hooks": ("metrics", "hooks.jsonl"),
    "agents": ("metrics", "agents.jsonl"),
    "errors": ("metrics", "errors.jsonl"),
    "sessions": ("sessions", "session-log.jsonl"),
}
"""By kind of record: the kind of data folder, and the live file in it."""
LAKE = "lake"
"""Below the state folder of the journals' owner: `<kind>/<day>.<number>.parquet`."""
_SEALED = re.compile(r"(?P<stem>[a-z-]+)\.(?P<day>\d{4}-\d{2}-\d{2})\.(?P<number>[1-9]\d{0,8})\.jsonl(?P<gzip>\.gz)?")


class Segment(NamedTuple):
    """One file of a journal."""

    name: str
    kind: str
    """hooks, agents, errors or sessions."""
    day: str
    """The UTC day on which it was begun, `2026-01-31`; empty for the live file."""
    number: int
    """Which one of that day, from 1; 0 for the live file."""
    size: int
    is_live: bool
    is_gzip: bool

    @property
    def parquet(self) -> str:
        """Its twin in the lake, below the owner's state folder."""
        return f"{LAKE}/{self.kind}/{self.day}.{self.number}.parquet"


def folder_of(root: EnvironmentRoot, kind: str) -> Folder:
    """Return the folder that a journal's files are in."""
    return root.folder(JOURNALS[kind][0])


def live_name(kind: str) -> str:
    """Return the name of a journal's live file."""
    return JOURNALS[kind][1]


def sealed_name(kind: str, day: str, number: int) -> str:
    """Return the name of a sealed file."""
    return f"{_stem(kind)}.{day}.{number}.jsonl"


def segments(root: EnvironmentRoot, kind: str) -> list[Segment]:
    """Return the files of a journal, oldest first, the live one last; of a file and its gzipped copy the file alone."""
    folder = folder_of(root, kind)
    if not folder.has_folder():
        return []
    found: dict[tuple[str, int], Segment] = {}
    for one in _found(folder, kind):
        held = found.get((one.day, one.number))
        if held is None or held.is_gzip:
            found[one.day, one.number] = one
    return sorted(found.values(), key=lambda one: (one.is_live, one.day, one.number))


def _found(folder: Folder, kind: str) -> Iterator[Segment]:
    for name in folder.names():
        match = _SEALED.fullmatch(name)
        is_live = name == live_name(kind)
        if not is_live and (match is None or match["stem"] != _stem(kind)):
            continue
        status = folder.status(name)
        if status is None:
            continue
        if match is None:
            yield Segment(name, kind, "", 0, status.st_size, is_live=True, is_gzip=False)
        else:
            yield Segment(
                name, kind, match["day"], int(match["number"]), status.st_size, is_live=False,
                is_gzip=match["gzip"] is not None,
            )  # fmt: skip


def _stem(kind: str) -> str:
    return live_name(kind).removesuffix(".jsonl")
