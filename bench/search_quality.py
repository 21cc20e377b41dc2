"""How good search is on judged questions, what each of its rules is worth, and what ranking by meaning adds.

  bench/search_quality.py --tree DIR --queries FILE [--groups FILE] [--out FILE]

A line of FILE is `{query, type, rel or relevant{path: grade}}`; nothing answers those of type `negative`. Groups name
artifacts that are copies of each other. Both halves of the questions are told apart by a hash of what answers them.
Without arguments it measures the example project on its own questions. Vectors are computed where the extra is there.

nDCG@10 has gains 2^grade - 1 and a discount of log2(rank + 1); R@5 is recall, MRR the mean reciprocal rank of the first
right hit. All are means over the types of questions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure
from bench.projects import Trial

from agent_studio.knowledge import questions, ranking, search, spelling, synonyms, words
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.semantic import meaning
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent_studio.knowledge.semantic.meaning import Meaning

    Ask = Callable[[str], list[str]]
    """Returns the paths of the hits for a question, best first."""

REPORT = measure.REPOSITORY / "bench/SEARCH.md"
EXAMPLE = measure.REPOSITORY / "examples/bookshop"
_LIMIT = 20
_STATE = ".agent-studio/development"
_BY_WORDS_LEAST, _BY_MEANING_LEAST, _SILENT_LEAST = 0.70, 0.74, 0.8
_TYPES_LEAST = {"name": 0.99, "typo": 0.95}
_FIGURES = ("ndcg10", "r5", "mrr", "hit1")


class Judged(NamedTuple):
    """A question, its type, and the grade of each path that answers it; none for one that nothing answers."""

    query: str
    type: str
    grades: dict[str, int]

    @property
    def half(self) -> int:
        """0 or 1: questions with the same answer are in the same half."""
        told = min(self.grades, default=self.query)
        return hashlib.sha256(told.encode()).digest()[0] % 2


class Outcome(NamedTuple):
    """What one way of searching gave."""

    name: str
    by_type: dict[str, dict[str, float]]
    """Means of each type of question, and `macro`."""
    halves: tuple[float, float]
    """Macro nDCG@10 of each half."""
    silent: float | None
    """Share of the questions without an answer that got none."""
    took_ms: float
    """Median of one question."""

    def macro(self) -> float:
        """Return the mean nDCG@10 over types."""
        return self.by_type["macro"]["ndcg10"]

    def of(self, kind: str) -> float | None:
        """Return the nDCG@10 of a type of question; None without one."""
        return self.by_type[kind]["ndcg10"] if kind in self.by_type else None


class Variant(NamedTuple):
    """The search with one rule off: what is put in whose place."""

    name: str
    place: object
    attribute: str
    value: object


RULES = (
    Variant("exact name", ranking, "_EXACT_NAME", 0.0),
    Variant("kind that is asked for", ranking, "_KIND", 0.0),
    Variant("spelling repair", spelling, "repaired", lambda *_: None),
    Variant("synonyms", synonyms, "meant", lambda *_: {}),
    Variant("headings and text", questions, "_TEXT_AT_MOST", 0.0),
    Variant("floor", search, "FLOOR", -1.0),
)
_MEANT = (
    Variant("doubt of what is unlike", meaning, "DOUBT", 1.0),
    Variant("words (meaning alone)", meaning, "WEIGHT", 1_000.0),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write the report; exit code 1 when search is worse than it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=EXAMPLE)
    parser.add_argument("--queries", type=Path, default=EXAMPLE / "search-questions.jsonl")
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path, help="also write what each way gave, for programs")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder).resolve() / "project"
        built = build(args.tree, project)
        outcomes = measured(project, read(args.queries), _groups(args.groups))
    text = report(outcomes, built)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    if args.json:
        told = {"built": built, "outcomes": [one._asdict() for one in outcomes], "faults": faults(outcomes)}
        args.json.write_text(json.dumps(told), encoding="utf-8")
    return 1 if faults(outcomes) else 0


def read(place: Path) -> list[Judged]:
    """Read judged questions of either form."""
    lines = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [_judged(line) for line in lines]


def _judged(line: Mapping[str, Any]) -> Judged:
    grades = line.get("rel", line.get("relevant", {}))
    grades = dict.fromkeys(grades, 1) if isinstance(grades, list) else grades
    kind = line.get("type", "all" if grades else "negative")
    return Judged(line["query"], kind, {_own(path): grade for path, grade in grades.items() if grade > 0})


def _own(path: str) -> str:
    """Return a path as judgements have it: from the definitions folder."""
    return path.rpartition(".claude/")[2]


def _groups(place: Path | None) -> dict[str, str]:
    if not place:
        return {}
    groups: dict[str, str] = json.loads(place.read_text(encoding="utf-8"))["groups"]
    return groups


def build(tree: Path, project: Path) -> dict[str, Any]:
    """Copy a tree and build its index, with vectors where the extra is installed; return what `kb build` says."""
    shutil.copytree(tree, project, symlinks=True, ignore=shutil.ignore_patterns(".agent-studio", "staging"))
    for verb in (["init", "--no-hooks"], ["kb", "build", "--semantic-limit", "3600"]):
        command = [sys.executable, "-m", "agent_studio", *verb, "--env", "development", "--project", str(project)]
        done = subprocess.run(
            [*command, "--json"], capture_output=True, text=True, env=measure.clean_variables(), check=False
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
    built: dict[str, Any] = json.loads(done.stdout)["data"]
    return built


def measured(project: Path, asked: Sequence[Judged], groups: Mapping[str, str]) -> list[Outcome]:
    """Ask every question in every way."""
    state = project / _STATE
    with closing(sqlite3.connect((state / "knowledge.sqlite3").as_uri() + "?mode=ro", uri=True)) as db:
        found = meaning.opened(Folder(state))
        outcomes = [_outcome(name, ask, asked, groups) for name, ask in _full_text(db)]
        outcomes.append(_outcome("by words", _ours(db, None), asked, groups))
        if found:
            outcomes.append(_outcome("by words and meaning", _ours(db, found), asked, groups))
        outcomes += [_without(rule, _ours(db, None), asked, groups, "by words") for rule in RULES]
        if found:
            outcomes += [_without(rule, _ours(db, found), asked, groups, "with meaning") for rule in (*RULES, *_MEANT)]
    return outcomes


def _without(rule: Variant, ask: Ask, asked: Sequence[Judged], groups: Mapping[str, str], name: str) -> Outcome:
    with mock.patch.object(rule.place, rule.attribute, rule.value):
        return _outcome(f"{name}, without {rule.name}", ask, asked, groups)


def _ours(db: sqlite3.Connection, found: Meaning | None) -> Ask:
    return lambda text: [hit.entry.path for hit in search.search(db, Query(text, limit=_LIMIT), found).hits]


def _full_text(db: sqlite3.Connection) -> Iterable[tuple[str, Ask]]:
    """Yield what SQLite's full-text index does with its defaults: all words required, or any of them."""
    plain = sqlite3.connect(":memory:")
    plain.execute("CREATE VIRTUAL TABLE plain USING fts5(path UNINDEXED, name, description, tags, headings, body)")
    plain.executemany(
        "INSERT INTO plain VALUES (?, ?, ?, ?, ?, ?)",
        db.execute("SELECT path, name, description, tags, headings, body FROM artifact JOIN passage USING (id)"),
    )
    yield "FTS5 as it is (all words)", lambda text: _matching(plain, text, " ")
    yield "FTS5, any word", lambda text: _matching(plain, text, " OR ")
    plain.close()


