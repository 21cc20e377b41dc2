"""Which artifacts fit a question best: words first, then names.

Rare words choose the candidates; words that many artifacts have only raise those that are candidates already, so that a
long sentence over a large index stays cheap.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

from agent_studio.knowledge.answers import Part
from agent_studio.knowledge.words import KINDS, humps, words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from agent_studio.knowledge.postings import Reader
    from agent_studio.knowledge.questions import Question

_MOST_READ = 5_000
"""Postings that are read for candidates."""
_READ_WHOLE = 2
"""Words of a question, the rarest, that are read whatever they cost: both choose."""
_KEPT = 200
"""Candidates that are kept once enough have been read."""
_MANY = 2_000
_SHARES = (0.5, 0.25, 0.0)
"""Of the highest score: most of many are seen at once to be far below it."""
_EXACT_NAME = 24.0
_KIND = 1.5
_START = 4.0
_AMONG = 100
"""Candidates whose kind and name are looked at."""


def scores(reader: Reader, question: Question) -> dict[int, float]:
    """Return what the words of a question earn, by artifact."""
    found: dict[int, float] = {}
    read = whole = 0
    chosen = False
    meant = {term.stem for term in question.meant}
    for term in sorted((*question.terms, *question.meant), key=lambda term: (term.docs, term.stem)):
        if not term.docs:
            continue
        if found and read + term.docs > _MOST_READ and (whole >= _READ_WHOLE or term.stem in meant) and not chosen:
            found = {unique: found[unique] for unique in best(found, _KEPT)}
            chosen = True
        if chosen:
            for unique, strength in reader.held(term, found).items():
                found[unique] += term.worth(strength)
        else:
            reader.collect(term, found)
            read += term.docs
            whole += term.stem not in meant
    return found


def best(found: dict[int, float], number: int) -> list[int]:
    """Return the ids of the highest scores."""
    few: Collection[int] = found
    if len(found) > _MANY:
        high = max(found.values())
        for share in _SHARES:
            few = [unique for unique, score in found.items() if score >= share * high]
            if len(few) >= number:
                break
    return nlargest(number, few, key=found.__getitem__)


def bonuses(db: sqlite3.Connection, question: Question, found: dict[int, float]) -> dict[int, list[Part]]:
    """Return what artifacts earn by more than words, and add it to their scores."""
    earned: dict[int, list[Part]] = {}
    marks = ", ".join("?" * len(question.names))
    query = f"SELECT id, name FROM named JOIN artifact USING (id) WHERE stems IN ({marks})"  # noqa: S608
    for unique, name in db.execute(query, question.names):
        earned[unique] = [Part("name", _EXACT_NAME, name)]
    kinds = {kind for one in question.stems if (kind := KINDS.get(one))}
    if kinds or question.starts:
        among = best(found, _AMONG)
        marks = ", ".join("?" * len(among))
        query = f"SELECT id, domain, name FROM artifact WHERE id IN ({marks})"  # noqa: S608 - question marks
        for unique, domain, name in db.execute(query, among):
            if domain in kinds:
                earned.setdefault(unique, []).append(Part("kind", _KIND, domain))
            if question.starts and any(word.startswith(question.starts) for word in (*words(name), *humps(name))):
                earned.setdefault(unique, []).append(Part("start", _START, name))
    for unique, parts in earned.items():
        found[unique] = found.get(unique, 0.0) + sum(part.points for part in parts)
    return earned
