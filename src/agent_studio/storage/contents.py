"""Bytes that are kept once each, in files named by their SHA-256: `objects/<first two digits>/<the rest>`.

What is kept never changes; a file that is there is whole, for it got its name last. How a file holds its bytes, and
what is said of one that does not, is for each store to say.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent_studio.errors import IntegrityError
from agent_studio.storage import flush

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent_studio.storage.folder import Folder

FOLDER = "objects"
_PREFIX = 2
_NAME = re.compile(r"[0-9a-f]{64}")


class ContentStore:
    """The contents below one folder."""

    what = "object"
    """What one of them is called in messages."""
    if_missing = if_damaged = "restore it from a copy"

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._durable = True

    @staticmethod
    def pack(data: bytes) -> bytes:
        """Return what is written for some bytes."""
        return data

    @staticmethod
    def unpack(written: bytes) -> bytes:
        """Return what was packed; raise `ValueError` for what no packing gives."""
        return written

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Make all that is put meanwhile durable at once, at the end; nothing may rely on it before.

        What a crash leaves of a content has another hash than its name, and is written anew when it is put again.
        """
        self._durable = not flush.is_available()
        try:
            yield
            if not self._durable:
                flush.flush([self._folder.path])
        finally:
            self._durable = True

    def put(self, data: bytes) -> str:
        """Keep some bytes and return their hash; what is kept already is read and compared, not taken for granted."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.holds(sha256, data):
            self._write(sha256, data)
        return sha256

    def _write(self, sha256: str, data: bytes) -> None:
        place, packed = self.place(sha256), self.pack(data)
        try:
            self._folder.replace(place, packed, durable=self._durable)
        except FileNotFoundError:
            self._folder.make(place.rpartition("/")[0])
            self._folder.replace(place, packed, durable=self._durable)

    def holds(self, sha256: str, data: bytes) -> bool:
        """Tell whether exactly these bytes can be read under a hash."""
        with suppress(FileNotFoundError, ValueError):
            return self.unpack(self._folder.read(self.place(sha256))) == data
        return False

    def has(self, sha256: str) -> bool:
        """Tell whether there is a file for a hash, without reading it."""
        return self._folder.status(self.place(sha256)) is not None

    def read(self, sha256: str) -> bytes:
        """Return the bytes of a hash; raise `IntegrityError` when they are missing or damaged."""
        place = self.place(sha256)
        named = f"{self.what} {sha256[:12]}"
        try:
            data: bytes | None = self.unpack(self._folder.read(place))
        except FileNotFoundError:
            raise IntegrityError(f"{named} is missing: {self._folder.path / place}", hint=self.if_missing) from None
        except ValueError:
            data = None
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(f"{named} is damaged: {self._folder.path / place}", hint=self.if_damaged)
        return data

    def names(self) -> Iterator[str]:
        """Yield the hash of everything that is kept."""
        for first in self._names(FOLDER):
            for rest in self._names(f"{FOLDER}/{first}"):
                if _NAME.fullmatch(first + rest):
                    yield first + rest

    def _names(self, relative: str) -> list[str]:
        with suppress(FileNotFoundError):
            return self._folder.names(relative)
        return []

    def collect(self, keep: Collection[str]) -> int:
        """Remove everything but what is to be kept; return how much went."""
        gone = [sha256 for sha256 in self.names() if sha256 not in keep]
        for sha256 in gone:
            with suppress(FileNotFoundError):
                self._folder.remove(self.place(sha256))
        return len(gone)

    def place(self, sha256: str) -> str:
        """Return the name of a content's file; raise `IntegrityError` for what is no hash."""
        if not _NAME.fullmatch(sha256):
            raise IntegrityError(
                f"{sha256[:80]!r} is no name of {self.what}s", hint="name it by all 64 digits of its hash"
            )
        return f"{FOLDER}/{sha256[:_PREFIX]}/{sha256[_PREFIX:]}"
