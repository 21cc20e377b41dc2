"""A question, read: which words it looks for, how rare each is, and what was misspelt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import spelling, synonyms
from agent_studio.knowledge.postings import TOTAL, Term
from agent_studio.knowledge.words import COMMON, KINDS, apart, humps, stem, words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

MOST_WORDS = 64
"""Words of a question that are looked for; a longer text is told by its first ones."""
_SEEN_RARELY = 3
"""A word in fewer artifacts may be misspelt, unless a name has it."""
_MOST_REPAIRED = 4
"""Words of a question that are looked at for mistakes: what has more of them is of another trade."""
_FEW = 3
"""Words of a question, all counted, that may be starts of longer ones: who writes sentences writes whole words."""
_STARTED = 0.8
"""What a word counts that starts as was said, but that fewer names have than another one."""
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
    stand_ins: tuple[Term, ...]
    """Those of them that mean what no artifact says in the question's words."""
    weights: tuple[float, ...]
    """What each word weighs; those that others stand in for weigh as much as the rarest of these."""
    names: tuple[str, ...]
    """Stems without spaces, as names are known."""
    starts: tuple[str, ...]
    """Of words, where no artifact has what was said: they stand for the words of names that start so."""
    repaired: tuple[tuple[str, str], ...]
    as_searched: str
    """The words, repaired."""
    artifacts: int
    """How many the index has."""


def read(db: sqlite3.Connection, text: str) -> Question:
    """Read a question against an index."""
    said = words(text)[: MOST_WORDS * 2]
    telling = [word for word in dict.fromkeys((*said, *humps(text))) if word not in COMMON] or list(dict.fromkeys(said))
    telling = telling[:MOST_WORDS]
    known = _Known(db, min(_TEXT_AT_MOST, _TEXT_AT_LEAST + _TEXT_A_WORD * len(telling)))
    known.look_up([TOTAL, *map(stem, telling)])
    repaired: dict[str, str] = {}
    started: dict[str, list[str]] = {}
    terms: dict[str, Term] = {}
    for word in telling:
        term = known.term(word)
        if known.doubtful(term):
            if len(said) <= _FEW and (longer := spelling.completed(db, word)):
                started[word] = longer
                term = known.term(longer[0])
            elif other := known.repaired(term):
                repaired[word] = other
                term = known.term(other)
        terms.setdefault(term.stem, term)
    one_each = repaired | {word: longer[0] for word, longer in started.items()}
    stems = tuple(stem(one_each.get(word, word)) for word in said)
    weights = {term.stem: 0.0 if term.stem in KINDS and not term.docs else term.rarity for term in terms.values()}
    means = synonyms.meant(db, stems, {term.stem for term in terms.values() if not term.docs})
    for first, *others in started.values():
        means |= {stem(one): (_STARTED, frozenset({stem(first)})) for one in others}
    known.look_up(means)
    meant, stand_ins = [], []
    for one, (weight, for_absent) in means.items():
        if (term := known.term(one, weight)).docs:
            meant.append(term)
            if for_absent:
                stand_ins.append(term)
            weights |= dict.fromkeys(for_absent, term.rarity)
    shown = repaired | {word: " or ".join(longer) for word, longer in started.items()}
    return Question(
        stems, tuple(terms.values()), tuple(meant), tuple(stand_ins), tuple(weights.values()),
        ("".join(stems), "".join(map(stem, apart(text)[:MOST_WORDS]))), tuple(started), tuple(shown.items()),
        " ".join(shown.get(word, word) for word in said), known.total,
    )  # fmt: skip


class _Known:
    """What an index knows of words."""

    def __init__(self, db: sqlite3.Connection, text: float) -> None:
        self._db, self._text = db, text
        self._rows: dict[str, tuple[int, int, int]] = {}
        self._to_repair = _MOST_REPAIRED

    @property
    def total(self) -> int:
        """How many artifacts there are."""
        return self._rows.get(TOTAL, (0, 0, 0))[2]

    def look_up(self, stems: Iterable[str]) -> None:
        """Read what is known of stems."""
        wanted = [one for one in stems if one not in self._rows]
        if not wanted:
            return
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT stem, id, heads, docs FROM word WHERE stem IN ({marks})"  # noqa: S608 - question marks
        for one, *row in self._db.execute(query, wanted):
            self._rows[one] = tuple(row)

    def term(self, said: str, weight: float = 1.0) -> Term:
        """Return a word as it is looked for."""
        one = stem(said)
        if one not in self._rows:
            self.look_up([one])
        unique, heads, docs = self._rows.get(one, (0, 0, 0))
        rarity = self._rarity(docs)
        in_head = weight * (self._rarity(heads) + rarity) / 2
        return Term(said, one, unique, heads, docs, rarity, in_head, weight * self._text * rarity)

    def doubtful(self, term: Term) -> bool:
        """Tell whether hardly any artifact has a word, so that it may be misspelt or only begun."""
        if term.docs >= _SEEN_RARELY or term.heads or not self._to_repair:
            return False
        row = self._db.execute("SELECT names FROM spelling WHERE word = ?", (term.said,)).fetchone()
        return not (row and row[0])

    def repaired(self, term: Term) -> str | None:
        """Return what was meant by a doubtful word."""
        self._to_repair -= 1
        return spelling.repaired(self._db, term.said)

    def _rarity(self, docs: int) -> float:
        """Return the inverse document frequency."""
        return math.log(1 + max(0, self.total - docs + 0.5) / (docs + 0.5))
