"""Where the notes of a Markdown file begin and end, however a person has written it.

A note is a heading with what stands below it, or an item of a list where items stand for themselves: below the file's
title, or below a heading such as "Open issues". Headings that only group others are none; those that name a part of a
note ("Context", "Consequences") belong to it. What is in a block of code or a comment is no heading.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADING = re.compile(rb"^(?:\xef\xbb\xbf)? {0,3}(#{1,6})[ \t]+([^\n]*)$", re.MULTILINE)
_FENCE = re.compile(rb"^[ \t]*(?:[-*+] +)?(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_FRONT_MATTER = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t\r]*\n.*?\n---[ \t\r]*\n", re.DOTALL)
_COMMENT = re.compile(rb"<!--")
_UNSEEN = re.compile(rb"<!--.*?-->|^[ \t\r]*(?:[-*_] *){3,}$", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(rb"^ ?(?:[-*+]|\d{1,6}[.)])[ \t]+(\S[^\n]*)", re.MULTILINE)
_BLOCK = re.compile(rb"^(?:[^\S\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_BLANK = re.compile(rb"\n[ \t\r]*\n(?=\S)")
_PART = re.compile(
    r"(?:status|context|decision(?: drivers| outcome)?|consequences?|alternatives?(?: considered)?|considered options|"
    r"options?|rationale|date|deciders?|problem(?: statement)?|solution|impact|examples?|details?|symptoms?|evidence|"
    r"(?:root )?causes?|fix(?:es)?|resolution|notes?|references?|links?|related(?: \w+)?|summary|workarounds?|steps|"
    r"implementation|background|outcome|trade-?offs|pros(?: and cons)?|cons|validation|more information|positive|"
    r"negative|neutral|why|how|when|what)(?: \(.*\))?:?", re.IGNORECASE,
)  # fmt: skip
_ID = re.compile(rb"<!--\s*id:\s*([A-Za-z0-9][A-Za-z0-9._:-]{0,79})\s*-->")
_ID_BELOW = re.compile(rb"\s*" + _ID.pattern)
_LABELLED = re.compile(r"\[?ADR-\d")
_ADDED = b"n-"
"""How the ids begin that notes are added with."""
_ABOUT = re.compile(
    r"(?:summary|format|template|legend|index|contents|table of contents|priority breakdown|how to use.*|about.*)"
    r"(?: \(.*\))?:?", re.IGNORECASE,
)  # fmt: skip
"""Headings that tell of the file itself."""
_LIST = re.compile(
    r"(?:(?:known |open |current |resolved |closed |fixed )?(?:issues|problems|blockers)(?: and blockers)?|open|"
    r"resolved|closed|fixed|archived?|done|learnings|gotchas|patterns|discoveries|decisions)(?: \(.*\))?:?",
    re.IGNORECASE,
)  # fmt: skip
"""Headings below which items stand for themselves."""


class Span(NamedTuple):
    """A note's place in the bytes of its file."""

    start: int
    end: int
    level: int
    """Of its heading; 0 for an item of a list."""
    title: str
    groups: tuple[str, ...]
    """The headings above it, without the file's title."""
    parent: int = -1
    """The start of the note it stands below, if any."""


class _Heading(NamedTuple):
    start: int
    body: int
    level: int
    title: str
    id: bytes = b""
    """The one written below it, which makes it a note whatever it is called."""


def spans(data: bytes, *, is_whole: bool = True) -> Iterator[Span]:
    """Yield the notes of a file in order; a part of one that begins with a heading is not `is_whole`."""
    headings = list(_headings(data))
    if not headings:
        yield from _blocks(data, 0, len(data)) if is_whole else ()
        return
    if is_whole and headings[0].start > 0:
        front = _FRONT_MATTER.match(data)
        # what was a file without headings before a note was added to it is read as it was
        read = _blocks if headings[0].id.startswith(_ADDED) else _items
        yield from read(data, front.end() if front else 0, headings[0].start)
    open_: list[tuple[_Heading, int]] = []  # with the start of its note, or -1 for a group
    at = 0
    while at < len(headings):
        heading = headings[at]
        while open_ and open_[-1][0].level >= heading.level:
            open_.pop()
        last = at + 1
        groups = tuple(one.title for one, _ in open_ if one.level > 1)
        end = _end(data, headings, at)
        if not heading.id and ((is_whole and at == 0 and _is_title(heading)) or _LIST.fullmatch(heading.title)):
            yield from _items(data, heading.body, end, (*groups, heading.title) if heading.level > 1 else groups)
            open_.append((heading, -1))
        elif not heading.id and (_ABOUT.fullmatch(heading.title) or _only_groups(data, headings, at)):
            open_.append((heading, -1))
        else:
            while last < len(headings) and _is_part(headings[last], heading):
                last += 1
            end = _end(data, headings, last - 1)
            parent = next((start for _, start in reversed(open_) if start >= 0), -1)
            yield Span(heading.start, end, heading.level, heading.title, groups, parent)
            open_.append((heading, heading.start))
        at = last


def _end(data: bytes, headings: Sequence[_Heading], at: int) -> int:
    return headings[at + 1].start if at + 1 < len(headings) else len(data)


