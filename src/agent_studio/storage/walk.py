"""Two ways to step through folders without following a link.

`HandleWalk` holds a handle on every folder it enters (openat, O_NOFOLLOW), so nothing that is swapped under it
can lead it elsewhere; only where there is no /proc, a hard link that goes away while it is opened can pass.
`PathWalk` is for systems without directory handles (Windows): it checks every step, and after opening a file the
file and all folders above it. A folder swapped in between can still have an empty file made elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from agent_studio.errors import UnsafePathError
from agent_studio.storage.descriptors import keeps_name, locked

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_BINARY = getattr(os, "O_BINARY", 0)
_ATTEMPTS = 100
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
# a pipe must not block the opening, a terminal not become ours
_HARMLESS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class Walk(Protocol):
    """One entered folder; every operation takes the plain name of something directly in it."""

    @property
    def place(self) -> Path:
        """Where the folder was when it was entered, for messages."""

    def enter(self, name: str) -> Walk:
        """Step into a folder; FileNotFoundError if it is not there, `UnsafePathError` if it is a link."""

    def open(self, name: str, flags: int, mode: int) -> int:
        """Open a regular file that has one name only; return its descriptor."""

    def status(self) -> os.stat_result:
        """Return what the folder itself is."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes of ours from creating files here meanwhile, where the system can."""

    def lstat(self, name: str) -> os.stat_result:
        """Return what the name itself is, following nothing."""

    def chmod(self, mode: int) -> None:
        """Set the rights of the folder itself."""

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
    if (os.open in os.supports_dir_fd and bool(_NOFOLLOW)) if handles is None else handles:
        return HandleWalk(os.open(base, os.O_RDONLY | _DIRECTORY | _CLOEXEC), base)
    status = base.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    return PathWalk(base, status)


def check_file(status: os.stat_result, place: Path) -> None:
    """Raise `UnsafePathError` unless this is a regular file without a second name."""
    if stat.S_ISLNK(status.st_mode):
        raise _explain(place, status, folder=False)
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


class _Opener(Walk):
    """What both walks do around opening a file."""

    def open(self, name: str, flags: int, mode: int) -> int:
        # O_TRUNC would empty a hard link before it is checked
        safe = (flags & ~os.O_TRUNC) | _BINARY | _NOFOLLOW | _HARMLESS | _CLOEXEC
        for _ in range(_ATTEMPTS):
            descriptor = self._open_once(name, safe, mode)
            try:
                if self._is_still(name, descriptor):
                    if flags & os.O_TRUNC:
                        os.ftruncate(descriptor, 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise _exchanged(self.place / name)

    def _is_still(self, name: str, descriptor: int) -> bool:
        """Tell whether the file still has its name; that it has no other is checked first.

        The order matters: one link, and after that still the name it was opened by, leaves no room for a hard link
        removed in between. A file that was replaced meanwhile is no attack: try again.
        """
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            check_file(status, self.place / name)
        try:
            return keeps_name(descriptor, name) is not False and os.path.samestat(status, self.lstat(name))
        except FileNotFoundError:
            return False

    def _open_once(self, name: str, flags: int, mode: int) -> int:
        raise NotImplementedError


def _exchanged(place: Path) -> UnsafePathError:
    return UnsafePathError(f"{place} was exchanged while it was used", hint="run the command again")


class HandleWalk(_Opener):
    """Steps by directory handle; race-free on Linux and macOS."""

    def __init__(self, handle: int, base: Path, names: tuple[str, ...] = ()) -> None:
        self._handle, self._base, self._names = handle, base, names

    @property
    def place(self) -> Path:
        return self._base.joinpath(*self._names)

    def enter(self, name: str) -> HandleWalk:
        flags = os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _CLOEXEC
        try:
            return HandleWalk(os.open(name, flags, dir_fd=self._handle), self._base, (*self._names, name))
        except FileNotFoundError:
            raise
        except OSError as error:
            self._explain_refusal(name, error, folder=True)
            raise

    def _open_once(self, name: str, flags: int, mode: int) -> int:
        try:
            return os.open(name, flags, mode, dir_fd=self._handle)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            self._explain_refusal(name, error, folder=False)
            raise

    def _explain_refusal(self, name: str, error: OSError, *, folder: bool) -> None:
        """Raise `UnsafePathError` for a link or a thing of the wrong kind; return for a fault of the file system."""
        try:
            status = self.lstat(name)
        except OSError:
            return
        fits = stat.S_ISDIR(status.st_mode) if folder else stat.S_ISREG(status.st_mode)
        if not fits:
            raise _explain(self.place / name, status, folder=folder) from error

    def status(self) -> os.stat_result:
        return os.fstat(self._handle)

    def alone(self) -> AbstractContextManager[None]:
        return locked(self._handle)

    def lstat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._handle, follow_symlinks=False)

    def chmod(self, mode: int) -> None:
        os.fchmod(self._handle, mode)

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


