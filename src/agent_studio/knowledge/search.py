"""Search over the index: the best artifacts for a question, each with how surely it fits, or nothing.

Reads the tables of `schema` only; the same index and question always give the same answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agent_studio.errors import nearest
from agent_studio.knowledge import postings, questions, ranking, schema, snippets
from agent_studio.knowledge.answers import Answer, Hit, Part

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.knowledge.answers import Entry, Query
    from agent_studio.knowledge.postings import Term

FLOOR = 0.5
"""`Answer.fits` below which nothing is said to fit."""
_HALF_SURE = 0.62
"""Fitted on one half of a judged set of questions and on questions that no engineer's artifact answers."""
_REPAIRED = 0.5
_IN_TEXT = 0.5
"""What a word that stands in the text only counts for `Hit.fits`."""
_LOOKED_AT = 3
_NAMES_COMPARED = 3_000
_NAME_WORDS = 3
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
        question, entries = self._question, list(chosen.values())
        strong = self._strong(question.terms, entries)
        sure = max((self._sure(entry.id, strong) for entry in entries[:_LOOKED_AT]), default=0.0)
        if sure < FLOOR:
            return Answer(self._query, (), self._near(), 0.0, question.repaired)
        near = question.as_searched if question.repaired else None
        return Answer(self._query, tuple(self._hits(entries, strong)), near, sure, question.repaired)

    def _near(self) -> str | None:
        """Return what may have been meant where nothing fits."""
        if self._question.repaired or len(self._question.stems) > _NAME_WORDS:
            return self._question.as_searched if self._question.repaired else None
        names = self._db.execute("SELECT DISTINCT name FROM artifact LIMIT ?", (_NAMES_COMPARED,))
        return nearest(self._query.text, {name for (name,) in names})

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

    def _strong(self, terms: Iterable[Term], entries: list[Entry]) -> list[tuple[Term, dict[int, int]]]:
        """Return in which of these artifacts words stand, and how strongly."""
        ids = [entry.id for entry in entries]
        return [(term, self._postings.held(term, ids)) for term in terms if term.docs]

    def _hits(self, entries: list[Entry], strong: list[tuple[Term, dict[int, int]]]) -> list[Hit]:
        explain = self._query.explain
        meant = self._strong(self._question.meant, entries) if explain else []
        worth = {term.stem: term.rarity for term in self._question.terms}
        copies = self._copies([entry.sha256 for entry in entries])
        hits = []
        for entry in entries:
            others = tuple(path for path in copies[entry.sha256] if path != entry.path)
            earned = self._earned.get(entry.id, ())
            parts = (*_parts(entry.id, strong, ""), *_parts(entry.id, meant, "means "), *earned) if explain else ()
            shown = snippets.snippet(entry.description, worth)
            hits.append(Hit(entry, self._scores[entry.id], self._fits(entry.id, strong), *shown, others, parts))
        return hits

    def _fits(self, unique: int, strong: list[tuple[Term, dict[int, int]]]) -> float:
        """Return how much of what a question says is said by an artifact too, rare words counting more."""
        if self._is_named(unique):
            return 1.0
        said = sum(
            self._counts(term) * term.rarity * (1.0 if there[unique] > postings.LEVELS else _IN_TEXT)
            for term, there in strong
            if unique in there
        )
        return min(1.0, said / (self._whole() or 1.0))

    def _sure(self, unique: int, strong: list[tuple[Term, dict[int, int]]]) -> float:
        """Return, from 0 to 1, how sure it is that a question is about what the artifacts are about.

        What the words earn is compared with what all of them weigh, so that a few of many do not suffice, and with what
        one word weighs that a single artifact has, so that everyday words do not.
        """
        if self._is_named(unique):
            return 1.0
        earned = sum(self._counts(term) * term.worth(there[unique]) for term, there in strong if unique in there)
        measure = math.sqrt(self._whole() * math.log(1 + self._question.artifacts))
        ratio = earned / measure if measure else 0.0
        return ratio / (ratio + _HALF_SURE)

    def _is_named(self, unique: int) -> bool:
        return any(part.name == "name" for part in self._earned.get(unique, ()))

    def _counts(self, term: Term) -> float:
        """Return what a word counts for being sure: one that had to be repaired may not have been meant."""
        return _REPAIRED if any(other == term.said for _, other in self._question.repaired) else 1.0

    def _whole(self) -> float:
        return sum(term.rarity for term in self._question.terms)

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


def _parts(unique: int, strong: list[tuple[Term, dict[int, int]]], how: str) -> Iterator[Part]:
    """Yield what each word earns in an artifact, in its metadata and in its text."""
    for term, there in strong:
        strength = there.get(unique, 0)
        for where, level in (("metadata", strength & ~postings.LEVELS), ("text", strength & postings.LEVELS)):
            if level:
                yield Part(where, term.worth(level), how + term.said)
