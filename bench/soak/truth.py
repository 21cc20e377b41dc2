"""The trial's own ledger: what each generator meant to do and what was acknowledged, forced to the disk line by line.

It lies outside the project and is written by nothing of the product.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

State = Literal["meant", "done", "refused"]
_FULL = "full"


@dataclass(frozen=True)
class Fact:
    """One thing that a generator did."""

    kind: str
    id: str
    state: State
    """`meant`: killed in the middle of it, or the disk was full: it may be there, once, or not."""
    more: dict[str, Any]


class Truth:
    """One generator's file; many processes may have one each, and read all."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, kind: str, identity: str, state: State, **more: Any) -> None:
        """Write down one fact and wait for the disk."""
        line = json.dumps({"kind": kind, "id": identity, "state": state, **more}) + "\n"
        os.write(self._file, line.encode())
        os.fsync(self._file)

    @property
    def disturbance(self) -> int:
        """How often the disk was filled or freed; odd while it is full."""
        try:
            return len((self.folder / _FULL).read_bytes())
        except FileNotFoundError:
            return 0

    def disturb(self) -> None:
        """Say that the disk is about to be filled, or has been freed."""
        with (self.folder / _FULL).open("ab") as file:
            file.write(b".")
            file.flush()
            os.fsync(file.fileno())


def read(folder: Path) -> dict[str, dict[str, Fact]]:
    """Return every fact by kind and id, the last state of each."""
    found: dict[str, dict[str, Fact]] = {}
    for entry in _entries(folder):
        kind, identity, state = entry.pop("kind"), entry.pop("id"), entry.pop("state")
        before = found.setdefault(kind, {}).get(identity)
        more = {**(before.more if before else {}), **entry}
        found[kind][identity] = Fact(kind, identity, state, more)
    return found


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    for place in sorted(folder.glob("*.jsonl")):
        for line in place.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # the generator was killed before the line was whole: it had not begun
