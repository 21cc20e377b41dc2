"""Which artifacts a word stands in, and how strongly, in a form that is read and changed fast.

How strong a word is in an artifact depends on that artifact alone: it is worked out when the artifact is written, as
two numbers of four bits, one for the metadata and one for the text, each saturated and divided by length as in BM25F
(Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009, section 3.5). How rare a word is comes in when
somebody asks. Artifacts lie in blocks by id; a block of a word is one row: places in the block, and strengths.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.words import COMMON, humps, stem, words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from agent_studio.knowledge.answers import Entry

TABLES = (
    """CREATE TABLE word (
        id INTEGER PRIMARY KEY, stem TEXT NOT NULL UNIQUE, heads INTEGER NOT NULL, docs INTEGER NOT NULL)""",
    """CREATE TABLE posting (
        word INTEGER NOT NULL, block INTEGER NOT NULL, places BLOB NOT NULL, strengths BLOB NOT NULL,
        PRIMARY KEY (word, block)) WITHOUT ROWID""",
    "CREATE TABLE named (stems TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (stems, id)) WITHOUT ROWID",
)
BLOCK_BITS = 12
LEVELS = 15
"""The highest strength."""
_READ = "SELECT block, places, strengths FROM posting WHERE word = ?"
_PLACE = "H"
_NOWHERE: tuple[array[int], bytes] = (array(_PLACE), b"")
_FEW = 2
_AT_ONCE = 500
_WORTH_A_TABLE = 100
"""Artifacts of a word from which on it pays to work out once what each strength is worth."""
_COMMON_STEMS = frozenset(map(stem, COMMON))
TOTAL = ""
"""The stem under which the number of all artifacts is kept."""


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

    def points(self) -> list[float]:
        """Return what each of the 256 strengths is worth."""
        text = [self.in_text / LEVELS * level for level in range(LEVELS + 1)]
        return [self.in_head / LEVELS * level + below for level in range(LEVELS + 1) for below in text]


Strengths = dict[str, int]
"""Stem to strength: the metadata's in the upper four bits, the text's in the lower."""


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
    return max(1, round(LEVELS * weight / (weight + half)))


def add(db: sqlite3.Connection, found: Mapping[int, Strengths]) -> None:
    """Add the words of artifacts whose ids are not there yet."""
    blocks: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for unique in sorted(found):
        block = blocks.setdefault(unique >> BLOCK_BITS, {})
        for one, strength in found[unique].items():
            block.setdefault(one, []).append((unique & (1 << BLOCK_BITS) - 1, strength))
    for number, block in blocks.items():
        _change(db, number, block, 1)
    _count(db, {TOTAL: (0, len(found))})


def remove(db: sqlite3.Connection, unique: int, gone: Strengths) -> None:
    """Take the words of one artifact out."""
    place = unique & (1 << BLOCK_BITS) - 1
    _change(db, unique >> BLOCK_BITS, {one: [(place, strength)] for one, strength in gone.items()}, -1)
    _count(db, {TOTAL: (0, -1)})


def _change(db: sqlite3.Connection, block: int, changed: Mapping[str, list[tuple[int, int]]], sign: int) -> None:
    _count(
        db,
        {
            one: (sign * sum(strength > LEVELS for _, strength in there), sign * len(there))
            for one, there in changed.items()
        },
    )
    ids = _ids(db, changed)
    find = "SELECT places, strengths FROM posting WHERE word = ? AND block = ?"
    written = []
    for one, there in changed.items():
        row = db.execute(find, (ids[one], block)).fetchone()
        places, found = (_decoded(*row)[0], bytearray(row[1])) if row else (array(_PLACE), bytearray())
        for place, strength in there:
            at = bisect_left(places, place)
            if sign > 0:
                places.insert(at, place)
                found.insert(at, strength)
            elif at < len(places) and places[at] == place:
                del places[at], found[at]
        written.append((ids[one], block, places.tobytes(), bytes(found)))
    db.executemany("INSERT OR REPLACE INTO posting VALUES (?, ?, ?, ?)", written)


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
        get, word = scores.get, term.id
        points = term.points() if term.docs > _WORTH_A_TABLE else None
        for block, places, found in self._db.execute(_READ, (word,)):
            base = block << BLOCK_BITS
            self._kept[word, block] = decoded = _decoded(places, found)
            if points is None:
                for place, strength in zip(*decoded, strict=True):
                    scores[base + place] = get(base + place, 0.0) + term.worth(strength)
            else:
                for place, strength in zip(*decoded, strict=True):
                    unique = base + place
                    scores[unique] = get(unique, 0.0) + points[strength]

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
