"""Where a repository keeps what makes git run programs: hooks, configuration, and what leads git to others of them.

Git takes hooks and configuration from the folder that `commondir` names, so that file is as good as both.
Formats: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ITSELF = b"././.\n"
"""What a `commondir` holds that was made to be protected: the folder itself, as nobody else would write it."""
_SECONDS = 10
_FILES = re.compile(r"core\.hookspath|init\.templatedir|include\.path|includeif\..*\.path")
_COMMANDS = re.compile(
    r"core\.(fsmonitor|sshcommand|pager|editor|askpass|gitproxy)|sequence\.editor|credential\.(.*\.)?helper"
    r"|gpg\.(.*\.)?program|filter\..*\.(clean|smudge|process)|diff\.(external|.*\.(command|textconv))"
    r"|merge\..*\.driver|alias\..*"
)
"""Keys of the configuration that name a file which git reads, and a command that it runs."""


class Started(NamedTuple):
    """What git obeys in and for one project."""

    there: tuple[Path, ...] = ()
    absent: tuple[tuple[Path, bytes | None], ...] = ()
    """What git would obey if it were there, with what may stand there meanwhile without harm; None: an empty folder."""


def started(project: Path) -> Started:
    """Return what makes git start programs in a project, wherever the repository around it keeps that."""
    folder = next((folder for folder in (project, *project.parents) if os.path.lexists(folder / ".git")), None)
    if folder is None:
        return Started()
    pointer = folder / ".git"
    inner = whole = pointer
    there: list[Path] = []
    if pointer.is_file():  # a worktree or a submodule
        there.append(pointer)
        inner = Path(os.path.realpath(folder / _first_line(pointer).removeprefix("gitdir:").strip()))
        whole = Path(os.path.realpath(inner / _first_line(inner / "commondir")))
    absent: list[tuple[Path, bytes | None]] = []
    for place in (Path(os.path.realpath(whole)), *_modules(whole / "modules")):
        there += (place / name for name in ("config", "config.worktree", "commondir", "hooks"))
        absent += _absent(place)
    for one in {inner, *_folders(whole / "worktrees")} - {whole}:
        there += (one / name for name in ("commondir", "gitdir", "config.worktree"))
    there += _configured(folder)
    return Started(tuple(dict.fromkeys(path for path in there if os.path.lexists(path))), tuple(absent))


def filled(absent: Iterable[tuple[Path, bytes | None]]) -> set[Path]:
    """Return where something stands by now that git obeys, of what was absent."""
    found = set()
    for path, data in absent:
        with suppress(OSError):
            if any(path.iterdir()) if data is None else path.is_symlink() or path.read_bytes() != data:
                found.add(path)
    return found


def tracked(project: Path, *patterns: str) -> set[str]:
    """Return which files of a project git tracks, of those that match."""
    return set(_git(project, "ls-files", "-z", "--", *patterns))


def nested(project: Path) -> set[str]:
    """Return the repositories inside a project's: `git status` enters them, and obeys their configuration."""
    entries = (entry.partition("\t") for entry in _git(project, "ls-files", "-z", "--stage"))
    return {name for mode, _, name in entries if mode.startswith("160000")}


def _absent(place: Path) -> Iterator[tuple[Path, bytes | None]]:
    common = place / "commondir"
    if not os.path.lexists(common) or (common.is_file() and common.read_bytes() == ITSELF):
        yield common, ITSELF
    if not os.path.lexists(place / "hooks"):
        yield place / "hooks", None


def _modules(folder: Path) -> Iterator[Path]:
    """Yield the folders of submodules; a name may have several parts, and each may have submodules of its own."""
    for inner in _folders(folder):
        if (inner / "HEAD").is_file():
            yield inner
            yield from _modules(inner / "modules")
        else:
            yield from _modules(inner)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _configured(folder: Path) -> Iterator[Path]:
    """Yield the files that git's configuration is read from, and those that it names."""
    words = iter(_git(folder, "config", "--list", "--includes", "--show-origin", "-z"))
    for origin, pair in zip(words, words, strict=False):
        file = Path(os.path.realpath(folder / origin.removeprefix("file:")))
        if origin.startswith("file:"):
            yield file
        key, _, value = pair.partition("\n")
        if _FILES.fullmatch(key):
            yield from _existing([value], file.parent if key.startswith("include") else folder)
        elif _COMMANDS.fullmatch(key):
            yield from (path for path in _existing(_first_word(value), folder) if path.is_file())


def _first_word(command: str) -> list[str]:
    """Return the program of a command, where it is named by a path."""
    try:
        words = shlex.split(command.removeprefix("!"))
    except ValueError:
        return []
    return [word for word in words[:1] if "/" in word]


def _existing(words: Iterable[str], folder: Path) -> Iterator[Path]:
    for word in words:
        path = Path(word).expanduser() if word.startswith("~/") else folder / word
        if word and "\0" not in word and path.exists() and not folder.is_relative_to(os.path.realpath(path)):
            yield path


def _git(folder: Path, *words: str) -> list[str]:
    """Return what git says, in parts; nothing where there is no git, or no repository for it."""
    quiet = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null") if words[0] != "config" else ()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *quiet, "-C", str(folder), *words], env=variables,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [os.fsdecode(part) for part in done.stdout.split(b"\0") if part] if done.returncode == 0 else []


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape").partition("\n")[0]
    except OSError:
        return ""
