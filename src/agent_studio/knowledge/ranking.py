"""Which artifacts fit a question best: words first, then names.

Rare words choose the candidates; words that many artifacts have only raise those that are candidates already, so that a
long sentence over a large index stays cheap.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import postings
from agent_studio.knowledge.answers import Part
from agent_studio.knowledge.postings import LEVELS
from agent_studio.knowledge.words import stem

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.questions import Question, Term

_MOST_READ = 60_000
"""Postings that are read for candidates."""
_KEPT = 300
"""Candidates that are kept once so many have been read."""
EXACT_NAME = 24.0
_KIND = 1.5
_KINDS = {
    "agent": "agent", "subag": "agent", "skill": "skill", "command": "command", "workflow": "workflow", "hook": "hook",
    "rule": "rule",
    # a question that names a profession looks for somebody who has it
    **dict.fromkeys(map(stem, ("specialist", "expert", "engineer", "architect", "developer", "analyst")), "agent"),
}  # fmt: skip
"""Words that say which kind of artifact is looked for."""


class Ranked(NamedTuple):
    """One artifact with its score, and what that is made of."""

    id: int
    score: float
    parts: tuple[Part, ...]
    """What is not earned by words."""


def scores(db: sqlite3.Connection, question: Question) -> dict[int, float]:
    """Return what the words of a question earn, by artifact."""
    found: dict[int, float] = {}
    read = 0
    chosen = False
    for term in sorted(question.terms, key=lambda term: (term.docs, term.stem)):
        if term.id is None:
            continue
        if found and read + term.docs > _MOST_READ and not chosen:
            found = {unique: found[unique] for unique in best(found, _KEPT)}
            chosen = True
        if chosen:
            worth = points(term)
            for unique, strength in postings.held(db, term.id, found).items():
                found[unique] += worth[strength]
        else:
            postings.collect(db, term.id, points(term), found)
            read += term.docs
    return found


def best(found: dict[int, float], number: int) -> list[int]:
    """Return the ids of the highest scores, ties by id."""
    return nlargest(number, found, key=lambda unique: (found[unique], -unique))


def points(term: Term) -> list[float]:
    """Return what each of the 256 strengths of a word is worth."""
    head, text = term.weight * term.head_rarity / LEVELS, term.weight * term.text_rarity / LEVELS
    below = [text * level for level in range(LEVELS + 1)]
    return [head * level + rest for level in range(LEVELS + 1) for rest in below]


def ranked(found: dict[int, float], rows: dict[int, tuple[str, str]], question: Question) -> list[Ranked]:
    """Return candidates in their order; `rows` has the name and the domain of each."""
    looked_for = [stem(word) for word in question.words]
    joined = "".join(looked_for)
    kinds = {kind for one in looked_for if (kind := _KINDS.get(one))}
    made = []
    for unique, (name, domain) in rows.items():
        parts = []
        if "".join(postings.name_stems(name)) == joined:
            parts.append(Part("name", EXACT_NAME, name))
        if domain in kinds:
            parts.append(Part("kind", _KIND, domain))
        made.append(Ranked(unique, found.get(unique, 0.0) + sum(part.points for part in parts), tuple(parts)))
    return sorted(made, key=lambda one: (-one.score, one.id))
