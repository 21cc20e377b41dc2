"""The knowledge base: what a search, a build and a change cost, in process at several sizes and as a whole process.

Artifacts are generated: words of syllables whose frequencies fall as Zipf's law has it, short names, descriptions of a
sentence or two and texts of some hundred words. Nothing of a real collection is in them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import corpus, measure

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.knowledge import index, schema
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.artifacts import Artifact
from agent_studio.knowledge.base import knowledge, knowledge_anew
from agent_studio.knowledge.search import search
from agent_studio.knowledge.words import COMMON
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

LIMITS_MS = {1_133: 2.0, 100_000: 15.0}
"""Rows and the p95 that a search in process has to hold; up to as many rows the next higher limit holds."""
_SYLLABLES = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")]
_COMMON_WORDS = 4_000
_BODY_WORDS = 120
_DOMAINS = ("skill", "agent", "command", "workflow", "hook", "rule")


class Sized(NamedTuple):
    """The figures at one number of rows."""

    rows: int
    p50_ms: float
    p95_ms: float
    build_s: float
    update_ms: float
    """One artifact changed."""
    size_mb: float
    peak_mb: float
    """Of the process that built and searched."""

    @property
    def limit_ms(self) -> float | None:
        """The p95 to hold."""
        return next((limit for rows, limit in LIMITS_MS.items() if self.rows <= rows), None)


class Words:
    """Words as people use them: few often, most hardly ever, and ever new ones the more is written."""

    def __init__(self, rows: int, seed: int) -> None:
        self.chance = random.Random(seed)
        count = _COMMON_WORDS + int(40 * rows**0.5)
        made = {"".join(self.chance.choices(_SYLLABLES, k=self.chance.randint(2, 4))) for _ in range(count)}
        self._made = sorted(made, key=lambda word: (len(word), word))
        self._words = [*sorted(COMMON, key=lambda word: (len(word), word)), *self._made]
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(self._words))))

    def some(self, count: int) -> list[str]:
        """Return words by their frequency."""
        return self.chance.choices(self._words, cum_weights=self._weights, k=count)

    def rare(self) -> str:
        """Return a word that says something, of any frequency."""
        return self.chance.choice(self._made)


def artifacts(rows: int, seed: int) -> Iterator[Artifact]:
    """Yield generated artifacts; the same numbers give the same ones."""
    words = Words(rows, seed)
    for number in range(rows):
        name = f"{words.rare()}-{words.rare()}"
        domain = _DOMAINS[number % len(_DOMAINS)]
        text = [" ".join(words.some(15)) for _ in range(_BODY_WORDS // 15)]
        yield Artifact(
            name=name, path=f".claude/{domain}s/{name}-{number}.md", description=" ".join(words.some(25)),
            domain=domain, complexity="LOW", use_cases="", tools="Read;Grep", deprecated=False, alias="",
            tags=";".join(words.some(2)), headings="\n".join(" ".join(words.some(3)) for _ in range(4)),
            body="\n".join(text), source="project", sha256=f"{number:064x}", size_bytes=8 * _BODY_WORDS,
            mtime_ns=number, hidden=False, repairs=(),
        )  # fmt: skip


def questions(asked_about: Sequence[Artifact], seed: int) -> Iterator[str]:
    """Yield what is asked about some artifacts: names, misspelt ones, words, sentences; one in ten is nowhere."""
    chance = random.Random(seed)
    for number, artifact in enumerate(asked_about):
        first, second = artifact.name.split("-")
        telling = [word for word in artifact.description.split() if word not in COMMON] or [first]
        yield (
            artifact.name,
            f"{first[:2]}x{first[2:]} {second}",
            " ".join(artifact.description.split()[:14]),
            " ".join(chance.sample(telling, min(len(telling), chance.randint(1, 3)))),
            f"nowhere{number} {chance.choice(telling)}" if number % 2 else f"{first} {chance.choice(telling)}",
        )[number % 5]


def sized(rows: int, asked: int, seed: int) -> Sized:
    """Build an index of generated artifacts and search it, in a process of its own so that memory is told apart."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", str(rows), "--asked", str(asked), "--seed", str(seed)]
        done = subprocess.run([*command, "--folder", folder], capture_output=True, text=True, check=True)
    return Sized(*json.loads(done.stdout))


def _one(folder: Path, rows: int, asked: int, seed: int) -> Sized:
    state = Folder(folder.resolve())
    started_s = time.perf_counter()
    asked_about = index.build(state, lambda db: _fill(db, rows, asked, seed))
    build_s = time.perf_counter() - started_s
    db = index.opened(state)
    if db is None:
        raise RuntimeError("the index that was built cannot be opened")
    times_ms = []
    for text in questions(asked_about, seed):
        started_s = time.perf_counter()
        search(db, Query(text))
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    update_ms = _update(db, rows, seed)
    db.close()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size_mb = (folder / index.FILE).stat().st_size / 1e6
    p50_ms, p95_ms = (measure.percentile(times_ms, share) for share in (0.5, 0.95))
    return Sized(rows, p50_ms, p95_ms, build_s, update_ms, size_mb, peak_mb)


