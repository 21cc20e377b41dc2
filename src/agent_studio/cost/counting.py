"""How the tokens of one response are counted from lines that repeat, grow and split them."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

MOST = 1_000_000_000
"""More tokens of one kind than any response has."""
_PLAUSIBLE_BITS = 29
SIDE_CHAIN = "sidechain"
"""The agent of what the oldest clients write into the main file for their agents, without saying which."""
SYNTHETIC = "<synthetic>"
"""The model of what the client itself says in a model's place; nobody bills it."""


class Tokens(NamedTuple):
    """What one response used; what is billed at a price of its own is a field of its own."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write5m: int = 0
    cache_write1h: int = 0
    web_searches: int = 0

    @property
    def budgeted(self) -> int:
        """Input, output and cache writes: what a budget of tokens counts."""
        return self.input + self.output + self.cache_write5m + self.cache_write1h

    def grown(self, other: Tokens) -> Tokens:
        """Return the larger of each figure.

        Cache writes count as a whole first: an early line may not say yet which of them live for an hour.
        """
        writes = max(self.cache_write5m + self.cache_write1h, other.cache_write5m + other.cache_write1h)
        hour = max(self.cache_write1h, other.cache_write1h)
        return Tokens(
            max(self.input, other.input), max(self.output, other.output), max(self.cache_read, other.cache_read),
            writes - hour, hour, max(self.web_searches, other.web_searches),
        )  # fmt: skip


def tokens(*counts: object) -> Tokens | None:
    """Return the tokens of a line, a missing figure as 0, or None when one is no count.

    The counts are input, output, cache reads, cache writes of all kinds, those for 5 minutes, those for an hour, and
    web searches. Writes that are not split live for 5 minutes.
    """
    found = [0 if count is None else count for count in counts]
    return None if any(type(count) is not int for count in found) else whole(*found)  # type: ignore[arg-type] # seen


def whole(asked: int, said: int, read: int, writes: int, five: int, hour: int, searches: int) -> Tokens | None:
    """Do what `tokens` does for counts that are whole numbers."""
    # The bits of all together: a sign or a bit above those of any plausible count sends them to be looked at singly.
    if (asked | said | read | writes | five | hour | searches) >> _PLAUSIBLE_BITS:
        found = (asked, said, read, writes, five, hour, searches)
        if min(found) < 0 or max(found) > MOST:
            return None
    unsplit = writes - five - hour
    return Tokens(asked, said, read, five + unsplit if unsplit > 0 else five, hour, searches)


def identity(message_id: str, request_id: str) -> bytes:
    """Return what identifies a response wherever it is told of: 16 bytes."""
    return hashlib.sha256(f"usage\x1f{message_id}\x1f{request_id}".encode()).digest()[:16]


def usage_id(message_id: str, request_id: str) -> str:
    """Return `identity` as records have it: 32 hex digits."""
    return identity(message_id, request_id).hex()
