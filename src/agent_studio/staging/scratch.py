"""A data root of the suite's own, and what the suite changed outside it."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.detect import VARIABLE
from agent_studio.environment.roots import EVOLUTION_FILE, INDEX_FILE, LOGS, MEMORY_FILES, STATE
from agent_studio.environment.schema import BY_NAME, KINDS
from agent_studio.staging import seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.storage.folder import Folder

_SHOWN = 5


@contextmanager
def scratch_root(root: EnvironmentRoot, place: str) -> Iterator[Folder]:
    """Make a data root with the same folders and empty files; removed afterwards, whatever lies in it by then."""
    scratch = root.state.at(place)
    try:
        for kind in KINDS:
            scratch.make(kind)
        for kind, names in LOGS.items():
            scratch.create_many(kind, [(name, b"") for name in names])
        headings = ((name, seed.memory_text(name, seeded=False).encode()) for name in MEMORY_FILES)
        scratch.create_many("memory", headings)
        scratch.create(f"context/{EVOLUTION_FILE}", seed.evolution_state())
        index, name = root.reads("knowledge", INDEX_FILE)
        if index.status(name):
            scratch.create(f"knowledge/{INDEX_FILE}", index.read(name))
        yield scratch
    finally:
        shutil.rmtree(scratch.path, ignore_errors=True)  # a suite may leave names that the door refuses


def child_variables(variables: Mapping[str, str], root: EnvironmentRoot, place: str, junit: Path) -> dict[str, str]:
    """Return what the suite inherits: the environment's name, every data path in the scratch root, a JUnit file."""
    base = f"{STATE}/{root.environment}/{place}"
    addopts = f"{variables.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(str(junit))}"
    return {
        **variables,
        VARIABLE: str(root.environment),
        **{BY_NAME[f"paths.{kind}"].own_variable: f"{base}/{kind}" for kind in KINDS},
        "PYTEST_ADDOPTS": addopts.strip(),
    }


def fingerprint(roots: Iterable[EnvironmentRoot]) -> dict[str, tuple[int, int]]:
    """Return size and time of every data file; only looks, so names that the door refuses are seen as well."""
    found = {}
    places = {root.folder(kind).path for root in roots for kind in KINDS}
    for folder, _, names in (entry for place in places for entry in os.walk(place)):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - there may be many
            try:
                status = os.lstat(path)
            except OSError:
                continue
            found[path] = (status.st_size, status.st_mtime_ns)
    return found


def changed(project: Project, before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> str:
    """Return the first files that differ between two fingerprints, from the project's root; empty when none do."""
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    shown = ", ".join(Path(path).relative_to(project.path).as_posix() for path in paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown
