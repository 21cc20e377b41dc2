"""Ranked search over the rows of an index."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_studio.errors import nearest
from agent_studio.knowledge.table import TEST_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.knowledge.table import Row

_WORD = re.compile(r"[^\W_]+")
_WEIGHTS = {"name": 4.0, "alias": 4.0, "use_cases": 2.0, "description": 1.0, "tools": 0.5}
_EXACT_NAME_BONUS = 20.0
_SNIPPET_CHARACTERS = 160


@dataclass(frozen=True)
class Hit:
    """One row that answers a query."""

    row: Row
    score: float

    @property
    def snippet(self) -> str:
        """The start of the description."""
        text = self.row["description"]
        return text if len(text) <= _SNIPPET_CHARACTERS else text[: _SNIPPET_CHARACTERS - 1].rstrip() + "…"


def search(rows: Iterable[Row], query: str, *, limit: int = 10, include_test: bool = False) -> list[Hit]:
    """Return the best rows for a query, words in any order, rarer words weighing more; ties go by path."""
    candidates = [row for row in rows if include_test or row["domain"] != TEST_DOMAIN]
    wanted = set(words(query))
    found = [(row, _matches(row, wanted)) for row in candidates]
    seen = Counter(word for _, matched in found for word in matched)
    hits = []
    for row, matched in found:
        score = sum(weight * math.log(1 + len(candidates) / seen[word]) for word, weight in matched.items())
        if words(row["name"]) == words(query) and wanted:
            score += _EXACT_NAME_BONUS
        if score:
            hits.append(Hit(row, round(score, 4)))
    return sorted(hits, key=lambda hit: (-hit.score, hit.row["path"]))[:limit]


def suggest(rows: Iterable[Row], query: str) -> str | None:
    """Return the artifact name most like a query that found nothing, or None."""
    return nearest(query, {row["name"] for row in rows if row["domain"] != TEST_DOMAIN})


def words(text: str) -> list[str]:
    """Return the words of a text, folded; `writing-migrations` is two."""
    return _WORD.findall(text.casefold())


def _matches(row: Row, wanted: set[str]) -> dict[str, float]:
    """Return which wanted words a row has, each with the weight of the best field it stands in."""
    matched: dict[str, float] = {}
    for column, weight in _WEIGHTS.items():
        for word in wanted.intersection(words(row.get(column, ""))):
            matched[word] = max(weight, matched.get(word, 0.0))
    return matched
