"""What the decision client and the daemon say to each other over the Unix socket; decide.c is its other end.

Request: `ASD`, a version byte, the payload's length (4 bytes, big-endian), the payload. Answer: the exit code (1 byte),
the lengths of stdout and stderr (4 bytes each), stdout, stderr. Anything else ends the connection, and the client goes
the cold way. A cold process answers in the same form.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_studio.guards.decide import Decision

MAGIC = b"ASD\x01"
PAYLOAD_MAX_BYTES = 16 << 20
_REQUEST = struct.Struct(">4sI")
_ANSWER = struct.Struct(">BII")
REQUEST_BYTES = _REQUEST.size


class ProtocolError(Exception):
    """What came is no request of this version."""


def payload_length(head: bytes) -> int:
    """Return the length that a request's first bytes announce; raise `ProtocolError`."""
    magic, length = _REQUEST.unpack(head)
    if magic != MAGIC:
        raise ProtocolError("another protocol or version")
    if length > PAYLOAD_MAX_BYTES:
        raise ProtocolError(f"a payload of {length} bytes")
    return int(length)


def answer(decision: Decision) -> bytes:
    """Return a decision as it is sent."""
    head = _ANSWER.pack(decision.exit_code, len(decision.stdout), len(decision.stderr))
    return head + decision.stdout + decision.stderr
