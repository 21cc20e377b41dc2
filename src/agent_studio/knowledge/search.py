"""Search over the index: the best artifacts for a question, each with how surely it fits, or nothing.

Reads the tables of `schema` only; the same index and question always give the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.knowledge import postings, questions, ranking, schema, snippets
from agent_studio.knowledge.answers import Answer, Hit, Part

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from agent_studio.knowledge.answers import Entry, Query
    from agent_studio.knowledge.postings import Term

_IN_TEXT = 0.5
"""What a word that stands in the text only counts for `fits`."""
FLOOR = 0.3
"""`fits` below which nothing is said to fit."""
TEXT_MAX = 4_000
"""Characters of a question that are read."""
_SPARE = 10
"""Candidates that are read besides as many as are asked for: some are copies, or do not pass the filters."""
_AT_ONCE = 500


def search(db: sqlite3.Connection, query: Query) -> Answer:
    """Return what fits a question, best first."""
    return _Search(db, query).answer()


class _Search:
    """One question at work."""

    def __init__(self, db: sqlite3.Connection, query: Query) -> None:
        self._db, self._query = db, query
        self._question = questions.read(db, query.text[:TEXT_MAX])
        self._postings = postings.Reader(db)
        self._scores = ranking.scores(self._postings, self._question)
        self._earned = ranking.bonuses(db, self._question, self._scores)

    def answer(self) -> Answer:
        """Return the best of what passes the filters, without copies; nothing when none of it fits."""
        chosen: dict[str, Entry] = {}
        for entry in self._passing():
            chosen.setdefault(entry.sha256, entry)
            if len(chosen) >= self._query.limit:
                break
        hits = self._hits(list(chosen.values()))
        fits = max((hit.fits for hit in hits), default=0.0)
        question = self._question
        near = question.as_searched if question.repaired else None
        if fits < FLOOR:
            return Answer(self._query, (), near, 0.0, question.repaired)
        return Answer(self._query, tuple(hits), near, fits, question.repaired)

    def _passing(self) -> Iterator[Entry]:
        """Yield candidates that pass the filters, best first, ties by path, reading few more than are needed."""
        first = ranking.best(self._scores, self._query.limit + _SPARE)
        yield from self._entries(first)
        if len(first) < len(self._scores):
            seen = set(first)
            rest = [unique for unique in ranking.best(self._scores, len(self._scores)) if unique not in seen]
            for at in range(0, len(rest), _AT_ONCE):
                yield from self._entries(rest[at : at + _AT_ONCE])

    def _entries(self, ids: list[int]) -> list[Entry]:
        where, values = _filter(self._query)
        marks = ", ".join("?" * len(ids))
        rows = self._db.execute(f"SELECT * FROM artifact WHERE id IN ({marks}){where}", (*ids, *values))  # noqa: S608
        return sorted(map(schema.entry, rows), key=lambda entry: (-self._scores[entry.id], entry.path))

    def _hits(self, entries: list[Entry]) -> list[Hit]:
        ids = [entry.id for entry in entries]
        terms = (*self._question.terms, *(self._question.meant if self._query.explain else ()))
        strong = [(term, self._postings.held(term, ids)) for term in terms if term.docs]
        worth = {term.stem: term.rarity for term in self._question.terms}
        copies = self._copies([entry.sha256 for entry in entries])
        hits = []
        for entry in entries:
            held = [(term, there[entry.id]) for term, there in strong if entry.id in there]
            others = tuple(path for path in copies[entry.sha256] if path != entry.path)
            parts = (*_explained(held), *self._earned.get(entry.id, ())) if self._query.explain else ()
            shown = snippets.snippet(entry.description, worth)
            hits.append(Hit(entry, self._scores[entry.id], self._fits(entry.id, held), *shown, others, parts))
        return hits

    def _fits(self, unique: int, held: list[tuple[Term, int]]) -> float:
        """Return how much of what a question says is said by an artifact too, rare words counting more."""
        if any(part.name == "name" for part in self._earned.get(unique, ())):
            return 1.0
        terms = self._question.terms
        said = sum(
            term.rarity * (1.0 if strength > postings.LEVELS else _IN_TEXT) for term, strength in held if term in terms
        )
        return min(1.0, said / (sum(term.rarity for term in terms) or 1.0))

    def _copies(self, contents: Sequence[str]) -> dict[str, list[str]]:
        marks = ", ".join("?" * len(contents))
        query = f"SELECT sha256, path FROM artifact WHERE sha256 IN ({marks}) ORDER BY path"  # noqa: S608
        found: dict[str, list[str]] = {}
        for sha256, path in self._db.execute(query, contents):
            found.setdefault(sha256, []).append(path)
        return found


def _filter(query: Query) -> tuple[str, list[Any]]:
    """Return the filters as a condition of SQL and its values."""
    tests: list[str] = []
    values: list[Any] = []
    for column, wanted in (("domain", query.domain), ("complexity", query.complexity), ("source", query.source)):
        if wanted is not None:
            tests.append(f" AND {column} = ? COLLATE NOCASE")
            values.append(wanted)
    for column, listed in (("tags", query.tags), ("tools", query.tools)):
        for one in listed:
            tests.append(f" AND instr(';' || lower({column}) || ';', ?) > 0")
            values.append(f";{one.strip().lower()};")
    if query.deprecated is not None:
        tests.append(" AND deprecated = ?")
        values.append(int(query.deprecated))
    return "".join(tests), values


def _explained(held: list[tuple[Term, int]]) -> list[Part]:
    parts = []
    for term, strength in held:
        for where, level in (("metadata", strength & ~postings.LEVELS), ("text", strength & postings.LEVELS)):
            if level:
                parts.append(Part(where, term.worth(level), term.said))
    return parts
