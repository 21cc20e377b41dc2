"""What is shown of an artifact that answers a question: its best passage, with the words that match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.words import fold, stem

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH = 160
_AHEAD = 40
"""Characters before the first match of a passage that does not start its text."""
_WORD = re.compile(r"[^\W_]+")


class Snippet(NamedTuple):
    """A passage of a text."""

    text: str
    marks: tuple[tuple[int, int], ...]
    """Start and end of each match."""


def snippet(text: str, worth: Mapping[str, float]) -> Snippet:
    """Return up to 160 characters of a text: those whose stems are worth most, and the earliest of them."""
    text = " ".join(text.split())
    low = fold(text)
    if len(low) != len(text):
        low = text.lower() if len(text.lower()) == len(text) else text
    matches = [(*match.span(), one) for match in _WORD.finditer(low) if (one := stem(match[0])) in worth]
    start = _start(text, matches, worth) if len(text) > LENGTH else 0
    end = len(text)
    if end - start > LENGTH:
        end = text.rfind(" ", start + LENGTH // 2, start + LENGTH) + 1 or start + LENGTH
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    shift = len(before) - start
    marks = tuple((first + shift, last + shift) for first, last, _ in matches if first >= start and last <= end)
    return Snippet(before + text[start:end].rstrip() + after, marks)


def _start(text: str, matches: list[tuple[int, int, str]], worth: Mapping[str, float]) -> int:
    """Return where the best passage starts; one from the beginning is preferred to one that is no better."""
    best, best_worth = 0, sum(worth[one] for one in {one for _, last, one in matches if last <= LENGTH})
    for at, (first, _, _) in enumerate(matches):
        start = max(0, first - _AHEAD)
        start = text.find(" ", start, first) + 1 or start
        found = sum(worth[one] for one in {one for _, last, one in matches[at:] if last <= start + LENGTH})
        if found > best_worth:
            best, best_worth = start, found
    return best