def _fill(db: sqlite3.Connection, rows: int, asked: int, seed: int) -> list[Artifact]:
    """Write generated artifacts, and return those that are asked about."""
    asked_about = []
    for number, artifact in enumerate(artifacts(rows, seed), 1):
        schema.insert(db, number, artifact)
        if number * asked // rows > (number - 1) * asked // rows:
            asked_about.append(artifact)
    schema.finish(db)
    return asked_about


def _update(db: sqlite3.Connection, rows: int, seed: int) -> float:
    """Return what changing one artifact takes, as the median of some."""
    times_ms = []
    for number, artifact in enumerate(artifacts(min(rows, 9), seed + 1), 1):
        started_s = time.perf_counter()
        with index.changing(db):
            schema.delete(db, number)
            schema.insert(db, number, artifact._replace(path=f"{artifact.path}.new"))
            schema.finish(db)
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    return measure.percentile(times_ms, 0.5)


class Tree(NamedTuple):
    """The figures of a project on disk."""

    build_s: float
    one_change_ms: float
    """A question after one file was edited, the edit taken in."""
    nothing_ms: float
    """Opening an index of which nothing has changed: every file is asked."""


def tree(folder: Path, count: int, seed: int) -> Tree:
    """Measure an index over generated files."""
    project = _project(folder, count, seed)
    context = open_context(project, Choice(Environment.DEVELOPMENT, "bench"), {})
    started_s = time.perf_counter()
    with knowledge_anew(context) as base:
        path = base.list(limit=1)[0].path
    build_s = time.perf_counter() - started_s
    changes_ms: list[float] = []
    nothing_ms: list[float] = []
    for number in range(9):
        with (project.path / path).open("a", encoding="utf-8") as file:
            file.write(f"\nChange {number}.\n")
        for times_ms in (changes_ms, nothing_ms):
            if times_ms is nothing_ms:
                time.sleep(0.1)  # what was written this moment is read once more
                with knowledge(context):
                    pass
            started_s = time.perf_counter()
            with knowledge(context):
                pass
            times_ms.append(1e3 * (time.perf_counter() - started_s))
    return Tree(build_s, measure.percentile(changes_ms, 0.5), measure.percentile(nothing_ms, 0.5))


def whole(folder: Path, count: int, rounds: int, seed: int) -> measure.Beside | None:
    """Compare `kb search` with a search that reads the whole table under node; None without node."""
    node = shutil.which("node")
    if node is None:
        return None
    project = _project(folder, count, seed)
    context = open_context(project, Choice(Environment.DEVELOPMENT, "bench"), {})
    with knowledge_anew(context) as base:
        base.export()
    table = context.root.folder("knowledge").path / "knowledge-base-index.csv"
    own = (str(measure.SCRIPT), "kb", "search", "review", "--project", str(project.path))
    return measure.beside(lambda: own, (node, str(Path(__file__).with_name("scan.cjs")), str(table), "review"), rounds)


def beside(checkout: Path, rounds: int, query: str = "testing") -> measure.Beside:
    """Compare `kb search` with the search script that a checkout brings, both on that checkout's own artifacts."""
    script = next(checkout.glob(".claude/**/kb-search.cjs"))
    own = (str(measure.SCRIPT), "kb", "search", query, "--project", str(checkout))
    other = ("env", "-C", str(checkout), str(shutil.which("node")), str(script), query)  # it looks below where it is
    return measure.beside(lambda: own, other, rounds)


def _project(folder: Path, count: int, seed: int) -> Project:
    project = Project(corpus.generate(folder, count, seed).resolve())
    project.state(Environment.DEVELOPMENT).make()
    return project


def main() -> int:
    """Measure one size for `sized`, or print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--asked", type=int, default=300, help="questions at each size")
    sizes = [1_133, 10_000, 100_000]
    parser.add_argument("--rows", type=int, nargs="*", default=sizes, help="1000000 takes a quarter of an hour")
    parser.add_argument("--beside", type=Path, help="a checkout with a kb-search.cjs and its index, to compare with")
    parser.add_argument("--rounds", type=int, default=40, help="of --beside")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_one(args.folder, args.one, args.asked, args.seed)))
        return 0
    if args.beside:
        costs = beside(args.beside.resolve(), args.rounds)
        print(f"kb search beside kb-search.cjs: {costs.cpu_ratio():.2f} x CPU, {costs.wall_ratio():.2f} x wall time")
        return 0
    found = [sized(rows, args.asked, args.seed) for rows in args.rows]
    cells = ([f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" for value in one] for one in found)
    print(measure.table(Sized._fields, cells))
    return 1 if any(one.limit_ms is not None and one.p95_ms >= one.limit_ms for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
