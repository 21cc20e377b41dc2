"""Journals in which every record is bound to all before it by a hash.

A line is the record's compact JSON with three fields appended:
`,"_seq":N,"_prevHash":"...","_hash":"..."}` where `_hash = sha256(_prevHash + sha256(body))`, both operands as
lower-case hex joined as ASCII, and `body` is the line up to the last `,"_seq":` plus `}`. The body is recovered
by cutting, never by serialising again. The first `_prevHash` is 64 zeros and `_seq` counts from 1.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GENESIS = "0" * 64
_OWN = ("_seq", "_prevHash", "_hash")
_MARK = b',"_seq":'
_TAIL = re.compile(rb'([1-9][0-9]{0,17}),"_prevHash":"([0-9a-f]{64})","_hash":"([0-9a-f]{64})"\}')


class Head(NamedTuple):
    """The end of a chain: what the next record continues from."""

    seq: int = 0
    """Number of the last record, 0 when there is none."""
    hash: str = GENESIS
    """Hash of the last record."""


class Body(NamedTuple):
    """A record ready to be put into a chain; making it is most of the work, and needs no head."""

    data: bytes
    digest: str


class Link(NamedTuple):
    """What a line says about its place in the chain."""

    seq: int
    previous: str
    hash: str
    sound: bool
    """Whether the hash is that of this body and the previous hash."""


def body(record: Mapping[str, Any]) -> Body:
    """Return a record as it will be written and hashed; half a surrogate pair becomes `?`, no number becomes null.

    Raises `ValueError` for an empty record and for one that has a field of the chain already.
    """
    if not record or any(name in record for name in _OWN):
        raise ValueError(f"a chained record has fields, and none of {', '.join(_OWN)}")
    try:
        data = msgspec.json.encode(record)
    except UnicodeEncodeError:
        data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Body(data, hashlib.sha256(data).hexdigest())


def link(head: Head, sealed: Body) -> tuple[bytes, Head]:
    """Return the line of a body behind `head`, and the head after it."""
    own = _hash(head.hash, sealed.digest)
    tail = f',"_seq":{head.seq + 1},"_prevHash":"{head.hash}","_hash":"{own}"}}\n'
    return sealed.data[:-1] + tail.encode(), Head(head.seq + 1, own)


def seal(head: Head, record: Mapping[str, Any]) -> tuple[bytes, Head]:
    """Return the record's chained line and the head after it; raises `ValueError` as `body` does."""
    return link(head, body(record))


def after(head: Head, line: bytes) -> Head | None:
    """Return the head after a line (without its line break), or None when it does not continue the chain."""
    start, mark, tail = line.rpartition(_MARK)
    own = _hash(head.hash, hashlib.sha256(start + b"}").hexdigest())
    expected = f'{head.seq + 1},"_prevHash":"{head.hash}","_hash":"{own}"}}'
    return Head(head.seq + 1, own) if mark and tail == expected.encode() else None


def read_link(line: bytes) -> Link | None:
    """Return what a line (without its line break) says about its place, or None when it is none of a chain."""
    start, mark, tail = line.rpartition(_MARK)
    found = _TAIL.fullmatch(tail) if mark else None
    if found is None:
        return None
    previous, own = found[2].decode(), found[3].decode()
    return Link(int(found[1]), previous, own, _hash(previous, hashlib.sha256(start + b"}").hexdigest()) == own)


def head_at(line: bytes) -> Head | None:
    """Return the head that a last line says it is, unchecked, or None when it is none of a chain."""
    _, mark, tail = line.rpartition(_MARK)
    found = _TAIL.fullmatch(tail) if mark else None
    return Head(int(found[1]), found[3].decode()) if found else None


def first_bad_line(lines: Iterable[bytes]) -> int | None:
    """Return the number (from 1) of the first line that does not continue the chain, or None.

    Lines cut off at the end are not found here: a checkpoint outside the file names the last one.
    """
    head = Head()
    for number, line in enumerate(lines, start=1):
        follows = after(head, line.removesuffix(b"\n"))
        if follows is None:
            return number
        head = follows
    return None


def _hash(previous: str, digest: str) -> str:
    return hashlib.sha256((previous + digest).encode()).hexdigest()
