"""Search over the index: the best artifacts for a question, each with how surely it fits, or nothing.

Reads the tables of `schema` only; the same index and question always give the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import nearest
from agent_studio.knowledge import certainty, postings, questions, ranking, schema, snippets
from agent_studio.knowledge.answers import Answer, Hit, Part
from agent_studio.knowledge.certainty import FLOOR
from agent_studio.knowledge.strengths import LEVELS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.knowledge.answers import Entry, Query
    from agent_studio.knowledge.certainty import Held
    from agent_studio.knowledge.postings import Term
    from agent_studio.knowledge.semantic.meaning import Alike, Meaning

TEXT_MAX = 4_000
"""Characters of a question that are read."""
_LOOKED_AT = 3
"""Hits of which one has to be sure."""
_NAMES_COMPARED = 100
"""Names with the same first letter as a question that nothing fits, and about as long."""
_LENGTHS = 3
_NAME_WORDS = 3
"""Words of a question that may be a misspelt name."""
_SPARE = 5
"""Candidates that are read besides as many as are asked for: some are copies, or do not pass the filters."""
_MORE = 8
_AT_ONCE = 500


def search(db: sqlite3.Connection, query: Query, meaning: Meaning | None = None) -> Answer:
    """Return what fits a question, best first; by its words, and by what it means where that is given."""
    return _Search(db, query, meaning).answer()


class _Search:
    """One question at work."""

    def __init__(self, db: sqlite3.Connection, query: Query, meaning: Meaning | None) -> None:
        self._db, self._query = db, query
        self._question = questions.read(db, query.text[:TEXT_MAX])
        self._postings = postings.Reader(db)
        self._scores = ranking.scores(self._postings, self._question)
        self._alike: Alike | None = meaning.alike(db, self._question, self._scores) if meaning else None
        if self._alike:
            self._scores = self._alike.raised(self._scores)
        self._earned = ranking.bonuses(db, self._question, self._scores)

    def answer(self) -> Answer:
        """Return the best of what passes the filters, without copies; nothing when none of it fits."""
        chosen: dict[str, Entry] = {}
        for entry in self._passing():
            chosen.setdefault(entry.sha256, entry)
            if len(chosen) >= self._query.limit:
                break
        question, entries = self._question, list(chosen.values())
        strong = self._strong(question.terms, entries)
        sure = self._sure(entries[:_LOOKED_AT], strong)
        if sure < FLOOR:
            return Answer(self._query, (), self._near(), 0.0, question.repaired)
        near = question.as_searched if question.repaired else None
        return Answer(self._query, tuple(self._hits(entries, strong)), near, sure, question.repaired)

    def _near(self) -> str | None:
        """Return the name that may have been meant where nothing fits; the repaired question was asked already."""
        said = self._query.text.encode("utf-8", "replace").decode().strip()  # half a character may have come
        if not said or len(self._question.stems) > _NAME_WORDS:
            return None
        names = self._db.execute(
            """SELECT DISTINCT name FROM artifact WHERE name >= ? COLLATE NOCASE AND name < ? COLLATE NOCASE
               AND length(name) BETWEEN ? AND ? LIMIT ?""",
            (said[:1], said[:1] + "\U0010ffff", len(said) - _LENGTHS, len(said) + _LENGTHS, _NAMES_COMPARED),
        )
        return nearest(said, {name for (name,) in names} - {said})

    def _passing(self) -> Iterator[Entry]:
        """Yield candidates that pass the filters, best first, ties by path, reading few more than are needed."""
        size, seen = self._query.limit + _SPARE, 0
        while True:
            best = ranking.best(self._scores, size)
            for at in range(seen, len(best), _AT_ONCE):
                yield from self._entries(best[at : at + _AT_ONCE])
            if len(best) < size:
                return
            size, seen = size * _MORE, len(best)

    def _entries(self, ids: list[int]) -> list[Entry]:
        where, values = _filter(self._query)
        marks = ", ".join("?" * len(ids))
        rows = self._db.execute(f"SELECT * FROM artifact WHERE id IN ({marks}){where}", (*ids, *values))  # noqa: S608
        passing = (entry for entry in map(schema.entry, rows) if _has_all(entry, self._query))
        return sorted(passing, key=lambda entry: (-self._scores[entry.id], entry.path))

    def _sure(self, entries: list[Entry], strong: list[Held]) -> float:
        """Return how surely the best of these artifacts is what the question is about."""
        held = strong + self._strong(self._question.stand_ins, entries)
        by_words = {
            entry.id: 1.0 if self._is_named(entry.id) else certainty.sure(self._question, entry.id, held)
            for entry in entries
        }
        return max((self._with_meaning(unique, sure) for unique, sure in by_words.items()), default=0.0)

    def _strong(self, terms: Iterable[Term], entries: list[Entry]) -> list[Held]:
        """Return in which of these artifacts words stand, and how strongly."""
        ids = [entry.id for entry in entries]
        return [(term, self._postings.held(term, ids)) for term in terms if term.docs]

    def _hits(self, entries: list[Entry], strong: list[Held]) -> list[Hit]:
        explain = self._query.explain
        meant = self._strong(self._question.meant, entries) if explain else []
        worth = {term.stem: term.rarity for term in self._question.terms}
        copies = self._copies([entry.sha256 for entry in entries])
        hits = []
        for entry in entries:
            others = tuple(path for path in copies[entry.sha256] if path != entry.path)
            earned = self._earned.get(entry.id, ())
            parts = (*_parts(entry.id, strong, ""), *_parts(entry.id, meant, "means "), *earned) if explain else ()
            if explain and self._alike:
                parts += self._alike.parts(entry.id)
            shown = snippets.snippet(entry.description, worth)
            by_words = 1.0 if self._is_named(entry.id) else certainty.said(self._question, entry.id, strong)
            fits = self._with_meaning(entry.id, by_words)
            hits.append(Hit(entry, self._scores[entry.id], fits, *shown, others, parts))
        return hits

    def _with_meaning(self, unique: int, by_words: float) -> float:
        return self._alike.sure(unique, by_words) if self._alike and not self._is_named(unique) else by_words

    def _is_named(self, unique: int) -> bool:
        return any(part.name == "name" for part in self._earned.get(unique, ()))

    def _copies(self, contents: Sequence[str]) -> dict[str, list[str]]:
        marks = ", ".join("?" * len(contents))
        query = f"SELECT sha256, path FROM artifact WHERE sha256 IN ({marks}) ORDER BY path"  # noqa: S608
        found: dict[str, list[str]] = {}
        for sha256, path in self._db.execute(query, contents):
            found.setdefault(sha256, []).append(path)
        return found


def _filter(query: Query) -> tuple[str, list[Any]]:
    """Return the filters of one value each as a condition of SQL and its values."""
    tests: list[str] = []
    values: list[Any] = []
    for column, wanted in (("domain", query.domain), ("complexity", query.complexity), ("source", query.source)):
        if wanted is not None:
            tests.append(f" AND {column} = ? COLLATE NOCASE")
            values.append(wanted)
    if query.deprecated is not None:
        tests.append(" AND deprecated = ?")
        values.append(int(query.deprecated))
    return "".join(tests), values


def _has_all(entry: Entry, query: Query) -> bool:
    """Tell whether an artifact has all tags and tools, in any case; SQLite's own `lower` knows ASCII alone."""
    return all(
        one.strip().casefold() in held.casefold().split(";")
        for held, listed in ((entry.tags, query.tags), (entry.tools, query.tools))
        for one in listed
    )


def _parts(unique: int, strong: list[Held], how: str) -> Iterator[Part]:
    """Yield what each word earns in an artifact, in its metadata and in its text."""
    for term, there in strong:
        strength = there.get(unique, 0)
        for where, level in (("metadata", strength & ~LEVELS), ("text", strength & LEVELS)):
            if level:
                yield Part(where, term.worth(level), how + term.said)
