"""Reading request bodies: never more than agreed, never longer than agreed, however they are compressed."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_studio.capture.otlp.records import Malformed, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

COMPRESSED_BYTES = 16 << 20
PLAIN_BYTES = 64 << 20
PAUSE_SECONDS = 5.0
"""Between two pieces of a body."""
READ_SECONDS = 30.0
"""For all of a body: a slow line may take its time, a trickle may not."""
_DRAINED_BYTES = 64 << 20
_STEP_BYTES = 1 << 20
_MEMBERS = 16


class TooSlow(Exception):  # noqa: N818 - what a body is
    """A body that came too slowly."""


@dataclass(frozen=True)
class Body:
    """What is kept of a body, and how long it was."""

    data: bytes
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether all of it was kept."""
        return len(self.data) == self.size_bytes


async def read(
    request: Request, limit_bytes: int, *, pause_s: float = PAUSE_SECONDS, total_s: float = READ_SECONDS
) -> Body:
    """Read a body and keep what fits; what is beyond is read and dropped, so that the answer can be read.

    Raises `TooSlow` when nothing came for too long, or the end did not.
    """
    kept = bytearray()
    size = 0
    clock = asyncio.get_running_loop().time
    until = clock() + total_s
    try:
        async with asyncio.timeout(pause_s) as limit:
            async for chunk in request.stream():
                limit.reschedule(min(until, clock() + pause_s))
                size += len(chunk)
                if size <= limit_bytes:
                    kept += chunk
                elif size > limit_bytes + _DRAINED_BYTES:
                    break
    except TimeoutError:
        raise TooSlow("the body did not end in time") from None
    return Body(bytes(kept), size)


def inflate(data: bytes, limit_bytes: int = PLAIN_BYTES) -> bytearray:
    """Decompress gzip; raise `TooLarge` as soon as it is more than agreed, `Malformed` when it is no gzip."""
    plain = bytearray()
    for _ in range(_MEMBERS):
        data = _inflate_member(data, plain, limit_bytes)
        if not data:
            return plain
    raise Malformed("gzip of too many members")


def _inflate_member(data: bytes, plain: bytearray, limit_bytes: int) -> bytes:
    """Append what the first member holds; return what follows it."""
    member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        while not member.eof:
            part = member.decompress(data, _STEP_BYTES)
            data = member.unconsumed_tail
            if len(plain) + len(part) > limit_bytes:
                raise TooLarge(f"more than {limit_bytes} bytes when decompressed")
            plain += part
            if not part and not data and not member.eof:
                raise Malformed("the gzip body ends early")
    except zlib.error as error:
        raise Malformed(f"the body is not gzip: {error}") from None
    return member.unused_data
