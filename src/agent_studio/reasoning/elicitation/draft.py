"""The text that methods look at: a whole file, a section of it, or what came over standard input."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError, did_you_mean
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

PART_BYTES = 400_000
"""The most that methods are shown; a longer text has sections."""
FILE_BYTES = 20_000_000
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(r"\s*(?:[-*+>|]|\d+[.)])")
"""Lists, quotes and tables: a line below them is no underline."""
_FRONT = re.compile(r"\ufeff?---[ \t]*\n(?:.*\n)*?---[ \t]*(?:\n|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


_MARK = "\ufeff"
"""A byte order mark, which a text may begin with."""


class Draft(NamedTuple):
    """A text, and the part of it that is looked at."""

    text: str
    """With line feeds as line ends."""
    start: int
    end: int
    newline: str = "\n"
    """How the file ends its lines."""

    @property
    def part(self) -> str:
        """What methods are shown and fixes may change."""
        return self.text[self.start : self.end]

    def data(self, text: str) -> bytes:
        """Return a text as the bytes of the file."""
        return text.replace("\n", self.newline).encode()


class _Heading(NamedTuple):
    level: int
    title: str
    start: int
    line: int


def read(data: bytes, name: str, section: str = "") -> Draft:
    """Return the draft in some bytes; raise `UsageError` for what is empty, too long, or has no such section."""
    if len(data) > FILE_BYTES:
        raise UsageError(f"{name} has {len(data):,} bytes; at most {FILE_BYTES:,} are read", hint="name a smaller file")
    text = decoded(data, name)
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    if windows:
        text = text.replace("\r\n", "\n")
    start, end = _section(text, name, section) if section else (0, len(text))
    draft = Draft(text, start, end, "\r\n" if windows else "\n")
    what = f"the section {section!r} of {name}" if section else name
    if not draft.part.strip():
        raise UsageError(f"{what} is empty", hint="there is nothing to look at")
    if (size := len(draft.part.encode())) > PART_BYTES:
        hint = "choose a part of it: --section HEADING" if not section else "choose a smaller section"
        raise UsageError(f"{what} has {size:,} bytes; at most {PART_BYTES:,} are looked at", hint=hint)
    for secret in find_secrets(text):  # of a section, too: the whole is kept
        raise UsageError(
            f"{name}:{secret.line} holds a credential ({secret.kind}): it is sent to no model, and kept nowhere",
            hint="take it out and revoke it",
        )
    return draft


def decoded(data: bytes, name: str) -> str:
    """Return bytes as text; raise `UsageError` for what is none."""
    if b"\0" in data:
        raise UsageError(f"{name} is binary, not text", hint="name a text file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{name}:{line} is not UTF-8", hint="name a text file, saved as UTF-8") from None


def digest(data: bytes) -> str:
    """Return the hash by which a text is known again."""
    return hashlib.sha256(data).hexdigest()


def _section(text: str, name: str, wanted: str) -> tuple[int, int]:
    """Return where a section begins and ends: at the next heading that is not below it."""
    headings = list(_headings(text))
    folded = _folded(wanted)
    found = [at for at, one in enumerate(headings) if _folded(one.title) == folded]
    if not found:
        titles = list(dict.fromkeys(one.title for one in headings))
        hint = did_you_mean(wanted.lstrip("# "), titles) if titles else "it has no headings: leave --section out"
        raise UsageError(f"{name} has no section {wanted!r}", hint=hint)
    if len(found) > 1:
        lines = ", ".join(str(headings[at].line) for at in found)
        raise UsageError(
            f"{name} has {len(found)} sections {wanted!r}, in lines {lines}", hint="give one of them another heading"
        )
    own = headings[found[0]]
    ends = (one.start for one in headings[found[0] + 1 :] if one.level <= own.level)
    return own.start, next(ends, len(text))


def _folded(title: str) -> str:
    return " ".join(title.lstrip("#").split()).casefold()


def _headings(text: str) -> Iterator[_Heading]:
    """Yield the headings of a Markdown text, underlined ones too, those in code left out."""
    above = _Heading(0, "", 0, 0)
    front = _FRONT.match(text)
    for number, start, line, is_code in _lines(text):
        if front and start < front.end():
            continue
        heading, under = (None, None) if is_code else (_HEADING.match(line), _UNDERLINE.match(line))
        if heading:
            title = (heading[2] or "").strip(" \t")
            bare = title.rstrip("#")  # a row of them may close a heading, behind a blank
            yield _Heading(len(heading[1]), bare.rstrip(" \t") if bare != bare.rstrip(" \t") else title, start, number)
        elif under and above.title:
            yield above._replace(level=1 if "=" in under[1] else 2)
        is_text = not (is_code or heading or under or _NO_TITLE.match(line))
        above = _Heading(0, line.strip() if is_text else "", start, number)


def _lines(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Yield the lines of a text with their number, where each begins, and whether it is in a block of code."""
    at, fence = 0, ""
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole.removeprefix(_MARK) if number == 1 else whole
        is_code = bool(fence)
        if (mark := _FENCE.match(line)) and (not fence or _closes(line, fence)):
            fence, is_code = ("" if fence else mark[1]), True
        yield number, at, line.rstrip("\r"), is_code
        at += len(whole) + 1


def _closes(line: str, fence: str) -> bool:
    mark = line.strip()
    return set(mark) == {fence[0]} and len(mark) >= len(fence)


def has_open_fence(text: str) -> bool:
    """Tell whether a block of code is opened and not closed."""
    return any(is_code for *_, is_code in deque(_lines(f"{text}\n"), 1))
