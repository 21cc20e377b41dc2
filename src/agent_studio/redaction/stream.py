"""Redacts a text that comes in pieces, cut anywhere: what could still become a secret waits for what follows."""

from __future__ import annotations

import re

from agent_studio.redaction import formats, redact

_HELD_MAX = 1 << 17
"""Characters that wait at most; far longer than any secret."""
_ENDS = " \t\r\n\"'<>,;()"
"""Characters that no format goes on over, but for a key and a header."""
_PROGRESS = frozenset(".FExXsSpP=*#")
"""What test runners write of one test after the other, and people want to see at once."""
_MARKS = ".=*#"
_HEADER_MAX = 64
_KEY_ENDED = re.compile(r"-----END [^-\n]{0,50}-----")


class Stream:
    """Takes pieces of a text and gives them back redacted: by whole words, and a key or a header as one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what is sure by now."""
        self._held += text
        cut = self._sure()
        if len(self._held) - cut > _HELD_MAX:
            cut = len(self._held)
        sure, self._held = self._held[:cut], self._held[cut:]
        return redact(sure)

    def finish(self) -> str:
        """Return the rest; nothing follows."""
        rest, self._held = self._held, ""
        return redact(rest)

    def _sure(self) -> int:
        """Return how much of what is held no later piece can change."""
        held = self._held
        start = max(map(held.rfind, _ENDS)) + 1
        if _PROGRESS.issuperset(held[start:]):
            start = max(start, *(held.rfind(mark) + 1 for mark in _MARKS))
        near = held[max(0, start - _HEADER_MAX) : start].lower()
        header = max(map(near.rfind, formats.HEADER_NAMES))
        if header >= 0 and "\n" not in near[header:]:
            start -= len(near) - header
        begun = held.rfind(formats.KEY_BEGIN)
        if begun < 0:
            return start
        ended = _KEY_ENDED.search(held, begun)
        return max(start, ended.end()) if ended else min(start, begun)
