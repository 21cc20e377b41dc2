"""Redacts a text that comes in pieces, cut anywhere: what could still become a secret waits for what follows."""

from __future__ import annotations

import re

from agent_studio.redaction import formats, redact

_HELD_MAX = 1 << 17
"""Characters that wait at most; far longer than any secret."""
_ENDS = " \t\r\n\"'<>,;()"
"""Characters that no format goes on over."""
_BEGINNINGS = frozenset(
    fixed[:size]
    for fixed in (*(fixed for _, fixed, _ in formats.FORMATS), formats.KEY_BEGIN, "://", *formats.HEADER_WORDS)
    for size in range(2, len(fixed))
)
"""What a secret may begin with, as much of it as may have come."""
_LONGEST = max(map(len, _BEGINNINGS))
_HEADER = re.compile(r"(?i)(?:authorization|x-api-key)[^\n]{0,40}\Z")


class Stream:
    """Takes pieces of a text and gives them back redacted, as soon as no secret can begin in them."""

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
        if not self._may_go_on(held[start:]):
            start = len(held)
        if header := _HEADER.search(held, max(0, len(held) - 64)):
            start = min(start, header.start())
        begun = held.rfind(formats.KEY_BEGIN)
        if begun >= 0 and formats.KEY_END not in held[begun:]:
            start = min(start, begun)
        return start

    @staticmethod
    def _may_go_on(word: str) -> bool:
        """Tell whether the last word could be a secret, or the beginning of one."""
        if "\\" in word or "://" in word or any(fixed in word for _, fixed, _ in formats.FORMATS):
            return True
        return any(word[-size:] in _BEGINNINGS for size in range(1, min(len(word), _LONGEST) + 1))