def _matching(plain: sqlite3.Connection, text: str, joined: str) -> list[str]:
    wanted = joined.join(f'"{word}"' for word in words.words(text)) or '""'
    query = "SELECT path FROM plain WHERE plain MATCH ? ORDER BY rank LIMIT ?"
    return [path for (path,) in plain.execute(query, (wanted, _LIMIT))]


def _outcome(name: str, ask: Ask, asked: Sequence[Judged], groups: Mapping[str, str]) -> Outcome:
    types: dict[str, list[dict[str, float]]] = {}
    halves: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    silent, took_ms = [], []
    for one in asked:
        began = time.perf_counter()
        paths = ask(one.query)
        took_ms.append(1000 * (time.perf_counter() - began))
        if not one.grades:
            silent.append(float(not paths))
            continue
        figures = figures_of([groups.get(path, path) for path in map(_own, paths)], one.grades)
        types.setdefault(one.type, []).append(figures)
        halves[one.half].setdefault(one.type, []).append(figures["ndcg10"])
    means = {kind: {key: _mean(row[key] for row in rows) for key in _FIGURES} for kind, rows in types.items()}
    means["macro"] = {key: _mean(row[key] for row in means.values()) for key in _FIGURES}
    first, second = (_mean(map(_mean, half.values())) for half in halves)
    return Outcome(name, means, (first, second), _mean(silent) if silent else None, statistics.median(took_ms))


