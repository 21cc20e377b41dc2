"""What is shown of an artifact that answers a question: its best passage, with the words that match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.words import fold, stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LENGTH = 160
_AHEAD = 40
"""Characters before the first match of a passage that does not start its text."""
_SURE, _ENDING = 2, 2
"""Letters that a word and its stem always share, and those at the end of a stem that a word may have otherwise."""
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
    matches = sorted(match for one in worth for match in _matches(low, one))
    start = _start(text, matches, worth) if len(text) > LENGTH else 0
    end = len(text)
    if end - start > LENGTH:
        end = text.rfind(" ", start + LENGTH // 2, start + LENGTH) + 1 or start + LENGTH
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    shift = len(before) - start
    marks = tuple((first + shift, last + shift) for first, last, _ in matches if first >= start and last <= end)
    return Snippet(before + text[start:end].rstrip() + after, marks)


def _matches(low: str, one: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and stem of each word of a stem; looking for its first letters is faster than cutting words."""
    start = one[: max(_SURE, len(one) - _ENDING)]
    at = low.find(start)
    while at >= 0:
        match = _WORD.match(low, at)
        end = match.end() if match else at + 1
        if (at == 0 or not low[at - 1].isalnum()) and stem(low[at:end]) == one:
            yield at, end, one
        at = low.find(start, end)


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
