"""Moves what is old from a file that has grown long to a dated archive, from which search still finds it.

A file over the limit of lines gives up decisions older than so many days, issues settled for so many, and of the other
kinds the oldest until the rest fits. What has no date stays. Notes are moved as they are, byte by byte; they are in the
archive before they leave their file, below the headings that they stood below.
"""

from __future__ import annotations

import os
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.memory import notes, scanning
from agent_studio.memory.book import ARCHIVE, Memory
from agent_studio.memory.notes import DECISION, ISSUE, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.memory.notes import Kind, Note
    from agent_studio.memory.scanning import Span

_SETTLED_ON = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")


class Limits(NamedTuple):
    """When a note is old, and a file long."""

    decision_days: int
    resolved_days: int
    other_days: int
    lines: int


class Rotated(NamedTuple):
    """What became of one file."""

    file: str
    lines: int
    """Before."""
    moved: Sequence[Note]
    archive: str
    undated: int
    """Notes that stay because nothing tells how old they are."""
    lines_after: int


class _Placed(NamedTuple):
    span: Span
    note: Note
    day: date | None
    lines: int


def limits(context: Context) -> Limits:
    """Return the limits that an environment's configuration sets."""
    return Limits(*(int(context.config[f"memory.rotation.{name}"]) for name in _KEYS))


_KEYS = ("decisionDays", "resolvedDays", "otherDays", "maxLines")


def rotate(memory: Memory, within: Limits, *, always: bool = False, dry_run: bool = False) -> list[Rotated]:
    """Rotate every file that is over its limit, or `always`; a dry run only tells what would be moved."""
    today = clock.now().date()
    with memory.changing():
        return [
            rotated for kind in KINDS.values()
            if (rotated := _rotate(memory, kind, within, today, always=always, dry_run=dry_run)) is not None
        ]  # fmt: skip


def _rotate(memory: Memory, kind: Kind, within: Limits, today: date, *, always: bool, dry_run: bool) -> Rotated | None:
    try:
        data = memory.folder.read(kind.file)
    except FileNotFoundError:
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    if lines <= within.lines and not always:
        return None
    placed = list(_placed(data, kind))
    going = _whole(placed, _old(placed, kind, within, today, spare=None if always else lines - within.lines))
    archive = f"{ARCHIVE}/{kind.file.removesuffix('.md')}-{today.isoformat()}.md"
    rest = _without(data, going)
    if going and not dry_run:
        _keep(memory, archive, kind, data, going)
        memory.folder.replace(kind.file, rest)
    return Rotated(
        kind.file, lines, [one.note for one in going], archive if going else "",
        sum(one.day is None for one in placed), rest.count(b"\n"),
    )  # fmt: skip


def _placed(data: bytes, kind: Kind) -> Iterator[_Placed]:
    """Yield the notes with their age; one without a date is as old as the one it stands below."""
    days: dict[int, date | None] = {}
    for span in scanning.spans(data):
        part = data[span.start : span.end]
        note = notes.read(part, kind.name, place=kind.file, groups=span.groups)
        day = _day(note.date) or days.get(span.parent)
        days[span.start] = day
        if kind is not ISSUE or notes.is_issue(note):
            yield _Placed(span, note, _settled(note, day) if kind is ISSUE else day, part.count(b"\n"))


def _settled(note: Note, day: date | None) -> date | None:
    """Return when an issue was settled, as far as its status tells."""
    told = _SETTLED_ON.search(note.status)
    return (_day(told[1]) if told else None) or day


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _old(placed: Sequence[_Placed], kind: Kind, within: Limits, today: date, *, spare: int | None) -> set[int]:
    """Return the starts of the notes that go; of kinds without a rule of their own no more than `spare` lines."""
    days = {ISSUE.name: within.resolved_days, DECISION.name: within.decision_days}.get(kind.name, within.other_days)
    before = today - timedelta(days=days)
    old = [one for one in placed if one.day is not None and one.day < before]
    if kind is ISSUE:
        return {one.span.start for one in old if not one.note.is_open}
    if kind is DECISION or spare is None:
        return {one.span.start for one in old}
    going: set[int] = set()
    for one in sorted(old, key=lambda one: one.day or today):
        if spare <= 0:
            break
        going.add(one.span.start)
        spare -= one.lines
    return going


def _whole(placed: Sequence[_Placed], going: set[int]) -> list[_Placed]:
    """Leave a note where others stand below it that stay."""
    for one in reversed(placed):
        if one.span.start not in going and one.span.parent in going:
            going.discard(one.span.parent)
    return [one for one in placed if one.span.start in going]


def _without(data: bytes, going: Sequence[_Placed]) -> bytes:
    parts, at = list[bytes](), 0
    for one in going:
        parts.append(data[at : one.span.start])
        at = one.span.end
    return b"".join((*parts, data[at:]))


def _keep(memory: Memory, archive: str, kind: Kind, data: bytes, going: Sequence[_Placed]) -> None:
    """Write notes into an archive, durably, but for those that a process which died has written there before."""
    memory.folder.make(ARCHIVE)
    title = f"# {kind.title}: moved on {archive[-13:-3]}\n".encode()
    memory.folder.create(archive, title)
    descriptor = memory.folder.open(archive, os.O_RDWR | os.O_APPEND)
    try:
        from agent_studio.storage.descriptors import read_chunks, write_all  # noqa: PLC0415 - only where something moves
        from agent_studio.storage.folder import disk_faults  # noqa: PLC0415 - as above

        there = b"".join(read_chunks(descriptor))
        known = {there[span.start : span.end].strip() for span in scanning.spans(there)}
        fresh = [one for one in going if data[one.span.start : one.span.end].strip() not in known]
        with disk_faults(memory.folder.path / archive):
            try:
                write_all(descriptor, b"".join(_moved(data, fresh, kind, title, is_first=there == title)))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, len(there))
                raise
    finally:
        os.close(descriptor)
    memory.folder.sync()


def _moved(data: bytes, going: Sequence[_Placed], kind: Kind, title: bytes, *, is_first: bool) -> Iterator[bytes]:
    """Yield notes as an archive holds them: below the headings that they stood below, each apart from the others."""
    before: tuple[bool, tuple[str, ...]] | None = (False, ()) if is_first else None
    starts = {one.span.start for one in going}
    for one in going:
        raw = data[one.span.start : one.span.end].removeprefix(b"\xef\xbb\xbf").strip(b"\r\n")
        above = (one.span.level == 0, one.span.groups)
        if one.span.parent not in starts and above != before:
            yield b"".join(_headings(above, kind, b"" if before == (False, ()) else b"\n" + title))
        if one.span.parent not in starts:
            before = above
        yield b"\n" + raw + b"\n" + scanning.unended(raw)[1]


def _headings(above: tuple[bool, tuple[str, ...]], kind: Kind, title: bytes) -> Iterator[bytes]:
    is_item, groups = above
    yield title
    if is_item and not groups:
        groups = (kind.file.removesuffix(".md").capitalize(),)  # below it items stand for themselves
    for level, group in enumerate(groups, start=2):
        yield f"\n{'#' * level} {group}\n".encode()
