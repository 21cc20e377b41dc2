"""Journals in which every record is bound to all before it by a hash.

A line is the record's compact JSON with three fields appended:
`,"_seq":N,"_prevHash":"...","_hash":"..."}` where `_hash = sha256(_prevHash + sha256(body))`, both operands as
lower-case hex joined as ASCII, and `body` is the line up to the last `,"_seq":` plus `}`. The body is recovered
by cutting, never by serialising again. The first `_prevHash` is 64 zeros and `_seq` counts from 1.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GENESIS = "0" * 64
_OWN = ("_seq", "_prevHash", "_hash")


@dataclass(frozen=True)
class Head:
    """The end of a chain: what the next record continues from."""

    seq: int = 0
    """Number of the last record, 0 when there is none."""
    hash: str = GENESIS
    """Hash of the last record."""


def seal(head: Head, record: Mapping[str, Any]) -> tuple[bytes, Head]:
    """Return the record's chained line and the head after it; half a surrogate pair becomes `?`.

    Raises `ValueError` for an empty record and for one that has a field of the chain already.
    """
    if not record or any(name in record for name in _OWN):
        raise ValueError(f"a chained record has fields, and none of {', '.join(_OWN)}")
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    body = text.encode("utf-8", "replace")
    link = _link(head.hash, body)
    tail = f',"_seq":{head.seq + 1},"_prevHash":"{head.hash}","_hash":"{link}"}}\n'
    return body[:-1] + tail.encode(), Head(head.seq + 1, link)


def first_bad_line(lines: Iterable[bytes]) -> int | None:
    """Return the number (from 1) of the first line that does not continue the chain, or None.

    Lines cut off at the end are not found here: a checkpoint outside the file names the last one.
    """
    head = Head()
    for number, line in enumerate(lines, start=1):
        body, mark, tail = line.removesuffix(b"\n").rpartition(b',"_seq":')
        expected = Head(head.seq + 1, _link(head.hash, body + b"}"))
        written = f'{expected.seq},"_prevHash":"{head.hash}","_hash":"{expected.hash}"}}'
        if not mark or tail != written.encode():
            return number
        head = expected
    return None


def _link(previous: str, body: bytes) -> str:
    return hashlib.sha256((previous + hashlib.sha256(body).hexdigest()).encode()).hexdigest()
