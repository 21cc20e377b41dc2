"""How good a search is, measured on judged questions.

nDCG with gains 2^grade - 1 and a discount of log2(rank + 1): Järvelin, Kekäläinen, "Cumulated gain-based evaluation of
IR techniques", ACM TOIS 20 (2002); reciprocal rank, recall and hits at the first rank as usual.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_studio.knowledge.answers import Answer, Hit

DEPTH = 10
_RECALL_DEPTH = 5
_NEGATIVE = "negative"
_MEAN = "macro"
_DEFAULT = "all"


class Judged(NamedTuple):
    """A question, and what answers it."""

    query: str
    relevant: dict[str, int]
    """Name or path to grade; empty when nothing answers it."""
    type: str
    line: int


class Measured(NamedTuple):
    """How one question went."""

    judged: Judged
    ndcg10: float
    recall5: float
    reciprocal_rank: float
    hit1: float
    """For a question that nothing answers all four are 1 or 0: was there silence?"""
    first: str
    """Path of the first hit, or empty."""
    unknown: tuple[str, ...]
    """Names and paths that no artifact has, as far as can be told from the hits."""


def read(lines: Iterable[str], name: str) -> list[Judged]:
    """Read judged questions; raise `ConfigurationError` for the first line that is none."""
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_judged(json.loads(line), number))
            except (ValueError, TypeError, RecursionError) as error:
                raise ConfigurationError(
                    f"{name}:{number}: {error}",
                    hint='a line is {"query": "...", "relevant": ["name or path", ...], "type": "..."}',
                ) from error
    if not found:
        raise ConfigurationError(f"{name} has no judged questions", hint="agent-studio kb eval --example > FILE")
    return found


def _judged(given: Any, line: int) -> Judged:
    if not isinstance(given, dict) or not isinstance(given.get("query"), str) or not given["query"].strip():
        raise ValueError('no "query"')
    relevant = given.get("relevant")
    if isinstance(relevant, list):
        relevant = dict.fromkeys(relevant, 1)
    if not isinstance(relevant, dict) or not all(isinstance(key, str) and key for key in relevant):
        raise ValueError('"relevant" is no list of names or paths, and no object of their grades')
    if not all(isinstance(grade, int) and 1 <= grade <= 3 for grade in relevant.values()):  # noqa: PLR2004
        raise ValueError("a grade is 1, 2 or 3")
    kind = given.get("type", _DEFAULT if relevant else _NEGATIVE)
    if not isinstance(kind, str):
        raise ValueError('"type" is no text')  # noqa: TRY004 - as above
    if kind == _MEAN:
        raise ValueError(f'"type" is {_MEAN}, which is what the mean is called')
    return Judged(given["query"], relevant, kind, line)


def measure(judged: Judged, answer: Answer, exists: Callable[[str], bool]) -> Measured:
    """Compare the hits for a question with what answers it."""
    first = answer.hits[0].entry.path if answer.hits else ""
    if not judged.relevant:
        silent = float(not answer.hits)
        return Measured(judged, silent, silent, silent, silent, first, ())
    left = dict(judged.relevant)
    grades = [_grade(hit, left) for hit in answer.hits]
    ideal = _gain(sorted(judged.relevant.values(), reverse=True))
    ranks = [rank for rank, grade in enumerate(grades, 1) if grade]
    unknown = tuple(key for key in left if not exists(key))
    return Measured(
        judged,
        _gain(grades) / ideal,
        sum(rank <= _RECALL_DEPTH for rank in ranks) / min(_RECALL_DEPTH, len(judged.relevant)),
        1 / ranks[0] if ranks else 0.0,
        float(ranks[:1] == [1]),
        first,
        unknown,
    )


def _grade(hit: Hit, left: dict[str, int]) -> int:
    """Return what a hit is worth, once: by its path or its name, or by a copy's path."""
    for key in (hit.entry.path, *hit.copies, hit.entry.name):
        for known in left:
            if key == known or key.endswith("/" + known):
                return left.pop(known)
    return 0


def _gain(grades: list[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades[:DEPTH], 1))


def summed(measured: Iterable[Measured]) -> dict[str, dict[str, float]]:
    """Return the means by type, and over types as `macro`; those of questions that nothing answers stand apart."""
    types: dict[str, list[Measured]] = {}
    for one in measured:
        types.setdefault(one.judged.type, []).append(one)
    table: dict[str, dict[str, float]] = {}
    for name, ones in types.items():
        if not any(one.judged.relevant for one in ones):
            table[name] = {"questions": len(ones), "silent": _mean(one.ndcg10 for one in ones)}
        else:
            table[name] = {
                "questions": len(ones),
                "ndcg10": _mean(one.ndcg10 for one in ones),
                "recall5": _mean(one.recall5 for one in ones),
                "mrr": _mean(one.reciprocal_rank for one in ones),
                "hit1": _mean(one.hit1 for one in ones),
            }
    ranked = [row for row in table.values() if "ndcg10" in row]
    if ranked:
        names = ("ndcg10", "recall5", "mrr", "hit1")
        whole: dict[str, float] = {"questions": sum(row["questions"] for row in ranked)}
        table[_MEAN] = whole | {name: _mean(row[name] for row in ranked) for name in names}
    return table


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def earlier(text: str, name: str) -> Mapping[str, Any]:
    """Read what `kb eval --json` printed before; raise `ConfigurationError` for anything else."""
    try:
        given = json.loads(text)
        data = given.get("data", given)
        return {
            "types": {name: {key: float(one) for key, one in row.items()} for name, row in data["types"].items()},
            "questions": [{"query": str(one["query"]), "ndcg10": float(one["ndcg10"])} for one in data["questions"]],
        }
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        pass
    raise ConfigurationError(f"{name} is no earlier result", hint="agent-studio kb eval FILE --json > EARLIER")
