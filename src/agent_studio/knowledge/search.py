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
    from agent_studio.knowledge.questions import Question, Term
    from agent_studio.knowledge.ranking import Ranked

_IN_TEXT = 0.5
"""What a word that stands in the text only counts for `fits`."""
FLOOR = 0.3
"""`fits` below which nothing is said to fit."""
TEXT_MAX = 4_000
"""Characters of a question that are read."""
_RANKED = 100
"""Candidates whose names are looked at; more only where filters leave too few."""
_AT_ONCE = 500


def search(db: sqlite3.Connection, query: Query) -> Answer:
    """Return what fits a question, best first."""
    question = questions.read(db, query.text[:TEXT_MAX])
    found = ranking.scores(db, question)
    chosen: list[tuple[Ranked, Entry]] = []
    seen: set[str] = set()
    for one, entry in _passing(db, query, question, found):
        if entry.sha256 not in seen:
            seen.add(entry.sha256)
            chosen.append((one, entry))
        if len(chosen) >= query.limit:
            break
    hits = _hits(db, query, question, chosen)
    fits = max((hit.fits for hit in hits), default=0.0)
    if fits < FLOOR:
        hits = []
    said = " ".join(question.words) if question.repaired else None
    return Answer(query, tuple(hits), said, fits if hits else 0.0, question.repaired)


def _passing(
    db: sqlite3.Connection, query: Query, question: Question, found: dict[int, float]
) -> Iterator[tuple[Ranked, Entry]]:
    """Yield candidates that pass the filters, best first, reading no more of them than is needed."""
    named = db.execute("SELECT id FROM artifact WHERE name = ? COLLATE NOCASE LIMIT 50", (query.text.strip(),))
    first = dict.fromkeys([*(row[0] for row in named), *ranking.best(found, _RANKED)])
    yield from _ordered(db, query, question, found, list(first))
    if len(found) <= _RANKED:
        return
    rest = [unique for unique in ranking.best(found, len(found)) if unique not in first]
    for at in range(0, len(rest), _AT_ONCE):
        yield from _ordered(db, query, question, found, rest[at : at + _AT_ONCE])


def _ordered(
    db: sqlite3.Connection, query: Query, question: Question, found: dict[int, float], ids: list[int]
) -> Iterator[tuple[Ranked, Entry]]:
    where, values = _filter(query)
    marks = ", ".join("?" * len(ids))
    rows = db.execute(f"SELECT * FROM artifact WHERE id IN ({marks}){where}", (*ids, *values))  # noqa: S608
    entries = {entry.id: entry for entry in map(schema.entry, rows)}
    names = {unique: (entry.name, entry.domain) for unique, entry in entries.items()}
    for one in ranking.ranked(found, names, question):
        yield one, entries[one.id]


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
    db: sqlite3.Connection, query: Query, question: Question, chosen: Sequence[tuple[Ranked, Entry]]
) -> list[Hit]:
    ids = [entry.id for _, entry in chosen]
    strong = [(term, postings.held(db, term.id, ids) if term.id is not None else {}) for term in question.terms]
    copies = _copies(db, [entry.sha256 for _, entry in chosen])
    hits = []
    for one, entry in chosen:
        held = [(term, there[one.id]) for term, there in strong if one.id in there]
        snippet, marks = snippets.snippet(entry, question)
        others = tuple(path for path in copies[entry.sha256] if path != entry.path)
        parts = _explained(one, held) if query.explain else ()
        hits.append(Hit(entry, one.score, _fits(question, one, held), snippet, marks, others, parts))
    return hits


def _fits(question: Question, one: Ranked, held: list[tuple[Term, int]]) -> float:
    """Return how much of what a question says is said by an artifact too, rare words counting more."""
    if any(part.name == "name" for part in one.parts):
        return 1.0
    said = sum(term.text_rarity * (1.0 if strength > postings.LEVELS else _IN_TEXT) for term, strength in held)
    return min(1.0, said / (sum(term.text_rarity for term in question.terms) or 1.0))


def _explained(one: Ranked, held: list[tuple[Term, int]]) -> tuple[Part, ...]:
    parts = []
    for term, strength in held:
        worth = ranking.points(term)
        head, text = worth[strength & ~postings.LEVELS], worth[strength & postings.LEVELS]
        parts += [Part(where, points, term.said) for where, points in (("head", head), ("text", text)) if points]
    return (*parts, *one.parts)


def _copies(db: sqlite3.Connection, contents: Sequence[str]) -> dict[str, list[str]]:
    marks = ", ".join("?" * len(contents))
    found: dict[str, list[str]] = {}
    for sha256, path in db.execute(
        f"SELECT sha256, path FROM artifact WHERE sha256 IN ({marks}) ORDER BY path",  # noqa: S608 - question marks
        contents,
    ):
        found.setdefault(sha256, []).append(path)
    return found
