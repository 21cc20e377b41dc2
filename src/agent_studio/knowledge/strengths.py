"""How strong each word is in an artifact, whichever others there are: worked out when it is written.

Two numbers of four bits, one for the metadata and one for the text, each saturated and divided by length as in BM25F
(Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009, section 3.5). How rare a word is comes in when
somebody asks.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent_studio.knowledge.words import COMMON, humps, stem, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.knowledge.answers import Entry

LEVELS = 15
"""The highest strength."""
_COMMON_STEMS = frozenset(map(stem, COMMON))
Strengths = dict[str, int]
"""Stem to strength: the metadata's in the upper four bits, the text's in the lower."""


class Field:
    """How much a field's words weigh, and how far its length matters."""

    __slots__ = ("_kept", "_per_word", "weight")

    def __init__(self, weight: float, length: float, usual_words: float) -> None:
        self.weight, self._kept, self._per_word = weight, 1 - length, length / usual_words

    def add(self, found: dict[str, float], stems: Counter[str]) -> None:
        """Add a field's words to what is known of an artifact."""
        each = self.weight / (self._kept + self._per_word * stems.total())
        for one, count in stems.items():
            found[one] = found.get(one, 0.0) + each * count


# usual lengths are constants: an artifact's strengths must not change when another one is added
_NAME = Field(8.0, 0.6, 2.5)
_DESCRIPTION = Field(1.0, 0.6, 30.0)
_TAGS = Field(1.0, 0.4, 2.0)
_USE_CASES = Field(0.6, 0.4, 3.0)
_HEADINGS = Field(1.0, 0.7, 60.0)
_BODY = Field(1.0, 0.9, 900.0)
_HEAD_HALF, _TEXT_HALF = 2.0, 1.3
"""What weighs half of all it can."""


def strengths(entry: Entry, headings: str, body: list[str]) -> Strengths:
    """Return the words of an artifact and how strong each is; the body comes as words."""
    head: dict[str, float] = {}
    _NAME.add(head, Counter(name_stems(entry.name, entry.alias)))
    for field, said in ((_DESCRIPTION, entry.description), (_TAGS, entry.tags), (_USE_CASES, entry.use_cases)):
        field.add(head, _stems((*words(said), *humps(said))))
    text: dict[str, float] = {}
    _HEADINGS.add(text, _stems(words(headings)))
    _BODY.add(text, _stems(body))
    found = {one: _level(weight, _TEXT_HALF) for one, weight in text.items() if one not in _COMMON_STEMS}
    for one, weight in head.items():
        found[one] = found.get(one, 0) | _level(weight, _HEAD_HALF) << 4
    return found


def _stems(said: Iterable[str]) -> Counter[str]:
    """Return how often each stem occurs; each word is stemmed once, however often it stands there."""
    found: Counter[str] = Counter()
    for word, count in Counter(said).items():
        found[stem(word)] += count
    return found


def name_stems(name: str, alias: str = "") -> list[str]:
    """Return the stems that a name is found by."""
    return [stem(word) for text in (name, alias) for word in (*words(text), *humps(text))]


def _level(weight: float, half: float) -> int:
    return int(LEVELS * weight / (weight + half) + 0.5) or 1
