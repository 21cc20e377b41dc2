"""How long a promotion takes: one switch of many files, durable, beside a plain durable copy of the same files."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from agent_studio.environment.roots import Project
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Tree
from agent_studio.release.production import history, switch


class Measured(NamedTuple):
    """Seconds of each."""

    files: int
    candidate_s: float
    """Read, hashed and kept in the store."""
    switch_s: float
    copy_s: float
    """Written beside the old file, synced, renamed: no journal, no check, no way back."""
    cpu_s: float
    """What candidate and switch took of the processor: it hardly depends on what else the machine does."""


def measure(files: int, folder: Path) -> Measured:
    """Promote that many new files."""
    work, live = (Path(os.path.realpath(folder)) / name for name in ("work", "live"))
    for root, text in ((work, "new"), (live, "old")):
        for number in range(files):
            place = root / f".claude/skills/skill-{number:04d}/SKILL.md"
            place.parent.mkdir(parents=True)
            place.write_text(f"---\nname: skill-{number}\n---\n\n{text} {number}\n" * 20)
    project, tree = Project(work), Tree(live / ".claude", live)
    store = Store(project)
    started, busy = time.perf_counter(), time.process_time()
    with store.bulk():
        new = Tree(work / ".claude", work).read(store.put).entries
        release = store.put(manifest.render(new))
    kept = time.perf_counter()
    with switch.alone(project, "a measurement"):
        record = {"step": history.PROMOTE, "release": release, "candidate": release}
        switch.switch(project, tree, tree.read().entries, new, record)
    switched, cpu_s = time.perf_counter(), time.process_time() - busy
    if tree.read().entries != new:
        raise RuntimeError("the promotion is not what was promoted")
    copying = time.perf_counter()
    _copy(work / ".claude/skills", live / ".claude/skills")
    return Measured(files, kept - started, switched - kept, time.perf_counter() - copying, cpu_s)


def _copy(source: Path, target: Path) -> None:
    for place in source.rglob("*.md"):
        wanted = target / place.relative_to(source)
        beside = wanted.with_suffix(".tmp")
        with beside.open("wb") as file:
            file.write(place.read_bytes())
            os.fsync(file.fileno())
        beside.replace(wanted)


def main() -> int:
    """Measure and print."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    with tempfile.TemporaryDirectory() as folder:
        found = measure(files, Path(folder))
    sys.stdout.write(
        f"{found.files} files: candidate {found.candidate_s:.2f} s, switch {found.switch_s:.2f} s "
        f"({found.cpu_s:.2f} s of the processor), "
        f"plain durable copy {found.copy_s:.2f} s, switch / copy {found.switch_s / found.copy_s:.2f}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
