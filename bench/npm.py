"""Programs of npm, installed once by a lock file: exact versions, checked hashes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CACHE = REPOSITORY / ".clients"
_CALLER = dict(os.environ)
"""As it was when we were loaded: tests hide the home folder, and with it npm's cache and registry."""
_SECONDS = 300


class ProgramMissingError(Exception):
    """A program cannot be had here; the text says why."""


def installed(lock: Path, program: Callable[[Path], Path | None]) -> Path:
    """Install what a folder with a lock file names, unless it is there, and return the program.

    `program` finds it in the folder that it is installed to. Raises `ProgramMissingError` without npm or its registry.
    """
    place = CACHE / lock.name
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    with (CACHE / f"{lock.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two test workers may ask at once
        return program(place) or _installed(lock, place, program)


def _installed(lock: Path, place: Path, program: Callable[[Path], Path | None]) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramMissingError(f"there is no npm on PATH to install {lock.name} with")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(lock, place)
    said = output([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], place, _CALLER)
    found = program(place)
    if found is None:
        shutil.rmtree(place, ignore_errors=True)
        raise ProgramMissingError(f"npm could not install {lock.name}: {said.strip()[:300]}")
    return found


def output(command: Sequence[str], place: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return all that a program says, or why it does not run."""
    try:
        done = subprocess.run(
            list(command), cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_SECONDS, check=False, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.decode("utf-8", "replace")
