"""Two sets of definitions beside each other, as unified diffs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release.content import manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.release.content.manifest import Entry


class FileDiff(NamedTuple):
    """How one file differs."""

    path: str
    change: str
    """`added`, `removed`, `changed`, or `mode` when only the right to run it differs."""
    binary: bool
    text: str
    """A unified diff; empty for binary files and for a change of mode."""


def between(old: Mapping[str, Entry], new: Mapping[str, Entry], read: Callable[[str], bytes]) -> list[FileDiff]:
    """Return the files that differ; `read` gives the bytes of a hash."""
    found = []
    for path, before, after in manifest.differences(old, new):
        one, other = (b"" if entry is None else read(entry.sha256) for entry in (before, after))
        change = "added" if before is None else "removed" if after is None else "changed"
        if before and after and before.sha256 == after.sha256:
            change = "mode"
        found.append(FileDiff(path, change, b"\0" in one or b"\0" in other, unified(path, one, other)))
    return found


def unified(path: str, old: bytes, new: bytes) -> str:
    """Return a unified diff of two texts, empty where one is binary."""
    try:
        one, other = (data.decode().splitlines(keepends=True) for data in (old, new))
    except UnicodeDecodeError:
        return ""
    if b"\0" in old or b"\0" in new:
        return ""
    lines = difflib.unified_diff(one, other, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
