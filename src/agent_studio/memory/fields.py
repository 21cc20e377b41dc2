"""What a note says about itself: its id, and fields such as `- **Status**: Open`, told from sentences that look so.

A field stands in the lines directly below the note's first one, or is marked (`**Status**:`), or is a row of a table.
Elsewhere "Status: 404 means that the row is locked" is what a person wrote.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.memory import scanning

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = re.compile(rb"<!--\s*id:\s*([A-Za-z0-9][A-Za-z0-9._:-]{0,79})\s*-->")
_FIELD = re.compile(
    rb"^([ \t>]*)(?:[-*+] +)?([*_]{0,2})(date|status|tags?|source|severity|priority)[*_]{0,2}[ \t]*:[*_]{0,2}[ \t]*"
    rb"([^\n]*)$", re.IGNORECASE | re.MULTILINE,
)  # fmt: skip
_CELL = re.compile(rb"^[ \t]*\|[ \t*_]*(status)[ \t*_]*\|([^|\n]*)\|", re.IGNORECASE | re.MULTILINE)
_PART = re.compile(rb"^#{2,6}[ \t]+(Status)[ \t]*\r?\n(?:[ \t]*\r?\n)*([^\n\r#]+)", re.IGNORECASE | re.MULTILINE)
_HEAD = re.compile(rb"\s*[^\n]*(?:\n|\Z)(?:[ \t]*<!--[^\n]*-->[ \t\r]*(?:\n|\Z)|[ \t\r]*\n)*")
_BLOCK = re.compile(rb"(?:[ \t>]*(?:[-*+] +)?[*_]{0,2}[^\W\d][\w /-]{0,30}[*_]{0,2}[ \t]*:[^\n]*(?:\n|\Z))*")
_NESTED = 2
"""Spaces from which on an item stands below another."""
_STATE = re.compile(
    r"(?:open|new|todo|to do|in progress|wip|blocked|reopened|investigating|pending|active|accepted|approved|proposed|"
    r"draft|superseded|deprecated|rejected|obsolete|withdrawn|resolved|fixed|closed|done|completed|outdated|archived|"
    r"won[’']?t[ -]?fix|duplicate|invalid|unresolved|no longer (?:valid|true|needed))"
    r"(?:\W*|\s*[(\[,;.:–—-].*|\s+(?:by|in|on|since|as of|with|for|until)\b.*)", re.IGNORECASE,
)  # fmt: skip


class Field(NamedTuple):
    """A field and where its value stands in the note's bytes."""

    name: str
    value: str
    start: int
    end: int
    line_start: int
    is_cell: bool = False


def of(data: bytes, *, has_status: bool) -> Iterator[Field]:
    """Yield a note's fields in order; `has_status` says that any status counts that stands where fields do."""
    hidden = scanning.hidden_spans(data)
    head = _HEAD.match(data)
    block = _BLOCK.match(data, head.end() if head else 0)
    end = block.end() if block else 0
    found = [_field(match) for match in _FIELD.finditer(data) if _counts(match, match.start() < end, has_status)]
    found += [_cell(match) for match in _CELL.finditer(data)]
    found = [one for one in found if not any(begin <= one.line_start < over for begin, over in hidden)]
    yield from sorted(found, key=lambda one: one.line_start)
    if not any(one.name == "status" for one in found):
        parts = (match for match in _PART.finditer(data) if not any(a <= match.start() < b for a, b in hidden))
        yield from map(_cell, parts)


def _counts(match: re.Match[bytes], in_block: bool, has_status: bool) -> bool:  # noqa: FBT001 - one caller
    if match[3].lower() != b"status" or match[2]:
        return True
    if in_block and has_status and len(match[1].expandtabs(4)) < _NESTED:
        return True
    return in_block and is_state(match[4].decode("utf-8", "replace"))


def is_state(value: str) -> bool:
    """Tell whether a value names a state, and is no sentence that begins with a word for one."""
    return _STATE.fullmatch(value.strip(" \t\r*_`")) is not None


def _field(match: re.Match[bytes]) -> Field:
    start = match.start(4)
    return _made(match[3], match[4].rstrip(b"\r"), start, match.start(), is_cell=False)


def _cell(match: re.Match[bytes]) -> Field:
    inner = match[2]
    start = match.start(2) + len(inner) - len(inner.lstrip())
    return _made(match[1], inner.strip(), start, match.start(), is_cell=True)


def _made(name: bytes, value: bytes, start: int, line_start: int, *, is_cell: bool) -> Field:
    told = value.decode("utf-8", "replace").strip(" \t\r*_`")
    return Field(name.decode().lower(), told, start, start + len(value), line_start, is_cell)


def written_id(data: bytes) -> re.Match[bytes] | None:
    """Return where a note's id is written in it; one in an example of code is none."""
    found = list(ID.finditer(data))
    if len(found) == 1 and data.count(b"<!--") == 1 and b"`" not in data and b"~~~" not in data:
        return found[0]  # nearly all notes
    hidden = set(scanning.hidden_spans(data)) if found else set()
    return next((match for match in found if match.span() in hidden), None)
