"""What is left to ship of a journal: its files, whatever they are called by now, each from where one was.

A file is known by its first line. So the live one is found again when it was sealed, packed or moved to the archive;
and one that was cut or replaced, of which what stood before the cursor is gone, begins anew. A live file's last line
waits until it is whole.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import EnvironmentRoot
from agent_studio.fleet.cursor import Entry
from agent_studio.monitor import blocks
from agent_studio.monitor.lines import MARK
from agent_studio.monitor.segments import JOURNALS, folder_of, segments
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.sealed import ARCHIVE, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.fleet.cursor import Cursor
    from agent_studio.monitor.segments import Segment
    from agent_studio.storage.folder import Folder

LIVE = ""
"""The live file's key in a cursor."""
_HEAD_BYTES = 64 << 10
_ANCHOR_BYTES = 1 << 10
_LINE_MAX_BYTES = 16 << 20
"""No record of ours is as long."""
_DIGITS = 32
_TRIES = 5


class Piece(NamedTuple):
    """A file of a journal, and from where on it is to be shipped."""

    folder: Folder
    segment: Segment
    entry: Entry

    @property
    def key(self) -> str:
        """Its key in a cursor."""
        return key_of(self.segment)

    @property
    def left(self) -> int:
        """How many bytes of it wait; a torn line is among them."""
        return max(self.entry.size - self.entry.offset, 0)


class Look(NamedTuple):
    """A journal as it was found, beside its cursor."""

    pieces: list[Piece]
    """All that are at hand, oldest first, the live one last."""
    lost: list[Entry]
    """Of which something was not shipped, and which are gone."""
    replaced: list[str]
    """Names of files that are not those the cursor knew."""

    def settle(self, cursor: Cursor) -> None:
        """Have a cursor say what was found."""
        cursor.entries = {piece.key: piece.entry for piece in self.pieces if piece.entry.head}
        cursor.lost_files += len(self.lost)
        cursor.lost_bytes += sum(one.size - one.offset for one in self.lost)
        cursor.replaced += len(self.replaced)


def key_of(segment: Segment) -> str:
    """Return a file's key in a cursor."""
    return LIVE if segment.is_live else f"{segment.day}.{segment.number}"


def look(root: EnvironmentRoot, state: Folder, kind: str, known: dict[str, Entry], keep_days: int) -> Look:
    """Find what is left of a journal; archived files that the engine would not keep are passed over.

    `state` is that of the environment that archives the journal.
    """
    oldest = (clock.now() - timedelta(days=keep_days)).date().isoformat()
    left = dict(known)
    pieces, lost, replaced = [], [], []
    for folder, segment in _settled(root, state, kind):
        key, entry = key_of(segment), left.get(key_of(segment))
        is_archived = folder.path.name == ARCHIVE
        if is_archived and (segment.day < oldest if entry is None else entry.offset == entry.size):
            pieces += [Piece(folder, segment, left.pop(key))] if entry is not None else []
            continue
        size = _size(folder, segment)
        if segment.is_live or entry is None or entry.offset != size:
            head = _head(folder, segment)
            if entry is None and LIVE in left and head == left[LIVE].head:
                key, entry = LIVE, left[LIVE]  # it was sealed
            if entry is not None and not _goes_on(folder, segment, entry, head, size):
                replaced.append(segment.name)
                lost += [entry] if entry.head != head else []
                entry = None
            entry = entry or Entry(head)
        left.pop(key, None)
        pieces.append(Piece(folder, segment, entry._replace(size=size)))
    lost += left.values()
    return Look(pieces, [one for one in lost if one.offset < one.size], replaced)


class Line(NamedTuple):
    """A line of a journal."""

    data: bytes
    """Without its end."""
    start: int
    end: int
    """Where the next one starts."""


