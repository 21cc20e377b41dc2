"""A question, read: which words it looks for, how rare each is, and what was misspelt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import spelling, synonyms
from agent_studio.knowledge.postings import TOTAL, Term
from agent_studio.knowledge.words import COMMON, humps, stem, words

if TYPE_CHECKING:
    import sqlite3

MOST_WORDS = 64
"""Words of a question that are looked for; a longer text is told by its first ones."""
_SEEN_RARELY = 3
"""A word in fewer artifacts may be misspelt, unless a name has it."""
_TEXT_AT_LEAST, _TEXT_A_WORD, _TEXT_AT_MOST = 0.6, 1 / 12, 1.3
"""What hits in the text count: a few words name something, a sentence describes what a text goes into."""


class Question(NamedTuple):
    """What is looked for."""

    stems: tuple[str, ...]
    """Of all words, repaired, in their order."""
    terms: tuple[Term, ...]
    """Words that say something, each once."""
    meant: tuple[Term, ...]
    """Words that mean the same as some of them."""
    repaired: tuple[tuple[str, str], ...]
    as_searched: str
    """The words, repaired."""


def read(db: sqlite3.Connection, text: str) -> Question:
    """Read a question against an index."""
    row = db.execute("SELECT docs FROM word WHERE stem = ?", (TOTAL,)).fetchone()
    said = words(text)[: MOST_WORDS * 2]
    telling = [word for word in dict.fromkeys(said) if word not in COMMON] or list(dict.fromkeys(said))
    telling = (telling + [inner for inner in humps(text) if inner not in telling])[:MOST_WORDS]
    rarity = _Rarity(db, row[0] if row else 0, min(_TEXT_AT_MOST, _TEXT_AT_LEAST + _TEXT_A_WORD * len(telling)))
    repaired: dict[str, str] = {}
    terms: dict[str, Term] = {}
    for word in telling:
        term = rarity.term(word)
        if term.docs < _SEEN_RARELY and (other := _repaired(db, word)):
            repaired[word] = other
            term = rarity.term(other)
        terms.setdefault(term.stem, term)
    stems = tuple(stem(repaired.get(word, word)) for word in said)
    meant = [rarity.term(one, weight) for one, weight in synonyms.meant(db, stems).items()]
    return Question(
        stems, tuple(terms.values()), tuple(term for term in meant if term.id is not None),
        tuple(repaired.items()), " ".join(repaired.get(word, word) for word in said),
    )  # fmt: skip


class _Rarity:
    """How rare words are in an index."""

    def __init__(self, db: sqlite3.Connection, total: int, text: float) -> None:
        self._db, self._total, self._text = db, total, text

    def term(self, said: str, weight: float = 1.0) -> Term:
        """Return a word as it is looked for."""
        one = stem(said)
        row = self._db.execute("SELECT id, heads, docs FROM word WHERE stem = ?", (one,)).fetchone()
        unique, heads, docs = row or (None, 0, 0)
        rarity = self._of(docs)
        return Term(said, one, unique if docs else None, docs, rarity, weight * (self._of(heads) + rarity) / 2,
                    weight * self._text * rarity)  # fmt: skip

    def _of(self, docs: int) -> float:
        """Return the inverse document frequency."""
        return math.log(1 + max(0, self._total - docs + 0.5) / (docs + 0.5))


def _repaired(db: sqlite3.Connection, word: str) -> str | None:
    row = db.execute("SELECT names FROM spelling WHERE word = ?", (word,)).fetchone()
    return None if row and row[0] else spelling.repaired(db, word)
