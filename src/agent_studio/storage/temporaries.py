"""Files written beside the one they become, so that nobody sees half of one; and what a killed writer leaves."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.errors import UnsafePathError
from agent_studio.storage.descriptors import try_lock, write_all
from agent_studio.storage.walk import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent_studio.storage.walk import Walk

_NAME = re.compile(r"\.(?P<of>.+)\.(?P<pid>[0-9]+)-[0-9a-f]{8}\.tmp", re.DOTALL)
_OLD_SECONDS = 3_600


def name_for(name: str) -> str:
    """Return a name to write a file under before it is given its own; `sweep` knows it, should the writer die."""
    return f".{name}.{os.getpid()}-{os.urandom(4).hex()}.tmp"  # two threads may write the same file


def is_temporary(name: str) -> bool:
    """Tell whether a name is one that `name_for` gives."""
    return name.startswith(".") and _NAME.fullmatch(name) is not None


def put(walk: Walk, name: str, data: bytes, *, durable: bool, mode: int = FILE_MODE, keep: bool = False) -> None:
    """Write bytes beside `name`, then give them its name; on any fault what was there stays as it was.

    `mode` is what a new file gets, less the umask; `keep` gives the rights of the file that is replaced.
    """
    temporary = prepare(walk, name, data, durable=durable, mode=mode, keep=keep)
    try:
        walk.rename(temporary, walk, name)
    except BaseException:
        with suppress(OSError):
            walk.remove(temporary)
        raise
    if durable:
        walk.sync()


def prepare(
    walk: Walk, name: str, data: bytes, *, durable: bool, mode: int = FILE_MODE, keep: bool = False,
    executable: bool | None = None,
) -> str:  # fmt: skip
    """Write the bytes that `name` is to have under a name of their own, and return that; on a fault nothing is left.

    `executable` says whether those who may read the file may also run it; None leaves that to `mode` and `keep`.
    """
    temporary = name_for(name)
    descriptor = walk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            if hasattr(os, "fchmod"):
                _set_rights(walk, name, descriptor, keep=keep, executable=executable)
            with suppress(OSError):
                try_lock(descriptor)  # tells a sweeper in another container, to whom our pid means nothing
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            walk.remove(temporary)
        raise
    return temporary


def _set_rights(walk: Walk, name: str, descriptor: int, *, keep: bool, executable: bool | None) -> None:
    rights = own = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if keep:
        with suppress(FileNotFoundError):
            there = walk.lstat(name).st_mode
            rights = stat.S_IMODE(there) if stat.S_ISREG(there) else own  # a link's own say that all may write
    if executable is not None:
        rights = rights & ~0o111 | ((rights & 0o444) >> 2 if executable else 0)
    if rights != own:
        os.fchmod(descriptor, rights)


def sweep(walk: Walk, of: Collection[str] = ()) -> list[str]:
    """Remove the temporaries of dead writers from one folder, or only those of some files; return their names."""
    swept = []
    for name in walk.names():
        match = _NAME.fullmatch(name)
        with suppress(FileNotFoundError, UnsafePathError):
            if match and (not of or match["of"] in of) and _is_left_over(walk, name, int(match["pid"])):
                walk.remove(name)
                swept.append(name)
    return swept


def _is_left_over(walk: Walk, name: str, pid: int) -> bool:
    status = walk.lstat(name)
    if not stat.S_ISREG(status.st_mode):
        return False
    return is_dead(pid, status) and (os.name == "nt" or _is_unlocked(walk, name))


def is_dead(pid: int, status: os.stat_result) -> bool:
    """Tell whether the process that made a file is gone; where that cannot be asked, whether the file is old."""
    if os.name == "nt":  # os.kill(pid, 0) would end the process there
        return clock.now().timestamp() - status.st_mtime > _OLD_SECONDS
    return not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_unlocked(walk: Walk, name: str) -> bool:
    descriptor = walk.open(name, os.O_RDONLY, FILE_MODE)
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