def figures_of(paths: Iterable[str], grades: Mapping[str, int]) -> dict[str, float]:
    """Return the figures of one ranking; a path that comes again does not count."""
    ranks = [grades.get(path, 0) for path in dict.fromkeys(paths)]
    first = next((place for place, grade in enumerate(ranks, 1) if grade), None)
    return {
        "ndcg10": _gain(ranks) / _gain(sorted(grades.values(), reverse=True)),
        "r5": sum(grade > 0 for grade in ranks[:5]) / min(5, len(grades)),
        "mrr": 1 / first if first else 0.0,
        "hit1": float(first == 1),
    }


def _gain(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(place + 1) for place, grade in enumerate(grades[:10], 1))


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def trial(place: Path, tree: Path | None, queries: Path | None, groups: Path | None) -> Trial:
    """Install the extra beside this package, measure a packed project, and write bench/SEARCH.md."""
    named = Trial("search on judged questions of a packed project, by words and by meaning")
    if not tree or not queries:
        named.not_run = "no --tree or no --queries was given"
        return named
    with tarfile.open(tree) as archive:
        archive.extractall(place / "project", filter="data")
    extra = place / "extra"
    if reason := _installed(extra):
        named.not_run = reason
        return named
    told = place / "told.json"
    given = {"--tree": place / "project", "--queries": queries, "--groups": groups, "--json": told, "--out": REPORT}
    options = [str(part) for option, value in given.items() if value for part in (option, value)]
    command = [sys.executable, __file__, *options]
    variables = {**os.environ, "PYTHONPATH": str(extra)}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    if not told.is_file():
        named.faults.append(done.stderr or "it did not end")
        return named
    data = json.loads(told.read_text(encoding="utf-8"))
    named.faults += data["faults"]
    for one in data["outcomes"]:
        if "without" not in one["name"]:
            named.figures.append(f"{one['name']}: nDCG@10 {one['by_type']['macro']['ndcg10']:.3f}")
    return named


def _installed(extra: Path) -> str:
    """Install what the extra needs into a folder of its own; return why that cannot be."""
    project = tomllib.loads((measure.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"]["semantic"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(extra), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"the extra cannot be installed: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""


def faults(outcomes: Sequence[Outcome]) -> list[str]:
    """Return where search is worse than it has to be."""
    found = []
    for one in outcomes:
        least = {"by words": _BY_WORDS_LEAST, "by words and meaning": _BY_MEANING_LEAST}.get(one.name)
        if least is None:
            continue
        seen = ("nDCG@10", one.macro(), least), *((kind, one.of(kind), floor) for kind, floor in _TYPES_LEAST.items())
        found += [
            f"{one.name}: {name} {value:.3f} is below {floor}"
            for name, value, floor in (*seen, ("silence", one.silent, _SILENT_LEAST))
            if value is not None and value < floor
        ]
    return found


def report(outcomes: Sequence[Outcome], built: Mapping[str, Any]) -> str:
    """Return the page."""
    text = measure.heading("Search", 0) + f"{built['artifacts']:,} artifacts.\n\n"
    if semantic := built.get("semantic"):
        text = text[:-2] + (
            f" {semantic['computed']:,} texts became vectors in {semantic['durationMs'] / 1000:.0f} s, "
            f"{semantic['bytes']:,} bytes.\n\n"
        )
    text += measure.table(
        ("way", "nDCG@10", "one half", "other half", "R@5", "MRR", "hit@1", "name", "typo", "silent", "ms"),
        [_row(one) for one in outcomes],
    )
    main_ones = [one for one in outcomes if "without" not in one.name]
    kinds = [kind for kind in main_ones[0].by_type if kind != "macro"]
    text += "\nnDCG@10 by type of question:\n\n"
    rows = [(one.name, *(f"{one.by_type[kind]['ndcg10']:.3f}" for kind in kinds)) for one in main_ones]
    return text + measure.table(("way", *kinds), rows)


def _row(one: Outcome) -> tuple[str, ...]:
    macro = one.by_type["macro"]
    figures = (macro["ndcg10"], *one.halves, macro["r5"], macro["mrr"], macro["hit1"], one.of("name"), one.of("typo"),
               one.silent)  # fmt: skip
    return (one.name, *("-" if figure is None else f"{figure:.3f}" for figure in figures), f"{one.took_ms:.1f}")


if __name__ == "__main__":
    sys.exit(main())