def _is_title(heading: _Heading) -> bool:
    """Tell whether a first heading names its file; one with a label is a decision of its own."""
    return heading.level == 1 and _LABELLED.match(heading.title) is None


def _is_part(heading: _Heading, of: _Heading) -> bool:
    return heading.level > of.level and not heading.id and _PART.fullmatch(heading.title) is not None


def _only_groups(data: bytes, headings: Sequence[_Heading], at: int) -> bool:
    """Tell whether a heading has nothing of its own, and notes below it."""
    own = _UNSEEN.sub(b"", data[headings[at].body : _end(data, headings, at)])
    after = headings[at + 1] if at + 1 < len(headings) else None
    deeper = after is not None and after.level > headings[at].level and not _is_part(after, headings[at])
    return not own.strip() and deeper


def _headings(data: bytes) -> Iterator[_Heading]:
    for match in _shown(_HEADING, data):
        title = title_of(_UNSEEN.sub(b"", match[2]).decode("utf-8", "replace"))
        body = min(match.end() + 1, len(data))
        written = _ID_BELOW.match(data, match.end()) or _ID.search(match[2])
        yield _Heading(match.start(), body, len(match[1]), title or "(no heading)", written[1] if written else b"")


def title_of(text: str) -> str:
    """Return what a heading says, without the marks that may close it."""
    whole = text.strip()
    bare = whole.rstrip("#")
    return whole if bare and not bare[-1].isspace() else bare.rstrip()


def _shown(pattern: re.Pattern[bytes], data: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the matches that begin outside of code and comments."""
    hidden = hidden_spans(data)
    starts = [start for start, _ in hidden]
    for match in pattern.finditer(data):
        at = bisect_left(starts, match.start() + 1) - 1
        if at < 0 or hidden[at][1] <= match.start():
            yield match


def hidden_spans(data: bytes) -> list[tuple[int, int]]:
    """Return where blocks of code and comments are; what begins and never ends hides nothing."""
    if not any(mark in data for mark in (b"```", b"~~~", b"<!--")):
        return []
    fences = [(match.start(), match.end(), match[1], match[2].strip()) for match in _FENCE.finditer(data)]
    closing = {mark: [one for one in fences if one[2][:1] == mark and not one[3]] for mark in (b"`", b"~")}
    begins = {mark: [one[0] for one in listed] for mark, listed in closing.items()}
    comments = list(_comments(data))
    found: list[tuple[int, int]] = []
    end = comments_at = 0
    for start, after, mark, _ in [*fences, (len(data), 0, b"", b"")]:
        while comments_at < len(comments) and comments[comments_at] < start:
            comment = comments[comments_at]
            comments_at += 1
            if comment >= end and (closed := data.find(b"-->", comment)) >= 0:
                end = closed + 3
                found.append((comment, end))
            elif comment >= end:
                comments_at = len(comments)  # none of the later ones ends either
        if not mark or start < end:
            continue
        listed = closing[mark[:1]]
        at = bisect_left(begins[mark[:1]], after)
        closed_by = next((one for one in listed[at : at + 200] if len(one[2]) >= len(mark)), None)
        if closed_by is not None:
            end = closed_by[1]
            found.append((start, end))
    return found


def _comments(data: bytes) -> Iterator[int]:
    """Yield where comments begin; in code within a line none does."""
    for match in _COMMENT.finditer(data):
        line, end = data.rfind(b"\n", 0, match.start()) + 1, data.find(b"\n", match.end())
        if data.count(b"`", line, match.start()) % 2 == 0 or b"`" not in data[match.end() : end if end > 0 else None]:
            yield match.start()


def unended(data: bytes) -> tuple[int, bytes]:
    """Return where a block of code or a comment begins that never ends, and the line that would end it; -1 for none."""
    hidden = hidden_spans(data)
    ends = [(m.start(), m[1] + b"\n") for m in _FENCE.finditer(data)]
    ends += [(start, b"-->\n") for start in _comments(data)]
    begins = [begin for begin, _ in hidden]
    for start, mark in sorted(ends):
        at = bisect_left(begins, start + 1) - 1
        if at < 0 or hidden[at][1] <= start:
            return start, mark
    return -1, b""


def _items(data: bytes, start: int, end: int, groups: tuple[str, ...] = ()) -> Iterator[Span]:
    """Yield the items of the lists between two places; sentences beside them introduce them."""
    part = data[start:end]
    found = [match for match in _shown(_ITEM, part) if match[0].strip(b" \t\r*-_")]  # a rule is no item
    for at, match in enumerate(found):
        until = found[at + 1].start() if at + 1 < len(found) else len(part)
        blank = _BLANK.search(part, match.end(), until)
        until = blank.start() + 1 if blank else until
        title = _UNSEEN.sub(b"", match[1]).strip().decode("utf-8", "replace")
        yield Span(start + match.start(), start + until, 0, title, groups)


def _blocks(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the items of a text without headings, or else its paragraphs."""
    items = list(_items(data, start, end))
    if items:
        yield from items
        return
    for match in _BLOCK.finditer(data, start, end):
        text = _UNSEEN.sub(b"", match[0].removeprefix(b"\xef\xbb\xbf")).strip()
        if text:
            yield Span(match.start(), match.end(), 0, text.split(b"\n")[0].strip().decode("utf-8", "replace"), ())
