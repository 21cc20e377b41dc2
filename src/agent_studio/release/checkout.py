"""The files of a folder as git has them, and what git says of a commit: definitions and our own state left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.release.content.manifest import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = frozenset((DEFINITIONS, STATE, ".git"))
"""Definitions are those of a side, and data, state and history belong to nobody's task."""
_GIT_SECONDS = 120


def listed(base: Path) -> Iterator[str]:
    """Yield the files of a folder as git has them: tracked, and new ones that are not ignored; all without git."""
    told = git(base, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = None if told is None else [os.fsdecode(name) for name in told.split(b"\0") if name]
    for name in sorted(walked(base)) if names is None else sorted(set(names)):
        place = base / name.rstrip("/")
        if LEFT_OUT.isdisjoint(place.relative_to(base).parts) and name != PROJECT_FILE:
            if place.is_dir() and not place.is_symlink():  # a repository inside: a submodule, or somebody's clone
                yield from (
                    f"{name.rstrip('/')}/{inner}" for inner in walked(place) if ".git" not in inner.split("/")
                )  # fmt: skip
            elif os.path.lexists(place):
                yield name


def walked(folder: Path) -> Iterator[str]:
    """Yield the files and links of a folder, in no order."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        inner = os.path.relpath(place, folder)
        for name in (*names, *(name for name in folders if Path(place, name).is_symlink())):
            yield name if inner == "." else f"{inner}/{name}"


def git(folder: Path, *words: str) -> bytes | None:
    """Return what git says, None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):  # a word with a NUL is a `ValueError`
        return None
    return done.stdout if done.returncode == 0 else None
