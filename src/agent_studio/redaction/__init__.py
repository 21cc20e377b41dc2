"""The one sink that everything we write passes through: secrets of known form become a label.

Besides the providers' formats these are the password of a URL and what an authorization header carries. A secret is
also known where JSON escapes its characters (a dash as its code, a slash behind a backslash) or those before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.redaction import formats
from agent_studio.redaction.formats import FORMATS, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Finding", "Span", "find_secrets", "redact", "redact_head", "spans"]

_MANY = 40_000
"""Characters looked through by a process that goes on."""
_BEYOND = 8_192
"""How far a secret may reach beyond what is kept of a text and still be known for one."""
_ESCAPED = re.compile(r"(?<!\\)\\+(?:u00([0-7][0-9A-Fa-f])|/)")


class Finding(NamedTuple):
    """One secret found; the value itself is never kept."""

    kind: str
    line: int
    """Counted from 1."""


class Span(NamedTuple):
    """Where a secret stands in a text."""

    start: int
    end: int
    kind: str

    @property
    def blocks(self) -> bool:
        """Whether it has a provider's own form, and not one that is often meant to be seen."""
        return self.kind not in formats.WARNED


def find_secrets(text: str) -> list[Finding]:
    """Return what looks like a live credential, in order of appearance; dummies are passed over."""
    return [Finding(span.kind, text.count("\n", 0, span.start) + 1) for span in spans(text)]


def redact(text: str) -> str:
    """Return the text with every secret replaced by `[REDACTED:kind]`."""
    found = spans(text)
    return _replaced(text, found, len(text)) if found else text


def redact_head(text: str, limit: int, *, looked_at: int = 0) -> str:
    """Return the first `limit` characters of the redacted text, without half a secret at the end.

    Of a long text no more than `looked_at` characters, by default four times the limit, are shown.
    """
    shown = max(looked_at, 4 * limit)
    if len(text) <= shown:
        return redact(text)[:limit]
    head = text[: shown + _BEYOND]
    return _replaced(head, spans(head), shown)[:limit]


def spans(text: str) -> list[Span]:
    """Return where secrets stand, in order and apart from each other."""
    found = list(_matches(text))
    if "\\u00" in text or "\\/" in text:
        found += _in_escaped(text)
    if len(found) > 1:
        found.sort()
    apart: list[Span] = []
    for span in found:
        if apart and span.start < apart[-1].end:  # one secret that looks like two
            last = apart.pop()
            apart.append(Span(last.start, max(last.end, span.end), last.kind))
        else:
            apart.append(span)
    return apart


def _replaced(text: str, found: list[Span], size: int) -> str:
    """Return the first `size` characters with spans replaced; one that begins within them is replaced whole."""
    parts: list[str] = []
    at = 0
    for start, end, kind in found:
        if start >= size:
            break
        parts += (text[at:start], f"[REDACTED:{kind}]")
        at = end
    parts.append(text[at : max(size, at)])
    return "".join(parts)


def _matches(text: str) -> Iterator[Span]:
    looked = "\n".join(compiled(formats.RUN).findall(text))
    if looked and _may_hold(looked):
        for kind, fixed, pattern in FORMATS:
            if fixed in looked:
                yield from _all(kind, pattern, text, _is_dummy)
    if formats.KEY_BEGIN in text:
        yield from _all(formats.KEY_BLOCK, formats.KEY, text, _is_dummy)
    if "://" in text and "@" in text:
        yield from _all(formats.URL_PASSWORD, formats.URL, text, _is_stand_in)
    if any(word in text for word in formats.HEADER_WORDS):
        yield from _all(formats.AUTHORIZATION, formats.HEADER, text, _is_dummy)


_looked_through = 0


def _may_hold(text: str) -> bool:
    """Tell whether a format can be in a text; what is quick to look through once is not what is quick to do often."""
    global _looked_through  # noqa: PLW0603 - a count, and it may be off by some
    if _looked_through < _MANY:
        _looked_through += len(text)
        return True
    return formats.any_start().search(text) is not None


def _all(kind: str, pattern: str, text: str, passed: Callable[[str], bool]) -> Iterator[Span]:
    for match in compiled(pattern).finditer(text):
        group = match.lastindex or 0
        if not passed(match[group]):
            yield Span(*match.span(group), kind)


def _is_dummy(value: str) -> bool:
    return compiled(formats.DUMMY).search(value) is not None


def _is_stand_in(value: str) -> bool:
    return _is_dummy(value) or compiled(formats.STAND_IN).fullmatch(value) is not None


def _in_escaped(text: str) -> Iterator[Span]:
    """Yield what only shows once escapes of JSON are read, at the places of the text as it is written."""
    plain: list[str] = []
    places: list[tuple[int, int, int]] = []
    at = size = 0
    for match in _ESCAPED.finditer(text):
        before = text[at : match.start()]
        size += len(before)
        places.append((size, match.start(), match.end()))
        plain += (before, chr(int(match[1], 16)) if match[1] else "/")
        at, size = match.end(), size + 1
    read = "".join((*plain, text[at:]))
    for start, end, kind in _matches(read):
        yield Span(_written(places, start, is_end=False), _written(places, end, is_end=True), kind)


def _written(places: list[tuple[int, int, int]], position: int, *, is_end: bool) -> int:
    """Return where a position of the read text stands in the written one."""
    from bisect import bisect_right  # noqa: PLC0415 - escapes are rare

    index = bisect_right(places, (position - 1 if is_end else position, 1 << 62, 0)) - 1
    if index < 0:
        return position
    read, start, end = places[index]
    if position == read:
        return start
    return end + position - read - 1
