"""A question, read: which words it looks for, how rare each is, and what was misspelt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import spelling
from agent_studio.knowledge.postings import TOTAL
from agent_studio.knowledge.words import COMMON, humps, stem, words

if TYPE_CHECKING:
    import sqlite3

MOST_WORDS = 64
"""Words of a question that are looked for; a longer text is told by its first ones."""
_SEEN_RARELY = 3
"""A word in fewer artifacts may be misspelt, unless a name has it."""


class Term(NamedTuple):
    """One word that is looked for."""

    said: str
    stem: str
    id: int | None
    """In the index; None when no artifact has it."""
    docs: int
    head_rarity: float
    """Inverse document frequency: what a hit in the metadata is worth at most."""
    text_rarity: float
    weight: float = 1.0


class Question(NamedTuple):
    """What is looked for."""

    words: tuple[str, ...]
    """All words, repaired, in their order."""
    terms: tuple[Term, ...]
    """Those that say something, each once."""
    repaired: tuple[tuple[str, str], ...]
    artifacts: int


def read(db: sqlite3.Connection, text: str) -> Question:
    """Read a question against an index."""
    row = db.execute("SELECT docs FROM word WHERE stem = ?", (TOTAL,)).fetchone()
    total = row[0] if row else 0
    said = words(text)[: MOST_WORDS * 2]
    telling = [word for word in dict.fromkeys(said) if word not in COMMON] or list(dict.fromkeys(said))
    repaired: dict[str, str] = {}
    terms: dict[str, Term] = {}
    for word in (telling + [inner for inner in humps(text) if inner not in telling])[:MOST_WORDS]:
        term = _term(db, word, total)
        if term.docs < _SEEN_RARELY and (other := _repaired(db, word)):
            repaired[word] = other
            term = _term(db, other, total)
        terms.setdefault(term.stem, term)
    return Question(
        tuple(repaired.get(word, word) for word in said), tuple(terms.values()), tuple(repaired.items()), total
    )


def _term(db: sqlite3.Connection, word: str, total: int) -> Term:
    one = stem(word)
    unique, heads, docs = db.execute("SELECT id, heads, docs FROM word WHERE stem = ?", (one,)).fetchone() or (
        None,
        0,
        0,
    )
    text_rarity = _rarity(docs, total)
    return Term(word, one, unique if docs else None, docs, (_rarity(heads, total) + text_rarity) / 2, text_rarity)


def _rarity(docs: int, total: int) -> float:
    return math.log(1 + (total - docs + 0.5) / (docs + 0.5)) if docs <= total else 0.0


def _repaired(db: sqlite3.Connection, word: str) -> str | None:
    row = db.execute("SELECT names FROM spelling WHERE word = ?", (word,)).fetchone()
    return None if row and row[0] else spelling.repaired(db, word)
