"""`Folder`: file operations that cannot leave a trusted base, whatever name they are given.

Every path is relative, written with `/`, checked by `storage.names`, and walked one folder at a time by
`storage.walk`. Files are created 0600, folders 0700. A missing file is `FileNotFoundError`; a way out is
`UnsafePathError`; a full or read-only disk is `StorageError`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import StorageError, UnsafePathError
from agent_studio.storage import names, temporaries
from agent_studio.storage.walk import FILE_MODE, FOLDER_MODE, check_file, start

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agent_studio.storage.walk import Walk

_SHARED_MODE, _SHARED_FOLDER_MODE = 0o666, 0o777
"""Less the umask, as any editor would create them."""


class disk_faults:  # noqa: N801 - used as a function; made of a generator it takes longer than many a file
    """Turn what the file system says into one clear `StorageError`; let missing files through.

    The path is put together only when there is something to say of it.
    """

    __slots__ = ("_names", "_place")

    def __init__(self, place: Path | str, *names: str) -> None:
        self._place, self._names = place, names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, (FileNotFoundError, FileExistsError)):
            return
        reason = error.strerror or str(error)
        raise StorageError(
            f"cannot use {Path(self._place, *self._names)}: {reason}",
            hint="free space or mend the permissions, then run the command again",
        ) from error


class _entered:  # noqa: N801 - as above
    """Enter a folder below a base, one name at a time; what was entered is left in the end."""

    __slots__ = ("_base", "_handles", "_parts", "_walk")

    def __init__(self, base: Path, parts: Iterable[str], *, handles: bool | None) -> None:
        self._base, self._parts, self._handles = base, parts, handles

    def __enter__(self) -> Walk:
        parts = tuple(self._parts)
        with disk_faults(self._base, *parts):
            walk = start(self._base, handles=self._handles)
            try:
                for name in parts:
                    entered = walk.enter(name)
                    walk.close()
                    walk = entered
            except BaseException:
                walk.close()
                raise
        self._walk = walk
        return walk

    def __exit__(self, *_: object) -> None:
        self._walk.close()


class Folder:
    """A folder below a trusted base, entered anew for every operation without following a link."""

    def __init__(
        self, base: Path, relative: str = "", *, handles: bool | None = None, shared: bool = False,
        any_form: bool = False,
    ) -> None:  # fmt: skip
        """`shared` is for files that belong to a repository: created and kept with the rights it gives them.

        `any_form` takes names in every Unicode form, for files that others have named.
        """
        self._base = base
        self._any_form = any_form
        self._parts = self._split(relative)
        self._handles = handles
        self._shared = shared
        self._mode = _SHARED_MODE if shared else FILE_MODE

    @property
    def path(self) -> Path:
        """Where this folder is, for messages; opening this path by hand bypasses every check."""
        return self._base.joinpath(*self._parts)

    def at(self, relative: str) -> Folder:
        """Return a folder below this one."""
        whole = "/".join((*self._parts, *self._split(relative)))
        return Folder(self._base, whole, handles=self._handles, shared=self._shared, any_form=self._any_form)

    def resolve(self, relative: str) -> Path:
        """Return the checked path of something that is there, for messages and for libraries that take only paths.

        A link, a hard link or anything but a file or folder is refused; what happens to it later is not seen.
        """
        status = self.status(relative)
        place = self.path.joinpath(*self._split(relative))
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
        if not stat.S_ISDIR(status.st_mode):
            check_file(status, place)
        return place

    def open(self, relative: str, flags: int = os.O_RDONLY) -> int:
        """Open a regular file and return its descriptor; with `O_CREAT` its folder must exist."""
        *folders, name = self._named(relative)
        with self._entered(folders) as walk, self._faults(relative):
            if flags & os.O_CREAT:
                _refuse_collision(walk, name)
            return walk.open(name, flags, self._mode)

    def read(self, relative: str) -> bytes:
        """Return a file's bytes."""
        descriptor = self.open(relative)
        with self._faults(relative), os.fdopen(descriptor, "rb") as file:
            return file.read()

    def status(self, relative: str) -> os.stat_result | None:
        """Return what a name is without following it, or None when there is nothing."""
        parts = self._split(relative)
        try:
            with self._entered(parts[:-1]) as walk, self._faults(relative):
                return walk.lstat(parts[-1]) if parts else walk.status()
        except FileNotFoundError:
            return None

    def has_file(self, relative: str) -> bool:
        """Tell whether a regular file is there; a link or a folder in its place is refused."""
        try:
            os.close(self.open(relative))
        except FileNotFoundError:
            return False
        return True

    def has_folder(self, relative: str = "") -> bool:
        """Tell whether a real folder is there; a link or a file in its place is refused."""
        try:
            with self._entered(self._split(relative)):
                return True
        except FileNotFoundError:
            return False

    def names(self, relative: str = "") -> list[str]:
        """Return the names in a folder, sorted."""
        with self._entered(self._split(relative)) as walk, self._faults(relative):
            return walk.names()

    def files(self, relative: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Yield every file below a folder as its relative path and status; links are yielded, never entered."""
        return ((name, status) for name, status in self.tree(relative) if not stat.S_ISDIR(status.st_mode))

    def tree(self, relative: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Yield every folder and file below a folder as its relative path and status; links are never entered."""
        pending = [self._split(relative)]
        while pending:
            parts = pending.pop()
            folders = []
            for name, status in self._listed(parts):
                yield "/".join((*parts, name)), status
                if stat.S_ISDIR(status.st_mode):
                    folders.append((*parts, name))
            pending.extend(reversed(folders))

    def _listed(self, parts: tuple[str, ...]) -> list[tuple[str, os.stat_result]]:
        found = []
        with self._entered(parts) as walk, self._faults(*parts):
            for name in walk.names():
                with suppress(FileNotFoundError):  # removed since it was listed
                    found.append((name, walk.lstat(name)))
        return found

    def make(self, relative: str = "", *, beside_alike: bool = False) -> bool:
        """Create a folder and its parents; return whether it was missing.

        `beside_alike` is for callers that have seen to names which differ only in case or Unicode form.
        """
        created = False
        with self._faults(relative):
            walk = start(self._base, handles=self._handles)
            try:
                for name in (*self._parts, *self._split(relative)):
                    try:
                        entered = walk.enter(name)
                    except FileNotFoundError:
                        if not beside_alike:
                            _refuse_collision(walk, name)
                        with suppress(FileExistsError):
                            walk.mkdir(name, _SHARED_FOLDER_MODE if self._shared else FOLDER_MODE)
                            created = True
                        entered = walk.enter(name)
                    walk.close()
                    walk = entered
            finally:
                walk.close()
        return created

    def create(self, relative: str, data: bytes) -> bool:
        """Create a file that is not there and return True; one with content is kept and returns False.

        An empty file counts as not there: it is what a process killed between creating and writing leaves.
        """
        *folders, name = self._named(relative)
        return bool(self.create_many("/".join(folders), [(name, data)]))

    def create_many(self, relative: str, items: Iterable[tuple[str, bytes]]) -> list[str]:
        """Create files in one folder as `create` does, listing the folder once; return the names created."""
        created: list[str] = []
        place = self.path / relative
        with self._entered(self._split(relative)) as walk:
            with disk_faults(place):
                present = {names.collision_key(name): name for name in walk.names()}
            for name, data in items:
                names.check_name(name)
                other = present.setdefault(names.collision_key(name), name)
                if other != name:
                    raise _collision(place / name, other)
                with disk_faults(place / name):
                    if _fill(walk, name, data, self._mode):
                        created.append(name)
        return created

    def replace(self, relative: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file so that readers and a crash see all of the old bytes or all of the new ones.

        Without `durable` only readers do: a crash may leave any bytes until `storage.flush` has returned.
        """
        *folders, name = self._named(relative)
        with self._entered(folders) as walk, self._faults(relative):
            _refuse_collision(walk, name)
            with suppress(FileNotFoundError):
                os.close(walk.open(name, os.O_RDONLY, FILE_MODE))  # a link or hard link is refused, not replaced
            temporaries.put(walk, name, data, durable=durable, mode=self._mode, keep=self._shared)

    def prepare(self, relative: str, data: bytes, *, executable: bool, durable: bool = True) -> str:
        """Write a file's new bytes durably beside it and return their path, to be moved there later.

        Without `durable` they are so once `storage.flush` has returned. Only those who may read the file may run it.
        `sweep` removes what a killed writer prepared.
        """
        *folders, name = self._named(relative)
        with self._entered(folders) as walk, self._faults(relative):
            own = temporaries.prepare(
                walk, name, data, durable=durable, mode=self._mode, keep=self._shared, executable=executable
            )
        return "/".join((*folders, own))

    def sweep(self, relative: str = "", *, of: Collection[str] = ()) -> list[str]:
        """Remove what killed writers left half-written in one folder, or only of some files; return the names."""
        with self._entered(self._split(relative)) as walk, self._faults(relative):
            return temporaries.sweep(walk, of)

    def make_private(self, relative: str = "") -> None:
        """Take every right to a file or folder from all but its owner."""
        parts = self._split(relative)
        with self._entered(parts[:-1]) as walk, self._faults(relative):
            if not parts or stat.S_ISDIR(walk.lstat(parts[-1]).st_mode):
                with self._entered(parts) as folder:
                    folder.chmod(FOLDER_MODE)
                return
            descriptor = walk.open(parts[-1], os.O_RDONLY, FILE_MODE)
            try:
                os.fchmod(descriptor, FILE_MODE)
            finally:
                os.close(descriptor)

    def remove(self, relative: str) -> None:
        """Remove one file or link; never what a link points to."""
        *folders, name = self._named(relative)
        with self._entered(folders) as walk, self._faults(relative):
            walk.remove(name)

    def remove_tree(self, relative: str) -> None:
        """Remove a folder with all that is in it; links in it are removed, never followed."""
        *folders, name = self._named(relative)
        with self._entered(folders) as walk, self._faults(relative):
            _clear(walk, name)

    def remove_empty(self, relative: str) -> bool:
        """Remove a folder if nothing is in it; tell whether it was."""
        *folders, name = self._named(relative)
        try:
            with self._entered(folders) as walk, self._faults(relative):
                inner = walk.enter(name)
                try:
                    if inner.names():
                        return False
                finally:
                    inner.close()
                walk.rmdir(name)
        except FileNotFoundError:
            return False
        return True

    def move(self, relative: str, target: Folder, new_relative: str, *, beside_alike: bool = False) -> None:
        """Move a file or folder to another place on the same disk in one step; it replaces a file there.

        `beside_alike` as for `make`.
        """
        *folders, name = self._named(relative)
        *new_folders, new_name = target._named(new_relative)
        here, there = self.path.joinpath(*folders), target.path.joinpath(*new_folders)
        stays = folders == new_folders if self is target else here == there
        with self._entered(folders) as walk, ExitStack() as stack, self._faults(relative):
            target_walk = walk if stays else stack.enter_context(target._entered(new_folders))
            if not beside_alike:
                _refuse_collision(target_walk, new_name, but=name if stays else "")
            walk.lstat(name)
            walk.rename(name, target_walk, new_name)

    def sync(self) -> None:
        """Make the names in this folder durable."""
        with self._entered(()) as walk, self._faults():
            walk.sync()

    def _split(self, relative: str) -> tuple[str, ...]:
        return names.split(relative, any_form=self._any_form)

    def _named(self, relative: str) -> tuple[str, ...]:
        parts = self._split(relative)
        if not parts:
            raise UnsafePathError("an empty path names no file")
        return parts

    def _entered(self, parts: Iterable[str]) -> _entered:
        return _entered(self._base, (*self._parts, *parts), handles=self._handles)

    def _faults(self, *relative: str) -> disk_faults:
        return disk_faults(self._base, *self._parts, *relative)


def _fill(walk: Walk, name: str, data: bytes, mode: int) -> bool:
    if not data:  # nothing to tear: one step, so that a writer who came first keeps what it wrote
        with suppress(FileExistsError):
            os.close(walk.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            return True
    with walk.alone():  # another process may be looking at the same empty file
        try:
            descriptor = walk.open(name, os.O_RDONLY, mode)
        except FileNotFoundError:
            pass
        else:
            size = os.fstat(descriptor).st_size
            os.close(descriptor)
            if size or not data:
                return False
        temporaries.put(walk, name, data, durable=False, mode=mode)
    return True


def _clear(walk: Walk, name: str) -> None:
    """Remove a folder; what is in it is removed under whatever name it has."""
    inner = walk.enter(name)
    try:
        for found in inner.names():
            if stat.S_ISDIR(inner.lstat(found).st_mode):
                _clear(inner, found)
            else:
                inner.remove(found)
    finally:
        inner.close()
    walk.rmdir(name)


def _refuse_collision(walk: Walk, name: str, *, but: str = "") -> None:
    """Refuse to create a name that another one would be mistaken for on some file system."""
    key = names.collision_key(name)
    for other in walk.names():
        if other not in {name, but} and names.collision_key(other) == key:
            raise _collision(walk.place / name, other)


def _collision(place: Path, other: str) -> UnsafePathError:
    return UnsafePathError(
        f"{place} differs from {other!r} only in case or Unicode form",
        hint="many file systems take the two for one file: rename one of them",
    )
