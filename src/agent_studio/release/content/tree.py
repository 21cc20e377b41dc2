"""A tree of definitions: which of its files a candidate or a release consists of, and how each is read and named.

Bytes and modes are taken raw, but for the client's `settings.json`: what we added to it is left out, so that the same
definitions are the same whether or not their hooks are recorded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.capture.wiring import moved, settings
from agent_studio.capture.wiring.exact import Exact
from agent_studio.environment.context import other_roots
from agent_studio.environment.roots import STAGING_ROOT, STATE, Project
from agent_studio.errors import StorageError, UnsafePathError
from agent_studio.release.content import manifest
from agent_studio.release.content.links import Link
from agent_studio.release.content.manifest import Entry, folders_above
from agent_studio.release.content.naming import Names, is_left_behind, spelled
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import Folder, disk_faults
from agent_studio.storage.temporaries import is_temporary
from agent_studio.storage.walk import check_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

FOLDERS = ("agents", "skills", "commands", "workflows", "hooks", "rules", "teams", "methods", "output-styles")
SETTINGS = settings.SHARED
FILES = ("CLAUDE.md", SETTINGS, "config.yaml", "config.production.yaml", "allowed_signers")
_LOCAL_FILES = ("settings.local.json", "config.staging.yaml", "config.development.yaml")
_BINARY, _CLOEXEC = getattr(os, "O_BINARY", 0), getattr(os, "O_CLOEXEC", 0)


class Content(NamedTuple):
    """A tree as it was read."""

    entries: dict[str, Entry]
    led_out: list[str]
    """Links that lead out of the tree, and so are not part of it."""
    left_out: dict[str, str]
    """What else stands among definitions and is none, by path, and why."""
    misnamed: dict[str, str]
    """What no manifest can carry because of its name, by path, and why."""


class Found(NamedTuple):
    """What is at the path of a file."""

    entry: Entry | None
    """None: no file."""
    is_link: bool = False
    """Whether the path itself is a link; the entry is what it leads to."""


class Tree(NamedTuple):
    """A folder of definitions, with or without a project around it."""

    definitions: Path
    """The folder itself, free of links."""
    around: Path | None
    """The project that holds it, whose own CLAUDE.md goes along; None for a folder of definitions alone."""

    def place(self, path: str) -> tuple[Folder, str]:
        """Return door and name of a path of a manifest; what is written belongs to whoever owns the tree.

        A file or folder that is there in Unicode form D keeps that name.
        """
        if path == manifest.OF_PROJECT and self.around is not None:
            return Folder(self.around, shared=True), manifest.PROJECT_FILE
        if path.isascii():
            return Folder(self.definitions, shared=True), path
        return Folder(self.definitions, shared=True, any_form=True), spelled(str(self.definitions), path)

    def lies_at(self, path: str) -> str:
        """Return the place of a path of a manifest."""
        folder, name = self.place(path)
        return f"{folder.path}/{name}"

    def takes(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return what of a candidate has a place here: a folder of definitions alone has none for a project's file."""
        return {path: entry for path, entry in entries.items() if self.around or path != manifest.OF_PROJECT}

    def read(self, put: Callable[[bytes], str] | None = None, *, is_live: bool = False) -> Content:
        """Read every file; `put` is given the bytes of each and returns their hash.

        Raises `StorageError` for a file that cannot be read and `UsageError` for a name that a manifest cannot carry,
        unless it is what is live, where everybody may have put it.
        """
        walk, names = _Walk(self), Names(self.definitions, refuses=not is_live)
        entries: dict[str, Entry] = {}
        for path, place in walk.files():
            shown = names.take(path)
            if shown is not None and (entry := self._entry(path, place, put or _sha256)) is not None:
                entries[shown] = entry
        return Content(entries, walk.led_out, walk.left_out, names.refused)

    def links(self) -> dict[str, Link]:
        """Return the links that files are read through, or would be once there is one, by path.

        Those in a linked folder are among them.
        """
        walk = _Walk(self)
        for _ in walk.files():
            pass
        return walk.links

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield the path of every file as a manifest has it, and its real place."""
        return _Walk(self).files()

    def everything(self, *, folders: bool = True) -> Iterator[str]:
        """Yield the place of every file, and of the folders and links on the way to it but for the tree's own folder.

        Something of it changes whenever files are edited, added, moved or, below the top, removed; without the folders,
        whenever one that is there was written, moved here or led to.
        """
        walk = _Walk(self)
        for _, place in walk.files():
            yield place
        yield from walk.passed if folders else (link.place for link in walk.links.values())

    def status(self, path: str) -> os.stat_result | None:
        """Return what is at a path without following it, or None for nothing; below a file there is nothing."""
        folder, name = self.place(path)
        with suppress(UnsafePathError):  # whatever is in the way is looked at below
            found = folder.status(name)
            if found is not None:
                return found
        for above in reversed(folders_above(name)):
            status = folder.status(above)
            if status is None or stat.S_ISREG(status.st_mode):
                return None
        return folder.status(name)

    def entry_at(self, path: str) -> Entry | None:
        """Return what a file is now, or None when there is no file; a link is what it leads to inside the tree."""
        return self.found_at(path).entry

    def found_at(self, path: str) -> Found:
        """Return what is at the path of a file.

        Raises `UnsafePathError` for a link that is not followed, and for a file that has a second name.
        """
        folder, name = self.place(path)
        try:
            status = self.status(path)
        except UnsafePathError:
            return Found(self._linked_entry(path, folder, name))  # through a folder
        if status is not None and stat.S_ISLNK(status.st_mode):
            return Found(self._linked_entry(path, folder, name), is_link=True)
        if status is None or stat.S_ISDIR(status.st_mode):
            return Found(None)
        place = folder.path / name
        check_file(status, place)
        return Found(self._entry(path, str(place), _sha256))

    def _linked_entry(self, path: str, folder: Folder, name: str) -> Entry | None:
        place = _Walk(self).followed(str(folder.path), name)
        return None if place is None else self._entry(path, place, _sha256)

    def links_above(self, paths: Iterable[str]) -> Iterator[tuple[Folder, str]]:
        """Yield door and name of every link to a folder on the way to some paths, the outermost first.

        Raises `UnsafePathError` as `found_at` does.
        """
        seen: set[str] = set()
        for path in paths:
            above = [one for one in reversed(folders_above(path)) if one not in seen and path != manifest.OF_PROJECT]
            seen.update(above)
            for one in above:
                folder, name = self.place(one)
                if os.path.islink(f"{self.definitions}/{name}"):  # noqa: PTH114 - there may be many
                    _Walk(self).followed(str(self.definitions), name)
                    yield folder, name

    def folders_of(self, paths: Iterable[str]) -> dict[Path, Folder]:
        """Return the folders whose names a change of some paths may have changed."""
        found: dict[Path, Folder] = {}
        seen: set[str] = set()
        for path in paths:
            folder, own = self.place(path)
            found.setdefault(folder.path, folder)
            for above in folders_above(own):
                if above in seen:
                    break  # and so are those above it
                seen.add(above)
                inner = folder.at(above)
                found[inner.path] = inner
        return found

    def sweep(self) -> None:
        """Remove what killed writers of ours left half-written."""
        doors = [Folder(place, shared=True, any_form=True) for place in (self.around, self.definitions) if place]
        for door in doors:
            door.sweep()
        definitions = doors[-1]
        for top in FOLDERS:
            inner: list[str] = []
            with suppress(FileNotFoundError, UnsafePathError):  # a link is somebody else's folder
                inner = [name for name, _ in definitions.at(top).tree()]
            found = (f"{top}/{name}".rpartition("/") for name in inner)
            for path in {path for path, _, name in found if is_temporary(name)}:
                with suppress(FileNotFoundError, UnsafePathError):  # no folder of ours has such a name
                    definitions.sweep(path)

    def bytes_at(self, path: str) -> bytes | None:
        """Return the bytes that a release would have of a file, or None where it would have none."""
        folder, name = self.place(path)
        data = folder.read(name)
        return self._bare(data) if path == SETTINGS else data

    def dressed(self, path: str, data: bytes | None) -> bytes | None:
        """Return the bytes to write for those of a release: what we added to the file that is there goes along.

        None, for no file, may become one that holds only what is ours.
        """
        if path != SETTINGS:
            return data
        folder, name = self.place(path)
        try:
            live = folder.read(name)
        except FileNotFoundError:
            return data
        except UnsafePathError:
            place = _Walk(self).followed(str(folder.path), name)
            if place is None:
                return data
            live = Path(place).read_bytes()
        return moved.with_ours(data, live, self._project)

    def note_dressed(self, data: bytes | None, dressed: bytes) -> None:
        """Keep what dressed settings are as a release has them, so that `entry_at` finds that."""
        if self._project is not None and dressed != data:
            moved.note(self._project, data, dressed)

    @property
    def _project(self) -> Project | None:
        return None if self.around is None else Project(self.around)

    def _entry(self, path: str, place: str, put: Callable[[bytes], str]) -> Entry | None:
        data: bytes | None
        try:
            with disk_faults(place):
                descriptor = os.open(place, os.O_RDONLY | _BINARY | _CLOEXEC)
                try:
                    mode = os.fstat(descriptor).st_mode
                    data = b"".join(read_chunks(descriptor))
                finally:
                    os.close(descriptor)
        except FileNotFoundError:
            raise StorageError(f"{place} went away while it was read", hint="run the command again") from None
        if path == SETTINGS and data is not None:
            data = self._bare(data)
        if data is None:
            return None
        return Entry(manifest.EXECUTABLE if mode & stat.S_IXUSR else manifest.PLAIN, put(data))

    def _bare(self, data: bytes) -> bytes | None:
        return settings.without_us(data, Exact(self._project), self._project)


class _Walk:
    """Finds the files of a candidate; links are followed as far as the project reaches and data begins."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._inside = [Path(os.path.realpath(place)) for place in (tree.around, tree.definitions) if place]
        self._outside = {Path(os.path.realpath(tree.definitions / name)) for name in _LOCAL_FILES}
        if tree.around is not None:
            self._outside |= {Path(os.path.realpath(tree.around / place)) for place in _data(Project(tree.around))}
        self._outside_paths = {str(place) for place in self._outside}
        self.led_out: list[str] = []
        """Links that lead out of the tree, and so are not part of it."""
        self.passed: list[str] = []
        """Folders that were entered and links that were followed."""
        self.left_out: dict[str, str] = {}
        self.links: dict[str, Link] = {}

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield every file's path in the manifest and where its bytes are."""
        for name in (*FOLDERS, *FILES):
            yield from self._at(name, str(self._tree.definitions / name), (), folder=name in FOLDERS)
        if self._tree.around is not None:
            place = str(self._tree.around / manifest.PROJECT_FILE)
            yield from self._at(manifest.OF_PROJECT, place, (), folder=False)

    def _at(self, path: str, place: str, above: tuple[str, ...], *, folder: bool | None) -> Iterator[tuple[str, str]]:
        """Yield what is at a place that may be a link: `folder` says what belongs there, None that either does.

        `above` holds the real folders on the way here, in which a link back would go round for ever.
        """
        real = os.path.realpath(place)
        is_link = os.path.islink(place)  # noqa: PTH114 - beside realpath
        if is_link:
            self.passed.append(place)
        mode = _mode(real)
        if mode is None:
            if is_link:
                self.left_out[path] = "a link to nothing"
                if self._is_inside(Path(real)) and self._belongs(Path(real)):
                    self._note_link(path, place, real, is_link=True)
            return
        if not self._is_inside(Path(real)):
            self.led_out.append(path)
        elif is_link and (real in above or not self._belongs(Path(real))):
            self.left_out[path] = "a link to a folder around it" if real in above else "a link to what is no definition"
        elif not self._belongs(Path(real)):
            return
        elif stat.S_ISREG(mode) and not folder:
            self._note_link(path, place, real, is_link=is_link)
            yield path, real
        elif stat.S_ISDIR(mode) and folder is not False:
            self._note_link(path, place, real, is_link=is_link)
            yield from self._in(path, real, (*above, real))
        else:
            wanted = {True: "a folder", False: "a file", None: "a file or folder"}[folder]
            self.left_out[path] = f"not {wanted}"

    def _note_link(self, path: str, place: str, real: str, *, is_link: bool) -> None:
        if is_link:
            self.links[unicodedata.normalize("NFC", path)] = Link(place, real, os.readlink(place))  # noqa: PTH115

    def followed(self, folder: str, relative: str) -> str | None:
        """Return where the bytes of a file are that links lead to, as `files` finds it; None where there is no file."""
        at = os.path.realpath(folder)
        above = {at}
        for name in relative.split("/"):
            place = f"{at}/{name}"
            at = os.path.realpath(place)
            if os.path.islink(place) and (at in above or not self._is_inside(Path(at)) or not self._belongs(Path(at))):  # noqa: PTH114
                raise UnsafePathError(
                    f"{place} is a symbolic link to what is no definition", hint="replace it by a real file or folder"
                )
            above.add(at)
        mode = _mode(at)
        if mode is None:
            return None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UnsafePathError(f"{at} is not a regular file", hint="move it away")
        return at if stat.S_ISREG(mode) else None

    def _in(self, path: str, real: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Yield what is in a real folder; what is no link lies where its folder lies and needs no second look."""
        self.passed.append(real)
        with disk_faults(real), os.scandir(real) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            inner = f"{path}/{entry.name}"
            if entry.is_symlink():
                yield from self._at(inner, entry.path, above, folder=None)
            elif is_left_behind(entry.name) or is_temporary(entry.name) or entry.path in self._outside_paths:
                continue
            elif entry.is_dir():
                yield from self._in(inner, entry.path, (*above, entry.path))
            elif entry.is_file():
                yield inner, entry.path
            else:
                self.left_out[inner] = "neither a file nor a folder"

    def _belongs(self, real: Path) -> bool:
        around = {real, *real.parents}
        return not is_left_behind(real.name) and self._outside.isdisjoint(around)

    def _is_inside(self, real: Path) -> bool:
        return any(folder == real or folder in real.parents for folder in self._inside)


def _mode(place: str) -> int | None:
    """Return what is at a place, None where nothing is or links go round."""
    with disk_faults(Path(place)):
        try:
            return os.lstat(place).st_mode
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return None
            raise


def _data(project: Project) -> set[str]:
    """Return the places of a project that hold data or state, not definitions."""
    places = {place for root in other_roots(project, None) for place in root.kinds.values()}
    return {STATE, STAGING_ROOT, ".git"} | places


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
