"""The manifest: what a candidate or a release consists of, one line a file, and the hash that names it.

A line is `<mode> SP <sha256> SP <path>`: mode 100644 or 100755, the path from the definitions folder in Unicode form C,
lines sorted by the bytes of their paths. The project's own `CLAUDE.md` is `@project/CLAUDE.md`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAIN, EXECUTABLE = "100644", "100755"
PROJECT_FILE = "CLAUDE.md"
OF_PROJECT = f"@project/{PROJECT_FILE}"
_LINE = re.compile(r"(100644|100755) ([0-9a-f]{64}) ([^\x00-\x1f\x7f]+)")


class Entry(NamedTuple):
    """One file."""

    mode: str
    sha256: str


class Difference(NamedTuple):
    """A file that two manifests do not agree on."""

    path: str
    old: Entry | None
    """None: it is new."""
    new: Entry | None
    """None: it is gone."""


def render(entries: Mapping[str, Entry]) -> bytes:
    """Return the manifest of files by path."""
    lines = {path.encode(): f"{entry.mode} {entry.sha256} {path}\n".encode() for path, entry in entries.items()}
    return b"".join(lines[path] for path in sorted(lines))


def name_of(manifest: bytes) -> str:
    """Return the name of what a manifest describes."""
    return hashlib.sha256(manifest).hexdigest()


def parse(manifest: bytes, shown: str = "the manifest") -> dict[str, Entry]:
    """Return the files of a manifest by path; raise `IntegrityError` for anything that `render` does not write."""
    entries: dict[str, Entry] = {}
    try:
        for line in manifest.decode().split("\n")[:-1]:
            match = _LINE.fullmatch(line)
            if match is None:
                raise IntegrityError(f"{shown} is damaged: it has the line {line[:100]!r}")
            entries[match[3]] = Entry(match[1], match[2])
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{shown} is damaged: {error}") from None
    if render(entries) != manifest:
        raise IntegrityError(f"{shown} is damaged: it is not sorted, repeats a path or is cut short")
    return entries


def differences(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> list[Difference]:
    """Return the files that differ, by path."""
    return [
        Difference(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def objects(manifests: Iterable[Mapping[str, Entry]]) -> set[str]:
    """Return the hashes of all files of some manifests."""
    return {entry.sha256 for entries in manifests for entry in entries.values()}


def folders_above(path: str) -> list[str]:
    """Return the folders on the way to a path, the innermost first."""
    names = path.split("/")[:-1]
    return ["/".join(names[:depth]) for depth in range(len(names), 0, -1)]
