"""Misspelt words, repaired from the words that artifacts use.

A word of a question that hardly any artifact has is taken for the nearest word that a name has or many artifacts have:
one edit away, or two from seven letters on. An edit is a letter left out, added, exchanged, or swapped with its
neighbour (F. J. Damerau, 1964). Candidates share their first or their last letters with the word.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent_studio.knowledge.words import COMMON, LONGEST, humps, stem, words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from agent_studio.knowledge.answers import Entry

TABLES = (
    """CREATE TABLE spelling (
        word TEXT PRIMARY KEY, tail TEXT NOT NULL, names INTEGER NOT NULL, heads INTEGER NOT NULL,
        docs INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX spelling_by_tail ON spelling (tail, word, names, docs) WHERE names > 0 OR heads > 1 OR docs > 2",
    "CREATE INDEX spelling_by_start ON spelling (word, names, docs) WHERE names > 0 OR heads > 1 OR docs > 2",
)
_GOOD = "(names > 0 OR heads > 1 OR docs > 2)"
SHORTEST = 3
_REPAIRED_FROM = 4
"""Letters: of fewer, one edit makes any word of another language an English one."""
_COMPLETED = 3
"""Words at most that the start of a word stands for."""
_STARTING_SO = 200
"""Words that are looked at for these."""
_SHORT = 5
"""Letters of a word that is taken for a word of a name only."""
_TWO_EDITS_FROM = 7
_SHARED = 3
_OFTEN = 9
"""Artifacts more than which have a word that is two edits away, unless a name has it."""
_NAME_COUNTS = 3
"""Artifacts that a name with a word counts for, when several words are as near."""
_CANDIDATES = 3_000


def count(db: sqlite3.Connection, texts: Iterable[tuple[Entry, list[str]]], sign: int) -> None:
    """Add (1) or take away (-1) the words of artifacts; bodies come as words."""
    names: Counter[str] = Counter()
    heads: Counter[str] = Counter()
    docs: Counter[str] = Counter()
    for row, body in texts:
        named = {*words(row.name), *humps(row.name)}
        said = named.union(words(row.description))
        names.update(named)
        heads.update(said)
        docs.update(said.union(body))
    db.executemany(
        """INSERT INTO spelling VALUES (?, ?, ?, ?, ?) ON CONFLICT (word) DO UPDATE
           SET names = names + excluded.names, heads = heads + excluded.heads, docs = docs + excluded.docs""",
        (
            (word, word[::-1], sign * names[word], sign * heads[word], sign * number)
            for word, number in docs.items()
            if SHORTEST <= len(word) <= LONGEST and word.isalpha() and word not in COMMON
        ),
    )


def repaired(db: sqlite3.Connection, word: str) -> str | None:
    """Return the word that was probably meant; None when there is none, or the word is too short to tell."""
    if len(word) < _REPAIRED_FROM or len(word) > LONGEST or not word.isalpha():
        return None
    most = 2 if len(word) >= _TWO_EDITS_FROM else 1
    best: tuple[int, int, str] | None = None
    for other, names, docs in _near(db, word, most):
        edits = distance(word, other, most)
        if edits <= most and (names or edits == 1 or docs > _OFTEN):
            rank = (edits, -(docs + _NAME_COUNTS * names), other)
            best = rank if best is None or rank < best else best
    return best[-1] if best else None


def completed(db: sqlite3.Connection, start: str) -> list[str]:
    """Return the few words of names that start so, one of each stem, those that most names have first."""
    if len(start) < SHORTEST or not start.isalpha():
        return []
    rows = db.execute(
        f"SELECT word, names FROM spelling WHERE {_GOOD} AND word > ? AND word < ? AND names > 0 LIMIT ?",  # noqa: S608
        (start, start + "\U0010ffff", _STARTING_SO),
    ).fetchall()
    by_stem: dict[str, tuple[int, str]] = {}
    for word, names in sorted(rows, key=lambda row: (-row[1], len(row[0]), row[0])):
        before, first = by_stem.get(stem(word), (0, word))
        by_stem[stem(word)] = before + names, first
    return [word for _, word in sorted(by_stem.values(), key=lambda one: -one[0])[:_COMPLETED]]


def _near(db: sqlite3.Connection, word: str, most: int) -> Iterator[tuple[str, int, int]]:
    good = f"{_GOOD} AND names > 0" if len(word) <= _SHORT else _GOOD
    shared = min(_SHARED, (len(word) - 1) // 2)  # then no single edit touches both ends
    seen, letters = {word}, set(word)
    for column, start in (("word", word[:shared]), ("tail", word[::-1][:shared])):
        rows = db.execute(
            f"""SELECT word, names, docs FROM spelling WHERE {good} AND {column} >= ? AND {column} < ?
                AND length(word) BETWEEN ? AND ? LIMIT {_CANDIDATES}""",  # noqa: S608 - our own names
            (start, start + "\U0010ffff", len(word) - most, len(word) + most),
        )
        for other, names, docs in rows:
            if other not in seen and len(letters.symmetric_difference(other)) <= 2 * most:  # two letters an edit
                seen.add(other)
                yield other, names, docs


def distance(one: str, other: str, most: int) -> int:
    """Return the edits between two words; anything above `most` when there are more."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        earlier, before, row = before, row, [at]
        for there, against in enumerate(other, 1):
            edits = min(before[there] + 1, row[-1] + 1, before[there - 1] + (letter != against))
            if at > 1 and there > 1 and letter == other[there - 2] and one[at - 2] == against:
                edits = min(edits, earlier[there - 2] + 1)
            row.append(edits)
        if min(row) > most:
            return most + 1
    return row[-1]