def lines(piece: Piece) -> Iterator[Line]:
    """Yield a piece's further lines; a live file's torn one is not among them, nor what is blank.

    Of a line that is far too long the beginning is given. Raises `blocks.DamagedFileError` where a packed file is cut
    short or rotten, `FileNotFoundError` for one that was moved meanwhile.
    """
    with blocks.opened(piece.folder, piece.segment) as file:
        offset = piece.entry.offset
        file.seek(offset)
        while data := file.readline(_LINE_MAX_BYTES):
            start, offset = offset, offset + len(data)
            ended = data.endswith(b"\n")
            while not ended and (rest := file.readline(_LINE_MAX_BYTES)):
                offset, ended = offset + len(rest), rest.endswith(b"\n")
            if not ended and piece.segment.is_live:
                return
            if not start:
                data = data.removeprefix(MARK)
            if not data.isspace():
                yield Line(data.removesuffix(b"\n"), start, offset)


def anchor(line: Line) -> str:
    """Return what the last line before an offset is known by: where it starts, and a hash of its beginning."""
    return f"{line.start}:{hashlib.sha256(line.data[:_ANCHOR_BYTES]).hexdigest()[:_DIGITS]}"


def _anchor(file: IO[bytes], start: int) -> str:
    file.seek(start)
    data = file.readline(_ANCHOR_BYTES + len(MARK) + 1)
    data = data.removesuffix(b"\n") if start else data.removesuffix(b"\n").removeprefix(MARK)
    return anchor(Line(data, start, 0))


def _goes_on(folder: Folder, segment: Segment, entry: Entry, head: str, size: int) -> bool:
    """Tell whether a file still is the one that was shipped up to the entry's offset."""
    if not entry.offset:
        return entry.head in {"", head}
    if entry.head != head or entry.offset > size:
        return False
    start = entry.anchor.partition(":")[0]
    with suppress(blocks.DamagedFileError), blocks.opened(folder, segment) as file:
        return start.isdecimal() and _anchor(file, int(start)) == entry.anchor
    return False


def _head(folder: Folder, segment: Segment) -> str:
    """Return the hash of a file's first line, nothing while that is not whole."""
    try:
        with blocks.opened(folder, segment) as file:
            first = file.readline(_HEAD_BYTES)
    except blocks.DamagedFileError:
        first = segment.name.encode() + b"\n"
    is_whole = first.endswith(b"\n") or len(first) == _HEAD_BYTES or (first and not segment.is_live)
    return hashlib.sha256(first.removesuffix(b"\n")).hexdigest()[:_DIGITS] if is_whole else ""


def _size(folder: Folder, segment: Segment) -> int:
    """Return how much a file holds; of a packed one that is cut short, nothing that can be relied on."""
    if not segment.is_gzip:
        return segment.size
    with disk_faults(folder.path / segment.name), os.fdopen(folder.open(segment.name), "rb") as file:
        return unpacked_size(file) or 0


def _settled(root: EnvironmentRoot, state: Folder, kind: str) -> list[tuple[Folder, Segment]]:
    """List the files of a journal while none of them is renamed."""
    found = _listed(root, state, kind)
    for _ in range(_TRIES):
        before, found = found, _listed(root, state, kind)
        if [one.name for _, one in before] == [one.name for _, one in found]:
            break
    return found


def _listed(root: EnvironmentRoot, state: Folder, kind: str) -> list[tuple[Folder, Segment]]:
    archived = placed(root, state, {JOURNALS[kind][0]: ARCHIVE})
    found: dict[str, tuple[Folder, Segment]] = {}
    for place in (archived, root):
        for segment in segments(place, kind):
            if segment.is_live and place is archived:
                continue
            found[key_of(segment)] = (folder_of(place, kind), segment)
    return sorted(found.values(), key=lambda one: (one[1].is_live, one[1].day, one[1].number))


def placed(root: EnvironmentRoot, state: Folder, folders: Mapping[str, str]) -> EnvironmentRoot:
    """Return a root with some kinds of data in folders below a state folder."""
    base = state.path.relative_to(root.project.path).as_posix()
    kinds = {**root.kinds, **{kind: f"{base}/{name}" for kind, name in folders.items()}}
    return EnvironmentRoot(root.project, root.environment, root.root, kinds)
