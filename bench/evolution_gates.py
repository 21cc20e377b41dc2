"""What the gates of an evolution say of artifacts that are there already: how often they would be in the way.

python -m bench.evolution_gates PROJECT     PROJECT holds a .claude folder, and is only read
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import table

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.evolution.gates import need, placeholders, references
from agent_studio.evolution.gates.likeness import DOMAINS, beside
from agent_studio.evolution.state import Evolution
from agent_studio.knowledge import front_matter
from agent_studio.knowledge.base import knowledge
from agent_studio.knowledge.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.knowledge.answers import Entry
    from agent_studio.knowledge.base import KnowledgeBase

_SAMPLE = 400


def figures(project: Path, seed: int = 1) -> list[tuple[str, int, int, int]]:
    """Return what was looked at, of how many, how many FAIL and how many have to be answered for."""
    context = open_context(Project(project), Choice(Environment.DEVELOPMENT, "a bench"), {})
    with knowledge(context, writes=False) as base:
        entries = [one for one in base.list(sort="path") if one.domain in DOMAINS]
        return [
            ("placeholders", len(entries), sum(_has_placeholder(context.project.path, one) for one in entries), 0),
            ("references to artifacts", len(entries), sum(_dangles(base, project, one) for one in entries), 0),
            ("description beside another of the same name", *_counted(_namesakes(entries))),
            ("description beside all of other names", *_counted(_others(entries, seed))),
        ]


def _text(project: Path, one: Entry) -> front_matter.FrontMatter:
    return front_matter.read(decode((project / one.path).read_bytes())[0])


def _has_placeholder(project: Path, one: Entry) -> bool:
    found = _text(project, one)
    values = (
        value if isinstance(value, str) else ", ".join(value)
        for name, value in found.fields.items()
        if name in placeholders.TOLD
    )
    return any(placeholders.in_body(found.body)) or any(map(placeholders.in_field, values))


def _dangles(base: KnowledgeBase, project: Path, one: Entry) -> bool:
    found = _text(project, one)
    asked = Evolution(1, one.domain, one.name, "", "", "", "")
    return bool(references.missing_named(base, asked, references.named(found.fields, [found.body])))


def _counted(alike: Iterator[float]) -> tuple[int, int, int]:
    found = list(alike)
    failing = sum(one >= need.SAME for one in found)
    return len(found), failing, sum(one >= need.RELATED for one in found) - failing


def _namesakes(entries: Sequence[Entry]) -> Iterator[float]:
    """Yield how like the descriptions of two artifacts of one name and different bytes are, the name aside."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for one in entries:
        groups[one.name.rpartition(":")[2]].append(one)
    for first, *rest in groups.values():
        other = next((one for one in rest if one.sha256 != first.sha256), None)
        if other is not None:
            nameless = [one._replace(name="-") if one is other else one for one in entries]
            found = (like.alike for like in beside(first.description, nameless) if like.entry.path == other.path)
            yield next(found, 0.0)


def _others(entries: Sequence[Entry], seed: int) -> Iterator[float]:
    """Yield how like the nearest artifact of another name and another description is, for some."""
    for one in random.Random(seed).sample(entries, min(_SAMPLE, len(entries))):
        name = one.name.rpartition(":")[2]
        rest = [
            other for other in entries
            if other.name.rpartition(":")[2] != name and other.description != one.description
        ]  # fmt: skip
        yield next((like.alike for like in beside(one.description, rest)), 0.0)


def main() -> int:
    """Print the table."""
    rows = figures(Path(sys.argv[1]).resolve())
    print(table(("gate", "artifacts", "FAIL", "to be answered for"), [tuple(map(str, row)) for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
