"""Copies of a project's own files, in which a command works instead of the originals.

A copy lies in `.agent-studio/<environment>/copies/ID/`: `files/`, and `copy.json` with what every file was when it was
made. Of a git repository it holds what is tracked and what is new and not ignored, as it is at that moment.
Definitions, data and state are no part of it. What git ignores is shown to the command read-only, as is `.git`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from agent_studio import clock
from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import StorageError, UsageError, did_you_mean
from agent_studio.isolation.backends import Copied
from agent_studio.isolation.policy import Access
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.isolation.policy import Policy
    from agent_studio.storage.folder import Folder

PLACE = "copies"
_FILES, _RECORD = "files", "copy.json"
DEVICE = "device"
"""State of what is neither file, link nor folder: a pipe, a socket, a device."""
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
_CHUNK_BYTES = 1 << 20
_GIT_SECONDS = 60
_SHOWN = 500
"""Ignored files and folders that are shown at most: each is a mount."""


class Copy(NamedTuple):
    """A copy and what it was made of."""

    id: str
    made_at: str
    """RFC 3339 UTC."""
    command: str
    path: Path
    """The folder that takes the project's place."""
    files: Mapping[str, str]
    """State of every file when the copy was made, by its path in the project, as `state` gives it."""
    shown: tuple[str, ...]
    """What the command sees of the original, read-only."""
    left_out: tuple[str, ...] = ()
    """What is neither file nor link, so it was not copied; only known when the copy is made."""


def make(state: Folder, policy: Policy, command: str) -> Copy:
    """Copy the project's own files; raise `StorageError` when the disk refuses."""
    moment = clock.now()
    name = f"{moment:%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
    state.make(f"{PLACE}/{name}/{_FILES}")
    place = state.path / PLACE / name / _FILES
    rules = policy.rules()
    files: dict[str, str] = {}
    left_out = []
    try:
        listed, shown = _listed(policy.project)
        with disk_faults(place):
            for relative in listed:
                if _is_own(policy.project / relative, policy, rules):
                    files[relative] = _copied(policy.project / relative, place / relative)
                    if files[relative] == DEVICE:
                        left_out.append(relative)
                        del files[relative]
        shown = tuple(name for name in shown if _is_own(policy.project / name, policy, rules))[:_SHOWN]
        copy = Copy(name, clock.timestamp(moment), command, place, files, shown, tuple(left_out))
        record = {"id": name, "madeAt": copy.made_at, "command": command, "files": files, "shown": list(shown)}
        state.create(f"{PLACE}/{name}/{_RECORD}", json.dumps(record).encode("ascii"))
    except BaseException:
        discard(state, name)
        raise
    return copy


def in_place(copy: Copy, policy: Policy, cwd: Path) -> Copied:
    """Return what a backend has to put in the project's place; a folder that the command starts in is there."""
    if cwd.is_relative_to(policy.project):
        (copy.path / cwd.relative_to(policy.project)).mkdir(parents=True, exist_ok=True)
    return Copied(copy.path, [policy.project / name for name in copy.shown])


def kept(state: Folder) -> list[Copy]:
    """Return the copies that are there, oldest first; one without a record is left out."""
    found = []
    with suppress(FileNotFoundError):
        for name in sorted(filter(_ID.fullmatch, state.at(PLACE).names())):
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                record = json.loads(state.read(f"{PLACE}/{name}/{_RECORD}"))
                path = state.path / PLACE / name / _FILES
                found.append(
                    Copy(name, record["madeAt"], record["command"], path, record["files"], tuple(record["shown"]))
                )
    return found


def find(state: Folder, name: str | None) -> Copy:
    """Return the copy of this id, or the only one; raise `UsageError`."""
    copies = kept(state)
    if name is None and len(copies) == 1:
        return copies[0]
    for copy in copies:
        if copy.id == name:
            return copy
    names = [copy.id for copy in copies]
    if not names:
        raise UsageError(
            "no copy is kept", hint="isolation.source copy makes one for a run, and keeps it if it changed"
        )
    raise UsageError(
        f"there is no copy {name!r}" if name else "several copies are kept: name one",
        hint=did_you_mean(name or "", names),
    )


def discard(state: Folder, name: str) -> None:
    """Remove a copy."""
    with disk_faults(state.path / PLACE / name):
        shutil.rmtree(state.at(PLACE).resolve(name), onerror=_made_removable)


def state_of(path: Path) -> str:
    """Return what a file is: its mode and hash, where a link leads, `folder`, or nothing when it is not there."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.fsencode(path.readlink()).hex()}"
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    if not stat.S_ISREG(status.st_mode):
        return DEVICE
    digest = hashlib.sha256()
    with opened(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"{'755' if status.st_mode & stat.S_IXUSR else '644'} {digest.hexdigest()}"


def opened(path: Path) -> BinaryIO:
    """Open a file to be read; raise `OSError` for a link and, without waiting for anybody, for what is no file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file", str(path))
    return os.fdopen(descriptor, "rb")


def walked(folder: Path) -> Iterator[str]:
    """Yield every file and link below a folder, as paths relative to it with `/`."""
    for place, folders, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        for name in sorted((*names, *(name for name in folders if Path(place, name).is_symlink()))):
            yield name if inner == "." else f"{inner}/{name}"


def _listed(project: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the files to copy, and what is only shown."""
    own = _git(project, "--cached", "--others", "--exclude-standard")
    if own is None:
        return sorted(name for name in walked(project)), ()
    ignored = _git(project, "--others", "--ignored", "--exclude-standard", "--directory") or []
    files: list[str] = []
    for name in own:
        path = project / name.rstrip("/")
        if path.is_dir() and not path.is_symlink():  # a repository inside this one
            files += (f"{name.rstrip('/')}/{inner}" for inner in walked(path))
        elif os.path.lexists(path):
            files.append(name)
    shown = {".git", *(name.rstrip("/") for name in ignored)}
    return sorted(set(files)), tuple(sorted(name for name in shown if os.path.lexists(project / name)))


def _git(project: Path, *options: str) -> list[str] | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), "ls-files", "-z", *options],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name] if done.returncode == 0 else None


def _is_own(path: Path, policy: Policy, rules: Mapping[Path, Access]) -> bool:
    """Tell whether a path is the project's own: no definition, no data, nothing hidden."""
    relative = path.relative_to(policy.project).parts
    if relative[0] in {DEFINITIONS, STATE} or (".git" in relative[:-1]):
        return False
    around = next((place for place in (path, *path.parents) if place in rules), policy.project)
    return around == policy.project or rules[around] is Access.READ


def _copied(source: Path, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    found = state_of(source)
    if found.startswith("link "):
        target.symlink_to(source.readlink())
    elif found not in {"", "folder", DEVICE}:
        with opened(source) as data, target.open("xb") as file:
            shutil.copyfileobj(data, file, _CHUNK_BYTES)
        shutil.copystat(source, target, follow_symlinks=False)
        target.chmod(stat.S_IMODE(target.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)
        found = state_of(target)  # of what was copied, should the source have changed meanwhile
    return found


def _made_removable(function: object, path: str, error: object) -> None:
    """Give a folder the rights that its removal needs, once."""
    del error
    Path(path).parent.chmod(stat.S_IRWXU)
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - given as text
        Path(path).chmod(stat.S_IRWXU)
        shutil.rmtree(path)
    elif callable(function):
        function(path)
    else:
        raise StorageError(f"cannot remove {path}", hint="remove it by hand")
