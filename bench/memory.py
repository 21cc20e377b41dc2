"""Memory at its limits: many writers at once, a memory of 100 MB, and how well search answers questions.

    python -m bench.memory [--writers 50] [--additions 100] [--mb 100] [--distractors 5000]

The labelled notes and questions are those of the tests; distractors are made, and speak of the same things.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.measure import REPOSITORY

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.memory.book import open_memory
from agent_studio.memory.sidecar import open_sidecar
from agent_studio.memory.sidecars.store import CAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.memory.book import Memory

FIXTURES = REPOSITORY / "tests/fixtures/memory"
AGENT = "planner"
_WRITER = """
import sys
from bench.memory import write
write(*sys.argv[1:])
"""
_WORDS = (
    "cache", "queue", "invoice", "token", "migration", "webhook", "tenant", "export", "index", "worker", "session",
    "report", "upload", "mailer", "schema", "gateway", "bucket", "replica", "cursor", "ledger", "avatar", "locale",
)  # fmt: skip
_VERBS = ("restarts", "blocks", "feeds", "replaces", "watches", "delays", "precedes", "hides", "doubles", "repairs")


class Recall(NamedTuple):
    """How well questions were answered."""

    notes: int
    questions: int
    at_1: float
    at_5: float
    p95_ms: float
    missed: Sequence[str]


def context_of(path: Path) -> Context:
    """Return the development environment of a project that is made if it is not there."""
    (path / ".claude").mkdir(parents=True, exist_ok=True)
    return open_context(Project(path.resolve()), Choice(Environment.DEVELOPMENT, "--env"), {})


def write(path: str, what: str, number: str, additions: str) -> None:
    """Add so many notes, or entries of a sidecar, as one of many writers."""
    context = context_of(Path(path))
    for each in range(int(additions)):
        text = f"writer {number} saw thing {each} happen"
        if what == "notes":
            open_memory(context).add("learning", text)
        else:
            open_sidecar(context, AGENT).add(text)


def writers(folder: Path, what: str, count: int, additions: int) -> Iterator[str]:
    """Let so many processes write at once; yield what was lost, or came twice, or grew too large."""
    context = context_of(folder)
    command = [sys.executable, "-c", _WRITER, str(folder), what]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    running = [
        subprocess.Popen([*command, str(number), str(additions)], env=environment, stderr=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    for number, process in enumerate(running):
        _, said = process.communicate(timeout=1_800)
        if process.returncode:
            yield f"writer {number} of {what} ended with {process.returncode}: {said.strip()[-300:]}"
    wanted = sorted(f"writer {number} saw thing {each} happen" for number in range(count) for each in range(additions))
    if what == "notes":
        found = sorted(note.title for note in open_memory(context).every("learning"))
    else:
        sidecar = open_sidecar(context, AGENT)
        found = sorted(one.text for one in (*sidecar.entries(), *sidecar.entries(archived=True)))
        size = (context.root.folder("agents").path / AGENT / "hot.jsonl").stat().st_size
        if size > CAP_BYTES:
            yield f"the hot file has {size} bytes"
    if found != wanted:
        yield f"{what}: {len(wanted)} were added, {len(found)} are there, {len(set(wanted) - set(found))} are missing"


def recall(memory: Memory, distractors: int, seed: int = 1) -> Recall:
    """Add the labelled notes among so many others, ask all questions, and count."""
    notes, questions = _lines("notes.jsonl"), _lines("questions.jsonl")
    chance = random.Random(seed)
    text = "".join(
        f"## {_sentence(chance, number)}\n\n{_sentence(chance, number)}.\n\n" for number in range(distractors)
    )
    memory.folder.make()
    (memory.folder.path / "discoveries.md").write_text(f"# Discoveries\n\n{text}", encoding="utf-8")
    ids = {memory.add(note["kind"], note["text"]).id: note["id"] for note in notes}
    first, fifth, missed, times = 0, 0, list[str](), list[float]()
    for one in questions:
        began = time.perf_counter()
        found = [ids.get(hit.note.id) for hit in memory.search(one["question"], 5)]
        times.append((time.perf_counter() - began) * 1000)
        first += found[:1] == one["notes"]
        fifth += set(one["notes"]) <= set(found)
        missed += [] if set(one["notes"]) <= set(found) else [one["question"]]
    p95 = sorted(times)[int(0.95 * len(times))]
    return Recall(len(notes) + distractors, len(questions), first / len(questions), fifth / len(questions), p95, missed)


def _sentence(chance: random.Random, number: int) -> str:
    one, two, three = chance.sample(_WORDS, 3)
    return f"The {one} {chance.choice(_VERBS)} the {two} of {three} {number}"


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


def large(memory: Memory, megabytes: int) -> dict[str, float]:
    """Return how many seconds a memory of so many MB takes: to be indexed, to be added to, and to be searched."""
    chance = random.Random(1)
    memory.folder.make()
    with (memory.folder.path / "learnings.md").open("w", encoding="utf-8") as file:
        file.write("# Learnings\n\n")
        number = 0
        while file.tell() < megabytes << 20:
            block = [
                f"## {_sentence(chance, at)}\n\n{' '.join(_sentence(chance, at) for _ in range(8))}.\n\n"
                for at in range(number, number + 500)
            ]
            file.write("".join(block))
            number += 500
    took = {"notes": float(number)}
    for name, act in (
        ("first search", lambda: memory.search("replica cursor")),
        ("addition", lambda: memory.add("learning", "A zebra was seen in the measuring room")),
        ("search", lambda: memory.search("zebra")),
        ("second addition", lambda: memory.add("learning", "A giraffe was heard in the cellar below it")),
    ):
        began = time.perf_counter()
        act()
        took[name] = round(time.perf_counter() - began, 2)
    return took


def main(argv: Sequence[str] | None = None) -> int:
    """Run all of it and print what came out; exit code 1 when something was lost or recall is below 0.9."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=50)
    parser.add_argument("--additions", type=int, default=100)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--distractors", type=int, default=5_000)
    args = parser.parse_args(argv)
    lost = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for what in ("notes", "entries"):
            began = time.perf_counter()
            found = list(writers(base / what, what, args.writers, args.additions))
            lost += found
            print(
                f"{what}: {args.writers} x {args.additions}: {found or 'all kept'}, {time.perf_counter() - began:.0f} s"
            )
        answers = [recall(open_memory(context_of(base / f"r{n}")), n) for n in (0, args.distractors)]
        for answer in answers:
            print(f"search: {answer}")
        print(f"{args.mb} MB, seconds: {large(open_memory(context_of(base / 'large')), args.mb)}")
    return 1 if lost or answers[0].at_5 < 0.9 else 0


if __name__ == "__main__":
    raise SystemExit(main())
