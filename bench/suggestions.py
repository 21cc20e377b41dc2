"""How often suggestions speak, and how often they are right, on judged questions of a project.

bench/suggestions.py --project DIR --queries FILE [--groups FILE]: lines of `{query, type, rel{path: grade}}`; of type
`negative` is what nothing answers. Groups name artifacts that are copies of each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.guards.handlers import suggest
from agent_studio.guards.handlers.prompts import asked_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.context import Context

NEGATIVE = "negative"


class Spoken(NamedTuple):
    """What was suggested for one question."""

    kind: str
    suggested: list[str]
    right: list[bool]
    took_ms: float


def spoken(context: Context, queries: Iterable[Mapping[str, Any]], groups: Mapping[str, str]) -> list[Spoken]:
    """Ask for suggestions as the handler does."""
    found = []
    for one in queries:
        began = time.perf_counter()
        need = asked_for(one["query"])
        hits = suggest.suggestions(context, need)[: suggest.AT_MOST] if need else []
        took_ms = (time.perf_counter() - began) * 1_000
        paths = [_judged(hit.entry.path, groups) for hit in hits]
        rel = {groups.get(path, path) for path, grade in one["rel"].items() if grade > 0}
        found.append(Spoken(one["type"], paths, [path in rel for path in paths], took_ms))
    return found


def _judged(path: str, groups: Mapping[str, str]) -> str:
    """Return a path as judgements have it: from the definitions folder."""
    own = path.partition(".claude/")[2]
    return groups.get(own, own)


def table(found: Iterable[Spoken]) -> list[tuple[str, int, float, float, float]]:
    """Return by type, and for all that has an answer: questions, share spoken on, precision, share with one right."""
    by_kind: dict[str, list[Spoken]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
        if one.kind != NEGATIVE:
            by_kind["all with an answer"].append(one)
    rows = []
    for kind, listed in sorted(by_kind.items()):
        spoke = [one for one in listed if one.suggested]
        right = [is_right for one in spoke for is_right in one.right]
        precision = sum(right) / len(right) if right else 0.0
        useful = sum(any(one.right) for one in spoke) / len(spoke) if spoke else 0.0
        rows.append((kind, len(listed), len(spoke) / len(listed), precision, useful))
    return rows


def main() -> None:
    """Print the table and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--groups", type=Path)
    args = parser.parse_args()
    queries = [json.loads(line) for line in args.queries.read_text("utf-8").splitlines()]
    groups = json.loads(args.groups.read_text("utf-8"))["groups"] if args.groups else {}
    context = open_context(Project(args.project.resolve()), Choice(Environment.DEVELOPMENT, "--env"), {})
    found = spoken(context, queries, groups)
    print(f"{'type':20}{'n':>5}{'speaks':>9}{'p@3':>8}{'useful':>8}")
    for kind, number, speaks, precision, useful in table(found):
        print(f"{kind:20}{number:5}{speaks:9.2f}{precision:8.2f}{useful:8.2f}")
    took = sorted(one.took_ms for one in found)
    print(f"p50 {took[len(took) // 2]:.0f} ms, p95 {took[int(len(took) * 0.95)]:.0f} ms in process")


if __name__ == "__main__":
    main()