class PathWalk(_Opener):
    """Steps by path, each one checked before and the file after; weaker than handles, for Windows."""

    def __init__(self, place: Path, status: os.stat_result, above: PathWalk | None = None) -> None:
        self._place = place
        self._entered_as = status
        self._above = above

    @property
    def place(self) -> Path:
        return self._place

    def enter(self, name: str) -> PathWalk:
        status = self._checked(name)
        if not stat.S_ISDIR(status.st_mode):
            raise _explain(self.place / name, status, folder=True)
        return PathWalk(self.place / name, status, self)

    def _open_once(self, name: str, flags: int, mode: int) -> int:
        try:
            status = self._checked(name)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        else:
            if not stat.S_ISREG(status.st_mode):
                raise _explain(self.place / name, status, folder=False)
        return os.open(self.place / name, flags, mode)

    def _checked(self, name: str) -> os.stat_result:
        place = self.place / name
        status = place.lstat()
        junction = getattr(os.path, "isjunction", lambda _: False)
        if stat.S_ISLNK(status.st_mode) or junction(place):
            raise UnsafePathError(f"{place} is a symbolic link", hint="replace it by a real file or folder")
        self._check_spelling(name)
        return status

    def _check_spelling(self, name: str) -> None:
        if name not in self.names() and os.path.lexists(self.place / name):
            raise UnsafePathError(
                f"{self.place / name} exists under another spelling", hint="use the name as it is stored"
            )

    def _check_unmoved(self) -> None:
        """Raise `UnsafePathError` when a folder that was entered is no longer the one at its path."""
        walk = self
        while walk._above is not None:
            if not os.path.samestat(walk.place.lstat(), walk._entered_as):
                raise _exchanged(walk.place)
            walk = walk._above

    def status(self) -> os.stat_result:
        return self._entered_as

    def alone(self) -> AbstractContextManager[None]:
        return nullcontext()

    def lstat(self, name: str) -> os.stat_result:
        self._check_unmoved()
        return (self.place / name).lstat()

    def chmod(self, mode: int) -> None:
        self._check_unmoved()
        self.place.chmod(mode)

    def mkdir(self, name: str, mode: int) -> None:
        self._check_unmoved()
        (self.place / name).mkdir(mode)

    def rename(self, name: str, other: Walk, new_name: str) -> None:
        assert isinstance(other, PathWalk)  # noqa: S101 - both come from the same start()
        self._check_spelling(name)
        other._check_unmoved()
        (self.place / name).replace(other.place / new_name)

    def remove(self, name: str) -> None:
        self._check_spelling(name)
        (self.place / name).unlink()

    def rmdir(self, name: str) -> None:
        self._check_spelling(name)
        (self.place / name).rmdir()

    def names(self) -> list[str]:
        self._check_unmoved()
        return sorted(entry.name for entry in self.place.iterdir())

    def sync(self) -> None:
        """Do nothing: Windows has no handles to synchronise or to close."""

    close = sync
