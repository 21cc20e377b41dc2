"""A disk that loses what it was not asked to keep: records what a process writes and syncs, rebuilds every crash."""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

from agent_studio.storage import flush

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Image = dict[str, "bytes | None"]
"""Every file with its bytes, every folder with None, by path below the root."""


_CALLS = ("open", "write", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "ftruncate")


class Event(NamedTuple):
    """One call."""

    kind: str
    """create, content, rename, unlink, mkdir, rmdir, fsync, syncfs."""
    path: str
    other: str = ""
    data: bytes = b""


class Recorder:
    """What was done below a root, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self._real = {name: getattr(os, name) for name in _CALLS}

    def _path(self, name: Any, dir_fd: int | None) -> str | None:
        base = "" if dir_fd is None else _opened(dir_fd)
        path = Path(base) / os.fspath(name)
        return path.relative_to(self.root).as_posix() if self.root in path.parents else None

    def _note(self, kind: str, path: str | None, other: str | None = "", data: bytes = b"") -> None:
        if path is not None:
            self.events.append(Event(kind, path, other or "", data))

    def open(self, name: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        before = os.path.lexists(name if dir_fd is None else f"/proc/self/fd/{dir_fd}/{name}")
        descriptor: int = self._real["open"](name, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT and not before:
            self._note("create", self._path(name, dir_fd))
        return descriptor

    def _content(self, descriptor: int) -> None:
        place = _opened(descriptor)
        self._note("content", self._path(place, None), data=Path(place).read_bytes())

    def write(self, descriptor: int, data: Any) -> int:
        written: int = self._real["write"](descriptor, data)
        if _opened(descriptor).startswith(f"{self.root}/"):
            self._content(descriptor)
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._real["ftruncate"](descriptor, size)
        self._content(descriptor)

    def fsync(self, descriptor: int) -> None:
        self._real["fsync"](descriptor)
        place = _opened(descriptor)
        self._note("fsync", "." if place == str(self.root) else self._path(place, None))

    def rename(self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        pair = self._path(source, src_dir_fd), self._path(target, dst_dir_fd)
        self._real["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._note("rename", *pair)

    def unlink(self, name: Any, *, dir_fd: int | None = None) -> None:
        path = self._path(name, dir_fd)
        self._real["unlink"](name, dir_fd=dir_fd)
        self._note("unlink", path)

    def mkdir(self, name: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._real["mkdir"](name, mode, dir_fd=dir_fd)
        self._note("mkdir", self._path(name, dir_fd))

    def rmdir(self, name: Any, *, dir_fd: int | None = None) -> None:
        path = self._path(name, dir_fd)
        self._real["rmdir"](name, dir_fd=dir_fd)
        self._note("rmdir", path)

    def flush(self, places: Any) -> None:
        list(places)
        self._note("syncfs", ".")

    @contextmanager
    def recording(self) -> Iterator[None]:
        own = {self.open, self.rename, self.unlink, self.mkdir, self.rmdir}
        with (
            mock.patch.object(os, "supports_dir_fd", os.supports_dir_fd | own),
            mock.patch.multiple(
                os, open=self.open, write=self.write, fsync=self.fsync, rename=self.rename, replace=self.rename,
                unlink=self.unlink, remove=self.unlink, mkdir=self.mkdir, rmdir=self.rmdir, ftruncate=self.ftruncate,
            ),
            mock.patch.object(flush, "flush", self.flush),
        ):  # fmt: skip
            yield


def _opened(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def image(root: Path) -> Image:
    """Return what is below a root."""
    return {
        place.relative_to(root).as_posix(): None if place.is_dir() else place.read_bytes()
        for place in sorted(root.rglob("*"))
    }


def restore(root: Path, wanted: Mapping[str, bytes | None]) -> None:
    """Make a root hold exactly an image."""
    for place in root.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    for path, data in sorted(wanted.items()):
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).write_bytes(data)


class _Disk:
    """Names and bytes as they are, and as they would be after the power failed."""

    def __init__(self, start: Image) -> None:
        self.ids = itertools.count()
        self.bytes: dict[int, bytes | None] = {}
        self.synced: dict[int, bytes | None] = {}
        self.names: dict[str, int] = {}
        for path, data in start.items():
            number = next(self.ids)
            self.bytes[number] = self.synced[number] = data
            self.names[path] = number
        self.durable = dict(self.names)
        self.pending: list[tuple[str, dict[str, int | None]]] = []
        """Changes of names since their folder was synced: the folder, and what each name becomes."""

    def do(self, event: Event) -> None:
        if event.kind == "content":
            self.bytes[self.names[event.path]] = event.data
        elif event.kind in {"create", "mkdir"}:
            number = next(self.ids)
            self.bytes[number] = b"" if event.kind == "create" else None
            self.synced[number] = b"" if event.kind == "create" else None
            self._change({event.path: number})
        elif event.kind in {"unlink", "rmdir"}:
            self._change({event.path: None})
        elif event.kind == "rename":
            below = {name: number for name, number in self.names.items() if name.startswith(f"{event.path}/")}
            moved = {event.other + name.removeprefix(event.path): number for name, number in below.items()}
            gone = dict.fromkeys(below)  # what is in a folder goes along with it
            self._change({event.path: None, **gone, event.other: self.names[event.path], **moved})
        elif event.kind == "syncfs":
            self.synced = dict(self.bytes)
            self.durable, self.pending = dict(self.names), []
        else:
            self._fsync(event.path)

    def _change(self, change: dict[str, int | None]) -> None:
        folder = next(iter(change)).rpartition("/")[0]
        self.pending.append((folder, change))
        _apply(self.names, change)

    def _fsync(self, path: str) -> None:
        number = self.names.get(path)
        if number is not None and self.bytes[number] is not None:
            self.synced[number] = self.bytes[number]
            return
        own = "" if path == "." else path
        for folder, change in self.pending:
            if folder == own:
                _apply(self.durable, change)
        self.pending = [one for one in self.pending if one[0] != own]

    def crashes(self) -> Iterator[Image]:
        """Yield what may be found afterwards: names changed since the last sync in part, bytes kept or lost."""
        count = len(self.pending)
        kept = {(), tuple(range(count))}
        kept |= {tuple(range(end)) for end in range(count)}
        kept |= {tuple(n for n in range(count) if n != gone) for gone in range(count)}
        kept |= {(one,) for one in range(count)}
        for which in kept:
            names = dict(self.durable)
            for number in which:
                _apply(names, self.pending[number][1])
            for contents in (self.synced, self.bytes):
                found = {path: contents[number] for path, number in names.items()}
                yield {
                    path: data for path, data in found.items()
                    if all(found.get(above, b"") is None for above in _above(path))
                }  # fmt: skip


def _apply(names: dict[str, int], change: Mapping[str, int | None]) -> None:
    for path, number in change.items():
        if number is None:
            names.pop(path, None)
        else:
            names[path] = number


def _above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def crashes(start: Image, events: list[Event]) -> Iterator[tuple[int, Image]]:
    """Yield every state that a crash after some of the events may leave, each once."""
    disk, seen = _Disk(start), set()
    for number in range(len(events) + 1):
        for found in disk.crashes():
            key = frozenset(found.items())
            if key not in seen:
                seen.add(key)
                yield number, found
        if number < len(events):
            disk.do(events[number])
