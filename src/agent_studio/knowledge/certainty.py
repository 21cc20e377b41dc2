"""How surely a question is about what the artifacts are about: a search without a floor answers nonsense too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent_studio.knowledge.strengths import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.knowledge.postings import Term
    from agent_studio.knowledge.questions import Question

    Held = tuple[Term, dict[int, int]]
    """A word, and how strong it is in each of some artifacts."""

FLOOR = 0.5
"""What `sure` says of a question that may or may not be answered; below, nothing is said to fit."""
_HALF_SURE = 0.22
"""Fitted on one half of a judged set of questions, and on questions that no artifact of an engineer answers."""
_LEAST = 0.2
"""What a word weighs at least, as a part of one that a single artifact has: where all have it, it still is a word."""
_REPAIRED = 0.5
"""What a repaired word counts: it may not have been meant."""
_IN_TEXT = 0.5
"""What a word that stands in the text only counts for `said`."""


def said(question: Question, unique: int, held: Iterable[Held]) -> float:
    """Return how much of what a question says is said by an artifact too, 0 to 1; rare words count more."""
    found = sum(
        _counts(question, term) * term.rarity * (1.0 if there[unique] > LEVELS else _IN_TEXT)
        for term, there in held
        if unique in there
    )
    return min(1.0, found / (sum(term.rarity for term in question.terms) or 1.0))


def sure(question: Question, unique: int, held: Iterable[Held]) -> float:
    """Return how sure it is that an artifact is what a question is about, 0 to 1.

    What the words earn is compared with what all of them weigh, so that a few of many do not suffice, and with what one
    word weighs that a single artifact has, so that everyday words do not. The more artifacts, the more fit by chance.
    A description that has every word of a question is an answer, whatever they weigh.
    """
    held = list(held)
    unique_word = math.log(1 + question.artifacts)
    least = _LEAST * unique_word
    earned = weight = 0.0
    for term, there in held:
        if unique in there:
            earned += _counts(question, term) * term.worth(there[unique]) * max(1.0, least / (term.rarity or least))
    for rarity in question.weights:
        weight += max(rarity, least) if rarity else 0.0
    measure = math.sqrt(weight * unique_word)
    ratio = earned / measure if measure else 0.0
    certain = ratio / (ratio + _HALF_SURE * math.sqrt(unique_word))
    return max(certain, FLOOR) if said(question, unique, held) == 1.0 else certain


def _counts(question: Question, term: Term) -> float:
    spelt = (other for word, other in question.repaired if word not in question.starts)
    return _REPAIRED if term.said in spelt else 1.0
