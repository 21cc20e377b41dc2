"""The sections of a Markdown text, and a text in pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE = re.compile(
    r"^(?: {0,3}(?P<fence>`{3,}|~{3,})| {0,3}(?P<level>#{1,6})(?:[ \t]+(?P<title>.*?))?[ \t]*#*[ \t]*$)", re.MULTILINE
)
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n.*?^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


class Section(NamedTuple):
    """A heading with all below it, deeper headings too."""

    level: int
    title: str
    start: int
    """Character of the text at which the heading starts."""
    end: int


def sections(text: str) -> list[Section]:
    """Return the sections in order; what stands in fences or in the front matter is no heading."""
    front = _FRONT.match(text)
    marks: list[tuple[int, str, int]] = []
    fence = ""
    for found in _LINE.finditer(text, front.end() if front else 0):
        mark = found["fence"]
        if mark:
            if not fence:
                fence = mark
            elif mark[0] == fence[0] and len(mark) >= len(fence):
                fence = ""
        elif not fence and (found["title"] or "").strip():
            marks.append((len(found["level"]), found["title"].strip(), found.start()))
    return [
        Section(level, title, start, next((at for deep, _, at in marks[number + 1 :] if deep <= level), len(text)))
        for number, (level, title, start) in enumerate(marks)
    ]


def section(listed: Sequence[Section], wanted: str) -> Section | None:
    """Return a section by its number, counted from 1, or its heading: the same, the start, a piece of it."""
    wanted = wanted.strip()
    if wanted.isdecimal() and 1 <= int(wanted) <= len(listed):
        return listed[int(wanted) - 1]
    folded = wanted.lstrip("#").strip().casefold()
    for fits in (str.__eq__, str.startswith, str.__contains__):
        for one in listed:
            if folded and fits(one.title.casefold(), folded):
                return one
    return None


def pages(text: str, size: int) -> list[str]:
    """Return a text in pages of at most `size` characters, cut between paragraphs, lines or words where it can be.

    Joined they are the text; an empty text is one empty page.
    """
    found: list[str] = []
    start = 0
    while len(text) - start > size:
        window = text[start : start + size]
        cut = next((at + len(mark) for mark in ("\n\n", "\n", " ") if (at := window.rfind(mark)) >= size // 2), size)
        found.append(window[:cut])
        start += cut
    return [*found, text[start:]]
