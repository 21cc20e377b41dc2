"""How like two artifacts are by the words of their names and descriptions, rare ones counting more.

Words alone: two that say the same in other words are not found to be alike.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.words import COMMON, apart, stem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.knowledge.answers import Entry

DOMAINS = ("skill", "agent", "command", "workflow")
"""What does something when it is asked to; hooks, rules and documents do not take its place."""


class Like(NamedTuple):
    """An artifact beside a text."""

    entry: Entry
    covers: float
    """0 to 1: how much of the text is said by the artifact's name and description."""
    alike: float
    """0 to 1: the cosine of the two, with its name or without; 1 where they say the same words."""


def stems(text: str) -> frozenset[str]:
    """Return the words of a text that say something, in one form."""
    return frozenset(stem(word) for word in apart(text) if word not in COMMON)


def beside(text: str, entries: Iterable[Entry]) -> list[Like]:
    """Return every artifact that shares a word with a text, the most alike first."""
    held = [
        (one, stems(one.name.rpartition(":")[2]), stems(one.description)) for one in entries if one.domain in DOMAINS
    ]
    seen = Counter(word for _, name, words in held for word in name | words)
    said = stems(text)

    def weight(words: Iterable[str]) -> float:
        return sum(math.log(1 + (1 + len(held)) / (1 + seen[word])) for word in sorted(words))

    whole = weight(said)

    def cosine(words: frozenset[str]) -> float:
        return weight(said & words) / math.sqrt(whole * weight(words)) if said & words else 0.0

    found = []
    for entry, name, words in held:
        shared = weight(said & (name | words))
        if shared:
            found.append(Like(entry, shared / whole, max(cosine(name | words), cosine(words))))
    return sorted(found, key=lambda one: (-one.alike, -one.covers, one.entry.path))
