"""What JSON Lines say while they are copied: how many lines are damaged, and whether the ledger is one chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent_studio.cost import segments
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Iterable

_OBJECT = msgspec.json.Decoder(dict)


def has_lines(path: str) -> bool:
    """Tell whether a file is one that grows by whole lines."""
    return path.endswith(".jsonl") or order(path) is not None


def is_ledger(kind: str, path: str) -> bool:
    """Tell whether a file belongs to the ledger."""
    return kind == "metrics" and order(path) is not None


def order(path: str) -> int | None:
    """Return where a file named like the ledger's stands among them: by its first record's number, the newest last."""
    if path == segments.FILE:
        return 1 << 63
    start, _, end = segments.FILE.rpartition(".")
    number = path.removeprefix(f"{start}.").removesuffix(f".{end}")
    return int(number) if number.isdecimal() and path == segments.name_of(int(number)) else None


class Lines:
    """Follows the lines of files that are handed in piece by piece, the ledger's in their order."""

    def __init__(self) -> None:
        self.damaged = 0
        self.head = chain.Head()
        """Where the ledger ends."""
        self.broken = ""
        """The first place where the ledger is no chain."""

    def follow(self, path: str, pieces: Iterable[bytes], *, ledger: bool) -> None:
        """Read a file to its end."""
        rest, number = b"", 0
        for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for number, line in enumerate(whole, start=number + 1):  # noqa: B020 - counts on
                self._line(path, number, line, ledger=ledger)
        if rest:
            self._line(path, number + 1, rest, ledger=ledger)

    def _line(self, path: str, number: int, line: bytes, *, ledger: bool) -> None:
        if ledger:
            follows = chain.after(self.head, line)
            if follows is not None:
                self.head = follows
            elif not self.broken:
                self.broken = f"{path}, line {number}"
        elif line.strip() and not is_object(line):
            self.damaged += 1


def is_object(line: bytes) -> bool:
    """Tell whether a line is one whole JSON object."""
    try:
        _OBJECT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
