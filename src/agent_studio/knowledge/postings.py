"""Which artifacts a word stands in, and how strongly, in a form that is read and changed fast.

Artifacts lie in blocks by id; a block of a word is one row: places in the block, and the strength at each, which
`strengths` works out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.strengths import LEVELS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from agent_studio.knowledge.strengths import Strengths

    Block = tuple[array[int], bytearray]
    """Places in a block of artifacts, ascending, and the strength at each."""

TABLES = (
    """CREATE TABLE word (
        id INTEGER PRIMARY KEY, stem TEXT NOT NULL UNIQUE, heads INTEGER NOT NULL, docs INTEGER NOT NULL)""",
    """CREATE TABLE posting (
        word INTEGER NOT NULL, block INTEGER NOT NULL, places BLOB NOT NULL, strengths BLOB NOT NULL,
        PRIMARY KEY (word, block)) WITHOUT ROWID""",
    "CREATE TABLE named (stems TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (stems, id)) WITHOUT ROWID",
)
BLOCK_BITS = 12
_READ = "SELECT block, places, strengths FROM posting WHERE word = ?"
_PLACE = "H"
_NOWHERE: tuple[array[int], bytes] = (array(_PLACE), b"")
_FEW = 2
_AT_ONCE = 500
TOTAL = ""
"""The stem under which the number of all artifacts is kept."""


class Term(NamedTuple):
    """One word that is looked for."""

    said: str
    stem: str
    id: int
    """In the index; 0 when no artifact has it."""
    heads: int
    """Artifacts that have it in their metadata."""
    docs: int
    """Artifacts that have it."""
    rarity: float
    in_head: float
    """What it is worth at most in the metadata."""
    in_text: float
    """The same in the text."""

    def worth(self, strength: int) -> float:
        """Return what a strength is worth."""
        return (self.in_head * (strength >> 4) + self.in_text * (strength & LEVELS)) / LEVELS

    def by_level(self) -> tuple[list[float], list[float]]:
        """Return what each level is worth in the metadata and in the text."""
        head, text = self.in_head / LEVELS, self.in_text / LEVELS
        return [head * level for level in range(LEVELS + 1)], [text * level for level in range(LEVELS + 1)]


def add(db: sqlite3.Connection, found: Mapping[int, Strengths]) -> None:
    """Add the words of artifacts whose ids are not there yet."""
    blocks: dict[int, dict[str, Block]] = {}
    for unique in sorted(found):
        block = blocks.setdefault(unique >> BLOCK_BITS, {})
        place = unique & (1 << BLOCK_BITS) - 1
        for one, strength in found[unique].items():
            if one not in block:
                block[one] = array(_PLACE), bytearray()
            places, there = block[one]
            places.append(place)
            there.append(strength)
    for number, block in blocks.items():
        _change(db, number, block, 1)
    _count(db, {TOTAL: (0, len(found))})


def remove(db: sqlite3.Connection, unique: int, gone: Strengths) -> None:
    """Take the words of one artifact out."""
    place = unique & (1 << BLOCK_BITS) - 1
    block = {one: (array(_PLACE, [place]), bytearray([strength])) for one, strength in gone.items()}
    _change(db, unique >> BLOCK_BITS, block, -1)
    _count(db, {TOTAL: (0, -1)})


def _change(db: sqlite3.Connection, block: int, changed: Mapping[str, Block], sign: int) -> None:
    """Put words into a block, or take them out."""
    counts = {one: (sign * sum(map(LEVELS.__lt__, found)), sign * len(found)) for one, (_, found) in changed.items()}
    _count(db, counts)
    ids = _ids(db, changed)
    find = "SELECT places, strengths FROM posting WHERE word = ? AND block = ?"
    written = []
    for one, (places, found) in changed.items():
        row = db.execute(find, (ids[one], block)).fetchone()
        if row:
            places, found = _merged(_decoded(*row), places, found, sign)  # noqa: PLW2901 - the same, with what was there
        written.append((ids[one], block, places.tobytes(), bytes(found)))
    db.executemany("INSERT OR REPLACE INTO posting VALUES (?, ?, ?, ?)", written)


def _merged(before: tuple[array[int], bytes], changed: array[int], strengths_: bytearray, sign: int) -> Block:
    places, found = before[0], bytearray(before[1])
    for place, strength in zip(changed, strengths_, strict=True):
        at = bisect_left(places, place)
        if sign > 0:
            places.insert(at, place)
            found.insert(at, strength)
        elif at < len(places) and places[at] == place:
            del places[at], found[at]
    return places, found


def _ids(db: sqlite3.Connection, stems: Iterable[str]) -> dict[str, int]:
    """Return the ids of words that are there."""
    wanted = list(stems)
    found: dict[str, int] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        part = wanted[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        found.update(db.execute(f"SELECT stem, id FROM word WHERE stem IN ({marks})", part).fetchall())  # noqa: S608
    return found


def _count(db: sqlite3.Connection, changed: Mapping[str, tuple[int, int]]) -> None:
    """Correct in how many artifacts' metadata, and in how many at all, words stand."""
    db.executemany(
        """INSERT INTO word (stem, heads, docs) VALUES (?, ?, ?)
           ON CONFLICT (stem) DO UPDATE SET heads = heads + excluded.heads, docs = docs + excluded.docs""",
        ((one, heads, docs) for one, (heads, docs) in changed.items()),
    )


def _decoded(places: bytes, strengths_: bytes) -> tuple[array[int], bytes]:
    decoded = array(_PLACE)
    decoded.frombytes(places)
    return decoded, strengths_


class Reader:
    """Reads the postings of one question; what it has read once it keeps."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._kept: dict[tuple[int, int], tuple[array[int], bytes]] = {}

    def collect(self, term: Term, scores: dict[int, float]) -> None:
        """Add what a word earns in each artifact that has it."""
        get, (head, text) = scores.get, term.by_level()
        for block, places, found in self._db.execute(_READ, (term.id,)):
            base = block << BLOCK_BITS
            self._kept[term.id, block] = decoded = _decoded(places, found)
            for place, strength in zip(*decoded, strict=True):
                worth = text[strength] if strength <= LEVELS else head[strength >> 4] + text[strength & LEVELS]
                scores[base + place] = get(base + place, 0.0) + worth

    def held(self, term: Term, among: Iterable[int]) -> dict[int, int]:
        """Return how strong a word is in some artifacts; those that do not have it are left out."""
        wanted: dict[int, list[int]] = {}
        for unique in among:
            wanted.setdefault(unique >> BLOCK_BITS, []).append(unique)
        self._have(term.id, wanted)
        strong: dict[int, int] = {}
        for block, uniques in wanted.items():
            places, found = self._kept.get((term.id, block), _NOWHERE)
            for unique in uniques:
                place = unique - (block << BLOCK_BITS)
                at = bisect_left(places, place)
                if at < len(places) and places[at] == place:
                    strong[unique] = found[at]
        return strong

    def _have(self, word: int, blocks: Iterable[int]) -> None:
        """Read blocks of a word that have not been read; all of them by one statement where they are many."""
        missing = [block for block in blocks if (word, block) not in self._kept]
        if len(missing) > _FEW:
            rows = self._db.execute(_READ, (word,)).fetchall()
        else:
            rows = [row for block in missing for row in self._db.execute(f"{_READ} AND block = ?", (word, block))]
        for block, places, found in rows:
            self._kept[word, block] = _decoded(places, found)
