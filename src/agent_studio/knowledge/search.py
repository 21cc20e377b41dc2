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
    from agent_studio.knowledge.questions import Question

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
    question = questions.read(db, query.text[:TEXT_MAX])
    scores = ranking.scores(db, question)
    earned = ranking.bonuses(db, question, scores)
    chosen: dict[str, Entry] = {}
    for entry in _passing(db, query, scores):
        chosen.setdefault(entry.sha256, entry)
        if len(chosen) >= query.limit:
            break
    hits = _hits(
        db, query, question, [(entry, scores[entry.id], earned.get(entry.id, [])) for entry in chosen.values()]
    )
    fits = max((hit.fits for hit in hits), default=0.0)
    if fits < FLOOR:
        hits, fits = [], 0.0
    return Answer(query, tuple(hits), question.as_searched if question.repaired else None, fits, question.repaired)


def _passing(db: sqlite3.Connection, query: Query, scores: dict[int, float]) -> Iterator[Entry]:
    """Yield candidates that pass the filters, best first, ties by path; no more of them are read than is needed."""
    where, values = _filter(query)
    first = ranking.best(scores, query.limit + _SPARE)
    yield from _entries(db, where, values, first, scores)
    if len(first) < len(scores):
        seen = set(first)
        rest = [unique for unique in ranking.best(scores, len(scores)) if unique not in seen]
        for at in range(0, len(rest), _AT_ONCE):
            yield from _entries(db, where, values, rest[at : at + _AT_ONCE], scores)


def _entries(
    db: sqlite3.Connection, where: str, values: list[Any], ids: list[int], scores: dict[int, float]
) -> list[Entry]:
    marks = ", ".join("?" * len(ids))
    rows = db.execute(f"SELECT * FROM artifact WHERE id IN ({marks}){where}", (*ids, *values))  # noqa: S608
    return sorted(map(schema.entry, rows), key=lambda entry: (-scores[entry.id], entry.path))


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


def _hits(
    db: sqlite3.Connection, query: Query, question: Question, chosen: Sequence[tuple[Entry, float, list[Part]]]
) -> list[Hit]:
    ids = [entry.id for entry, _, _ in chosen]
    strong = [(term, postings.held(db, term, ids)) for term in question.terms if term.id is not None]
    meant = [(term, postings.held(db, term, ids)) for term in question.meant] if query.explain else []
    copies = _copies(db, [entry.sha256 for entry, _, _ in chosen])
    worth = {term.stem: term.rarity for term in question.terms}
    hits = []
    for entry, score, earned in chosen:
        held = [(term, there[entry.id]) for term, there in strong if entry.id in there]
        fits = 1.0 if any(part.name == "name" for part in earned) else _fits(question, held)
        shown = snippets.snippet(entry.description, worth)
        others = tuple(path for path in copies[entry.sha256] if path != entry.path)
        held += [(term, there[entry.id]) for term, there in meant if entry.id in there]
        parts = (*_explained(held), *earned) if query.explain else ()
        hits.append(Hit(entry, score, fits, *shown, others, parts))
    return hits


def _fits(question: Question, held: list[tuple[Term, int]]) -> float:
    """Return how much of what a question says is said by an artifact too, rare words counting more."""
    said = sum(term.rarity * (1.0 if strength > postings.LEVELS else _IN_TEXT) for term, strength in held)
    return min(1.0, said / (sum(term.rarity for term in question.terms) or 1.0))


def _explained(held: list[tuple[Term, int]]) -> list[Part]:
    parts = []
    for term, strength in held:
        for where, level in (("metadata", strength & ~postings.LEVELS), ("text", strength & postings.LEVELS)):
            if level:
                parts.append(Part(where, term.worth(level), term.said))
    return parts


def _copies(db: sqlite3.Connection, contents: Sequence[str]) -> dict[str, list[str]]:
    marks = ", ".join("?" * len(contents))
    found: dict[str, list[str]] = {}
    for sha256, path in db.execute(
        f"SELECT sha256, path FROM artifact WHERE sha256 IN ({marks}) ORDER BY path",  # noqa: S608 - question marks
        contents,
    ):
        found.setdefault(sha256, []).append(path)
    return found
