"""A tree of definitions: which of its files a candidate or a release consists of, and how each is read and named.

Bytes and modes are taken raw, but for the client's `settings.json`: what we added to it is left out, so that the same
definitions are the same whether or not their hooks are recorded.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.capture.wiring import moved, settings
from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STAGING_ROOT, STATE, Project
from agent_studio.errors import StorageError, UnsafePathError, UsageError
from agent_studio.release import manifest
from agent_studio.release.manifest import Entry
from agent_studio.storage.descriptors import read_chunks
from agent_studio.storage.folder import Folder, disk_faults
from agent_studio.storage.temporaries import is_temporary
from agent_studio.storage.walk import check_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FOLDERS = ("agents", "skills", "commands", "workflows", "hooks", "rules", "teams", "output-styles")
SETTINGS = settings.SHARED
FILES = ("CLAUDE.md", SETTINGS, "config.yaml", "config.production.yaml", "allowed_signers")
_LOCAL_FILES = ("settings.local.json", "config.staging.yaml", "config.development.yaml")
_BINARY, _CLOEXEC = getattr(os, "O_BINARY", 0), getattr(os, "O_CLOEXEC", 0)
_LEFT_BEHIND = {".git", "__pycache__", ".DS_Store"}
"""Names that tools leave in a folder; no definition is read from them."""


class Content(NamedTuple):
    """A tree as it was read."""

    entries: dict[str, Entry]
    led_out: list[str]
    """Links that lead out of the tree, and so are not part of it."""


class Tree(NamedTuple):
    """A folder of definitions, with or without a project around it."""

    definitions: Path
    """The folder itself, free of links."""
    around: Path | None
    """The project that holds it, whose own CLAUDE.md goes along; None for a folder of definitions alone."""

    def place(self, path: str) -> tuple[Folder, str]:
        """Return door and name of a path of a manifest; what is written belongs to whoever owns the tree."""
        if path == manifest.OF_PROJECT and self.around is not None:
            return Folder(self.around, shared=True), manifest.PROJECT_FILE
        if not path.isascii():
            _refuse_other_form(self.definitions, path)
        return Folder(self.definitions, shared=True), path

    def takes(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return what of a candidate has a place here: a folder of definitions alone has none for a project's file."""
        return {path: entry for path, entry in entries.items() if self.around or path != manifest.OF_PROJECT}

    def read(self, put: Callable[[bytes], str] | None = None) -> Content:
        """Read every file; `put` is given the bytes of each and returns their hash.

        Raises `UsageError` for a name that a manifest cannot carry, `StorageError` for a file that cannot be read.
        """
        walk = _Walk(self)
        entries: dict[str, Entry] = {}
        for path, place in walk.files():
            shown = _manifest_path(path)
            if shown in entries:
                raise UsageError(f"two definitions are named {path!r} up to Unicode form", hint="rename one of them")
            entry = self._entry(path, place, put or _sha256)
            if entry is not None:
                entries[shown] = entry
        return Content(entries, walk.led_out)

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield the path of every file as a manifest has it, and its real place."""
        return _Walk(self).files()

    def everything(self) -> Iterator[str]:
        """Yield the place of every file, and of the folders and links on the way to it but for the tree's own folder.

        Something of it changes whenever files are edited, added, moved or, below the top, removed.
        """
        walk = _Walk(self)
        for _, place in walk.files():
            yield place
        yield from walk.passed

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
        """Return what a file is now, or None when there is no file; a link is refused."""
        folder, name = self.place(path)
        status = self.status(path)
        if status is None or stat.S_ISDIR(status.st_mode):
            return None
        place = folder.path / name
        check_file(status, place)
        return self._entry(path, str(place), _sha256)

    def sweep(self) -> None:
        """Remove what killed writers of ours left half-written."""
        doors = [Folder(place, shared=True) for place in (self.around, self.definitions) if place]
        for door in doors:
            door.sweep()
        definitions = doors[-1]
        for top in FOLDERS:
            with suppress(FileNotFoundError, UnsafePathError):  # a link is somebody else's folder
                found = (f"{top}/{name}".rpartition("/") for name, _ in definitions.at(top).tree())
                for folder in {folder for folder, _, name in found if is_temporary(name)}:
                    definitions.sweep(folder)

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
        try:
            live = self.place(path)[0].read(path)
        except FileNotFoundError:
            return data
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
        return settings.without_us(data, self._project)


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
        with disk_faults(place):
            if os.path.islink(place):  # noqa: PTH114 - there may be many
                self.passed.append(place)
            try:
                mode = os.lstat(real).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return
        if not self._is_inside(Path(real)):
            self.led_out.append(path)
            return
        if not self._belongs(Path(real)) or real in above:
            return
        if stat.S_ISREG(mode) and not folder:
            yield path, real
        elif stat.S_ISDIR(mode) and folder is not False:
            yield from self._in(path, real, (*above, real))

    def _in(self, path: str, real: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Yield what is in a real folder; what is no link lies where its folder lies and needs no second look."""
        self.passed.append(real)
        with disk_faults(real), os.scandir(real) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            inner = f"{path}/{entry.name}"
            if entry.is_symlink():
                yield from self._at(inner, entry.path, above, folder=None)
            elif entry.name in _LEFT_BEHIND or is_temporary(entry.name) or entry.path in self._outside_paths:
                continue
            elif entry.is_dir():
                yield from self._in(inner, entry.path, (*above, entry.path))
            elif entry.is_file():
                yield inner, entry.path

    def _belongs(self, real: Path) -> bool:
        around = {real, *real.parents}
        return real.name not in _LEFT_BEHIND and self._outside.isdisjoint(around)

    def _is_inside(self, real: Path) -> bool:
        return any(folder == real or folder in real.parents for folder in self._inside)


def folders_above(path: str) -> list[str]:
    """Return the folders on the way to a path, the innermost first."""
    names = path.split("/")[:-1]
    return ["/".join(names[:depth]) for depth in range(len(names), 0, -1)]


def _refuse_other_form(folder: Path, path: str) -> None:
    """Raise `UsageError` for a file that is there by a name in another Unicode form: it could not be switched."""
    around, _, name = path.rpartition("/")
    place = folder / around
    if os.path.lexists(place / name) or not place.is_dir():
        return
    other = next((one for one in place.iterdir() if unicodedata.normalize("NFC", one.name) == name), None)
    if other is not None:
        raise UsageError(
            f"{other} is named {other.name!a}, not in Unicode form C as releases are",
            hint=f"rename it to {name!a} there, then run the command again",
        )


def _data(project: Project) -> set[str]:
    """Return the places of a project that hold data or state, not definitions."""
    both = (Environment.STAGING, Environment.PRODUCTION)
    roots = [root for environment in both for root in other_roots(project, environment)]
    return {STATE, STAGING_ROOT, ".git"} | {place for root in roots for place in root.kinds.values()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _manifest_path(path: str) -> str:
    if path.isascii() and path.isprintable():
        return path
    normal = unicodedata.normalize("NFC", path)
    try:
        normal.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of definition {path!r} is not valid UTF-8", hint="rename it") from None
    if any(character < " " or character == "\x7f" for character in normal):
        raise UsageError(f"the name of definition {path!r} has a control character", hint="rename it")
    return normal
