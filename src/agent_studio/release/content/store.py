"""The content store: the bytes of every candidate and release, each once, named by their SHA-256.

Objects lie in `.agent-studio/objects/<first two digits>/<the rest>`, manifests as objects of their own. What is in the
store never changes; a file that is there is whole, for it got its name last.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STATE
from agent_studio.errors import IntegrityError
from agent_studio.release.content import manifest
from agent_studio.storage import flush
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent_studio.environment.roots import Project

FOLDER = "objects"
_PREFIX = 2
_NAME = re.compile(r"[0-9a-f]{64}")


class Fault(NamedTuple):
    """An object that is not what it is named."""

    sha256: str
    reason: str


class Store:
    """The objects of one project."""

    def __init__(self, project: Project) -> None:
        self._folder = Folder(project.path, STATE)
        self._durable = True

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Make all that is put meanwhile durable at once, at the end; nothing may rely on it before.

        What a crash leaves of an object has another hash than its name, and is written anew when it is put again.
        """
        self._durable = not flush.is_available()
        try:
            yield
            if not self._durable:
                flush.flush([self._folder.path])
        finally:
            self._durable = True

    def put(self, data: bytes) -> str:
        """Keep some bytes durably and return their hash; what is kept already, and whole, is not written again."""
        sha256 = hashlib.sha256(data).hexdigest()
        place = _place(sha256)
        if not self._is_whole(place, data):
            try:
                self._folder.replace(place, data, durable=self._durable)
            except FileNotFoundError:
                self._folder.make(place.rpartition("/")[0])
                self._folder.replace(place, data, durable=self._durable)
        return sha256

    def _is_whole(self, place: str, data: bytes) -> bool:
        with suppress(FileNotFoundError):
            return self._folder.read(place) == data
        return False

    def has(self, sha256: str) -> bool:
        """Tell whether an object is there, without reading it."""
        return self._folder.status(_place(sha256)) is not None

    def read(self, sha256: str) -> bytes:
        """Return the bytes of an object; raise `IntegrityError` when it is missing or damaged."""
        try:
            data = self._folder.read(_place(sha256))
        except FileNotFoundError:
            raise IntegrityError(
                f"object {sha256[:12]} is not in the store", hint="restore .agent-studio/objects/ from a copy of it"
            ) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(
                f"object {sha256[:12]} in {self._folder.path / FOLDER} is damaged: its bytes have another hash",
                hint="restore it from a copy, or make the candidate again: that writes it anew",
            )
        return data

    def manifest(self, sha256: str) -> dict[str, manifest.Entry]:
        """Return the files of a candidate or release; raise `IntegrityError` as `read` does."""
        return manifest.parse(self.read(sha256), f"manifest {sha256[:12]}")

    def names(self) -> Iterator[str]:
        """Yield the hash of every object."""
        for folder in self._names(FOLDER):
            for rest in self._names(f"{FOLDER}/{folder}"):
                if _NAME.fullmatch(folder + rest):
                    yield folder + rest

    def _names(self, relative: str) -> list[str]:
        try:
            return [name for name in self._folder.names(relative) if not name.startswith(".")]
        except FileNotFoundError:
            return []

    def faults(self) -> Iterator[Fault]:
        """Read every object again and yield those that are not what they are named."""
        for sha256 in self.names():
            try:
                self.read(sha256)
            except IntegrityError as error:
                yield Fault(sha256, error.message)

    def collect(self, keep: Collection[str]) -> int:
        """Remove every object but those to keep; return how many went."""
        gone = [sha256 for sha256 in self.names() if sha256 not in keep]
        for sha256 in gone:
            self._folder.remove(_place(sha256))
        return len(gone)


def _place(sha256: str) -> str:
    if not _NAME.fullmatch(sha256):
        raise IntegrityError(f"{sha256[:80]!r} is no name of an object", hint="name it by all 64 digits of its hash")
    return f"{FOLDER}/{sha256[:_PREFIX]}/{sha256[_PREFIX:]}"
