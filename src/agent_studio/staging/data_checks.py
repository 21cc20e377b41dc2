"""Smoke checks of the data: what is written comes back, and nothing reaches another environment's.

The canary and the scratch folders are removed again; what a killed run left is removed by the next one.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import DEFINITIONS, Environment
from agent_studio.environment.roots import LOGS, STAGING_ROOT
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, StorageError, UnsafePathError
from agent_studio.staging.rights import open_to_others
from agent_studio.staging.subject import Failed, Skipped
from agent_studio.storage import chain, journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.staging.subject import Subject
    from agent_studio.storage.folder import Folder

SCRATCH = ".smoke-"
CANARY = ".canary-"
_STALE_SECONDS = 60
_BLOCKED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV))
"""What a kernel says that keeps a place apart: rights, a read-only mount, a mount of its own."""


def log_round_trip(subject: Subject) -> str:
    """A record goes into a twin of every log by the same code and comes back as it was."""
    count = 0
    for kind, names in LOGS.items():
        with _scratch(subject.root.folder(kind)) as scratch:
            for name in names:
                record = {"timestamp": clock.timestamp(clock.now()), "probe": secrets.token_hex(8), "text": "ünï\u2028"}
                if name == "llm-usage.log":
                    line, _ = chain.seal(chain.Head(), record)
                    scratch.create(name, line)
                    if chain.first_bad_line([scratch.read(name)]) is not None:
                        raise Failed(f"{name}: a sealed record does not verify")
                else:
                    journal.append(scratch, name, [record])
                read = journal.read(scratch, name)
                if read.damaged_lines or not read.records or record.items() - read.records[-1].items():
                    raise Failed(f"{name}: a record did not come back as it was")
                count += 1
    return f"{count} logs gave back what was written"


def canary(subject: Subject) -> str:
    """A random value planted in the other environment's data is out of this one's reach."""
    other = DEFINITIONS if subject.environment is Environment.STAGING else STAGING_ROOT
    if not subject.project.folder.at(other).has_folder():
        other = DEFINITIONS
    name = f"{CANARY}{secrets.token_hex(8)}"
    value = secrets.token_bytes(16)
    place = subject.project.folder.at(other)
    _sweep(place, CANARY)
    planted_in = _planted(subject.root, name, value)
    refusal = ""
    try:
        try:
            planted_in.move(name, place, name)  # moved, not written: no file over there is opened for writing
            planted_in = place
        except StorageError as error:
            refusal = _refusal(error)
        tried = sum(_try_ways(subject.root.folder(kind), place.path / name) for kind in KINDS)
    finally:
        planted_in.remove(name)
    return f"{tried} ways to it refused{refusal}"


def _planted(root: EnvironmentRoot, name: str, value: bytes) -> Folder:
    """Write the canary beside our state, or in our data where a run may create nothing there; return where it is."""
    root.state.make()
    _sweep(root.state, CANARY)
    try:
        root.state.create(name, value)
    except StorageError as error:
        _refusal(error)
        folder = root.folder(KINDS[0])
        _sweep(folder, CANARY)
        folder.create(name, value)
        return folder
    return root.state


def _refusal(error: StorageError) -> str:
    """Return what is told of a system that lets nothing be planted over there, as in a run; raise any other fault."""
    number = getattr(error.__cause__, "errno", None)
    if number not in _BLOCKED:
        raise error
    return f"; the system lets nothing be put there ({os.strerror(number)})"


def _try_ways(folder: Folder, target: os.PathLike[str]) -> int:
    path = os.fspath(target)
    ways = ["../" * up + os.path.basename(path) for up in range(1, 4)]  # noqa: PTH119 - text, not a place
    ways += [path, os.path.relpath(path, folder.path).replace(os.sep, "/")]
    with _scratch(folder) as scratch:
        for link, make in (("link", os.symlink), ("hard", os.link)):
            with suppress(OSError):  # not every file system and user may make them
                make(path, scratch.path / link)
                ways.append(f"{scratch.path.name}/{link}")
        for way in ways:
            try:
                folder.read(way)
            except UnsafePathError:
                continue
            except OSError as error:
                raise Failed(f"{folder.path} tried to follow {way!r}: {error}") from None
            raise Failed(f"{folder.path} reached the canary by {way!r}")
    return len(ways)


def private_files(subject: Subject) -> str:
    """No file or folder of the data can be read by other users."""
    if os.name == "nt":
        raise Skipped("Windows keeps rights in access lists")
    loose = [f"{kind}/{name}" for kind in KINDS for name in open_to_others(subject.root.folder(kind))]
    if loose and subject.environment is Environment.STAGING:
        raise Failed(f"{len(loose)} can be read by others, {loose[0]} first: agent-studio doctor --fix")
    return "0600" if not loose else f"{len(loose)} of a shared checkout can be read by others"


def no_shared_bytes(subject: Subject) -> str:
    """No file of staging is the same file as one of another environment."""
    own = _inodes(subject.root)
    for other in other_roots(subject.project, subject.environment):
        if Environment.STAGING not in {subject.environment, other.environment}:
            continue
        if shared := own.keys() & _inodes(other).keys():
            raise Failed(f"{own[next(iter(shared))]} is also a file of {other.environment}")
    return f"{len(own)} files, none shared"


def _inodes(root: EnvironmentRoot) -> dict[tuple[int, int], str]:
    return {
        (status.st_dev, status.st_ino): f"{kind}/{relative}"
        for kind in KINDS
        if root.folder(kind).has_folder()
        for relative, status in root.folder(kind).files()
    }


@contextmanager
def _scratch(folder: Folder) -> Iterator[Folder]:
    """Give a folder of our own inside a data folder and remove it, and what killed runs left."""
    _sweep(folder, SCRATCH)
    name = f"{SCRATCH}{secrets.token_hex(6)}"
    folder.make(name)
    try:
        yield folder.at(name)
    finally:
        folder.remove_tree(name)


def _sweep(folder: Folder, prefix: str) -> None:
    for name in folder.names():
        status = folder.status(name)
        ours = name.startswith((prefix, f".{prefix}"))  # the second was not finished
        if ours and status and time.time() - status.st_mtime > _STALE_SECONDS:
            with suppress(AgentStudioError, OSError):
                (folder.remove_tree if stat.S_ISDIR(status.st_mode) else folder.remove)(name)
