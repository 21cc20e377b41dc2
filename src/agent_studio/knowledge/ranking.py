"""Which artifacts fit a question best: words first, then names.

Rare words choose the candidates; words that many artifacts have only raise those that are candidates already, so that a
long sentence over a large index stays cheap.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

from agent_studio.knowledge.answers import Part
from agent_studio.knowledge.words import KINDS

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.postings import Reader
    from agent_studio.knowledge.questions import Question

_MOST_READ = 60_000
"""Postings that are read for candidates."""
_KEPT = 300
"""Candidates that are kept once so many have been read."""
_EXACT_NAME = 24.0
_KIND = 1.5
_KIND_AMONG = 100
"""Candidates whose kind is looked at."""


def scores(reader: Reader, question: Question) -> dict[int, float]:
    """Return what the words of a question earn, by artifact."""
    found: dict[int, float] = {}
    read = 0
    chosen = False
    for term in sorted((*question.terms, *question.meant), key=lambda term: (term.docs, term.stem)):
        if not term.docs:
            continue
        if found and read + term.docs > _MOST_READ and not chosen:
            found = {unique: found[unique] for unique in best(found, _KEPT)}
            chosen = True
        if chosen:
            for unique, strength in reader.held(term, found).items():
                found[unique] += term.worth(strength)
        else:
            reader.collect(term, found)
            read += term.docs
    return found


def best(found: dict[int, float], number: int) -> list[int]:
    """Return the ids of the highest scores."""
    return nlargest(number, found, key=found.__getitem__)


def bonuses(db: sqlite3.Connection, question: Question, found: dict[int, float]) -> dict[int, list[Part]]:
    """Return what artifacts earn by more than words, and add it to their scores."""
    earned: dict[int, list[Part]] = {}
    marks = ", ".join("?" * len(question.names))
    query = f"SELECT id, name FROM named JOIN artifact USING (id) WHERE stems IN ({marks})"  # noqa: S608
    for unique, name in db.execute(query, question.names):
        earned[unique] = [Part("name", _EXACT_NAME, name)]
    kinds = {kind for one in question.stems if (kind := KINDS.get(one))}
    if kinds:
        among = best(found, _KIND_AMONG)
        marks = ", ".join("?" * len(among))
        for unique, domain in db.execute(f"SELECT id, domain FROM artifact WHERE id IN ({marks})", among):  # noqa: S608
            if domain in kinds:
                earned.setdefault(unique, []).append(Part("kind", _KIND, domain))
    for unique, parts in earned.items():
        found[unique] = found.get(unique, 0.0) + sum(part.points for part in parts)
    return earned
