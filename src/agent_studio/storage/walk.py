"""Two ways to step through folders without following a link.

`HandleWalk` holds a handle on every folder it enters (openat, O_NOFOLLOW), so nothing that is swapped under it
can lead it elsewhere. `PathWalk` is for systems without directory handles (Windows): it checks every step and
checks the opened file again, which leaves a short gap between check and use.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from agent_studio.errors import UnsafePathError

if TYPE_CHECKING:
    from pathlib import Path

_BINARY = getattr(os, "O_BINARY", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class Walk(Protocol):
    """One entered folder; every operation takes the plain name of something directly in it."""

    def enter(self, name: str) -> Walk:
        """Step into a folder; FileNotFoundError if it is not there, `UnsafePathError` if it is a link."""

    def open(self, name: str, flags: int, mode: int) -> int:
        """Open a regular file that has one name only; return its descriptor."""

    def lstat(self, name: str) -> os.stat_result:
        """Return what the name itself is, following nothing."""

    def mkdir(self, name: str, mode: int) -> None:
        """Create one folder."""

    def rename(self, name: str, other: Walk, new_name: str) -> None:
        """Move something to a name in another entered folder, replacing a file there."""

    def remove(self, name: str) -> None:
        """Remove one file or link."""

    def rmdir(self, name: str) -> None:
        """Remove one empty folder."""

    def names(self) -> list[str]:
        """Return the names in this folder, sorted."""

    def sync(self) -> None:
        """Make the names in this folder durable."""

    def close(self) -> None:
        """Let go of the folder."""


def start(base: Path, *, handles: bool | None = None) -> Walk:
    """Enter a trusted, existing folder; `handles` overrides the platform's best way (used by tests)."""
    able = os.open in os.supports_dir_fd and bool(_NOFOLLOW)
    if able if handles is None else handles:
        return HandleWalk(os.open(base, os.O_RDONLY | _DIRECTORY | _CLOEXEC), base)
    return PathWalk(base)


def check_file(descriptor: int, place: Path) -> None:
    """Raise `UnsafePathError` unless the open file is a regular one without a second name."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePathError(f"{place} is not a regular file", hint="move it away")
    if status.st_nlink > 1:
        raise UnsafePathError(
            f"{place} is a hard link: its bytes have {status.st_nlink} names",
            hint="replace it by a copy of its own (cp FILE FILE.copy && mv FILE.copy FILE)",
        )


def _explain(place: Path, status: os.stat_result, *, folder: bool) -> UnsafePathError:
    if stat.S_ISLNK(status.st_mode):
        return UnsafePathError(f"{place} is a symbolic link", hint="replace it by a real file or folder")
    wanted = "folder" if folder else "file"
    return UnsafePathError(f"{place} is in the way: a {wanted} belongs there", hint="move it away")


class HandleWalk:
    """Steps by directory handle; race-free on Linux and macOS."""

    def __init__(self, handle: int, place: Path) -> None:
        self._handle = handle
        self.place = place

    def enter(self, name: str) -> HandleWalk:
        flags = os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _CLOEXEC
        try:
            return HandleWalk(os.open(name, flags, dir_fd=self._handle), self.place / name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refusal(name, error, folder=True) from error

    def open(self, name: str, flags: int, mode: int) -> int:
        flags |= _NOFOLLOW | _NONBLOCK | _CLOEXEC
        try:
            descriptor = os.open(name, flags, mode, dir_fd=self._handle)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise self._refusal(name, error, folder=False) from error
        try:
            check_file(descriptor, self.place / name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _refusal(self, name: str, error: OSError, *, folder: bool) -> Exception:
        """Tell a link or a thing of the wrong kind apart from a fault of the file system."""
        try:
            status = self.lstat(name)
        except OSError:
            return error
        fits = stat.S_ISDIR(status.st_mode) if folder else stat.S_ISREG(status.st_mode)
        return error if fits else _explain(self.place / name, status, folder=folder)

    def lstat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._handle, follow_symlinks=False)

    def mkdir(self, name: str, mode: int) -> None:
        os.mkdir(name, mode, dir_fd=self._handle)

    def rename(self, name: str, other: Walk, new_name: str) -> None:
        assert isinstance(other, HandleWalk)  # noqa: S101 - both come from the same start()
        os.replace(name, new_name, src_dir_fd=self._handle, dst_dir_fd=other._handle)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._handle)

    def rmdir(self, name: str) -> None:
        os.rmdir(name, dir_fd=self._handle)

    def names(self) -> list[str]:
        return sorted(os.listdir(self._handle))  # noqa: PTH208 - pathlib takes no handle

    def sync(self) -> None:
        os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class PathWalk:
    """Steps by path, each one checked before and the file after; weaker than handles, for Windows."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def enter(self, name: str) -> PathWalk:
        status = self._checked(name)
        if not stat.S_ISDIR(status.st_mode):
            raise _explain(self.place / name, status, folder=True)
        return PathWalk(self.place / name)

    def open(self, name: str, flags: int, mode: int) -> int:
        try:
            status = self._checked(name)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        else:
            if not stat.S_ISREG(status.st_mode):
                raise _explain(self.place / name, status, folder=False)
        descriptor = os.open(self.place / name, flags | _BINARY | _CLOEXEC | _NONBLOCK, mode)
        try:
            check_file(descriptor, self.place / name)
            self._check_same(descriptor, name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_same(self, descriptor: int, name: str) -> None:
        if not os.path.samestat(os.fstat(descriptor), self.lstat(name)):
            raise UnsafePathError(f"{self.place / name} changed while it was opened")

    def _checked(self, name: str) -> os.stat_result:
        place = self.place / name
        status = place.lstat()
        junction = getattr(os.path, "isjunction", lambda _: False)
        if stat.S_ISLNK(status.st_mode) or junction(place):
            raise _explain(place, status, folder=False)
        if name not in os.listdir(self.place):  # noqa: PTH208 - one listing answers "is it spelled so"
            raise UnsafePathError(f"{place} exists under another spelling", hint="use the name as it is stored")
        return status

    def lstat(self, name: str) -> os.stat_result:
        return (self.place / name).lstat()

    def mkdir(self, name: str, mode: int) -> None:
        (self.place / name).mkdir(mode)

    def rename(self, name: str, other: Walk, new_name: str) -> None:
        assert isinstance(other, PathWalk)  # noqa: S101 - both come from the same start()
        (self.place / name).replace(other.place / new_name)

    def remove(self, name: str) -> None:
        (self.place / name).unlink()

    def rmdir(self, name: str) -> None:
        (self.place / name).rmdir()

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.place.iterdir())

    def sync(self) -> None:
        """Do nothing: folders cannot be synchronised by path on Windows."""

    def close(self) -> None:
        """Do nothing: no handle is held."""
