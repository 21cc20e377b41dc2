"""Looks through files for secrets, in pieces, so that the size of a file costs time and no memory.

A finding names its place and its kind, never the value. Links are not followed; what is no file is named as skipped.
"""

from __future__ import annotations

import codecs
import gzip
import os
import stat
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from agent_studio.isolation.secrets import rules
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.isolation.secrets.baseline import Accepted, Baseline

PIECE_CHARACTERS = 4 << 20
OVERLAP_CHARACTERS = 64 << 10
"""How far a secret may reach from one piece into the next: longer than any."""
READ_MAX_BYTES = 1 << 30
"""Of one file, unpacked; what lies behind it is not looked at, and said to be."""
_NEAR_CHARACTERS = 8_192
_HEAD_BYTES = 8_192
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Source(NamedTuple):
    """One file to look through."""

    origin: str
    """`seeds`, `candidate`, `records` or `paths`."""
    shown: str
    """How it is named: its path from the project, or its name in the manifest."""
    place: str
    """Where its bytes are."""


class Hit(NamedTuple):
    """One finding; the value is never part of it."""

    origin: str
    path: str
    line: int
    """Counted from 1; 0 for the file's own name."""
    kind: str
    severity: str
    """`block` or `warn`."""
    fingerprint: str | None
    accepted: Accepted | None
    """What the baseline says of it, expired or not."""

    @property
    def counts(self) -> bool:
        """Whether nobody answers for it."""
        return self.accepted is None or self.accepted.is_expired

    @property
    def blocks(self) -> bool:
        """Whether it stops what asked."""
        return self.counts and self.severity == rules.BLOCK


class Skipped(NamedTuple):
    """A file that was not looked at, or not wholly."""

    path: str
    reason: str
    matters: bool
    """Whether something may lie there that nobody has looked at; not so for a link or a socket."""


class Report(NamedTuple):
    """What a scan found."""

    hits: tuple[Hit, ...]
    files: int
    size_bytes: int
    skipped: tuple[Skipped, ...]


def scan(sources: Iterable[Source], baseline: Baseline) -> Report:
    """Look through files; one that several sources name is looked at for the first of them."""
    hits: list[Hit] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    files = size_bytes = 0
    for source in sources:
        if source.place in seen:
            continue
        seen.add(source.place)
        hits += in_text(source, source.shown, baseline, is_name=True)
        try:
            with _opened(source.place) as file:
                found, size, reason = _in_file(source, file, baseline)
        except _NoFileError as error:
            skipped.append(Skipped(redact(source.shown), str(error), matters=False))
            continue
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            skipped.append(Skipped(redact(source.shown), reason, matters=True))
            continue
        files += 1
        hits += found
        size_bytes += size
        if reason:
            skipped.append(Skipped(redact(source.shown), reason, matters=True))
    return Report(tuple(dict.fromkeys(hits)), files, size_bytes, tuple(skipped))


def in_text(source: Source, text: str, baseline: Baseline, *, is_name: bool = False) -> list[Hit]:
    """Return the findings in a text that is at hand."""
    return [
        _hit(source, 0 if is_name else text.count("\n", 0, span.start) + 1, span.kind, text[span.start : span.end],
             baseline)
        for span in rules.find(text)
    ]  # fmt: skip


def below(origin: str, folder: str, shown: str) -> Iterator[Source]:
    """Yield what lies in a folder or is a file; links are yielded as such, to be skipped by name."""
    if os.path.islink(folder) or not os.path.isdir(folder):  # noqa: PTH112, PTH114 - there may be many
        yield Source(origin, shown, folder)
        return
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        yield Source(origin, shown, folder)
        return
    for entry in entries:
        if entry.name != ".git":
            yield from below(origin, entry.path, f"{shown}/{entry.name}" if shown else entry.name)


class _NoFileError(Exception):
    """What lies there holds no bytes of its own."""


@contextmanager
def _opened(place: str) -> Iterator[IO[bytes]]:
    """Open what is a file; whatever else it is, it neither blocks nor leads elsewhere."""
    if stat.S_ISLNK(os.lstat(place).st_mode):
        raise _NoFileError("a link: what it leads to is looked at where it lies")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(place, flags), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _NoFileError("not a file")
        if not place.endswith(".gz"):
            yield file
            return
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            yield cast("IO[bytes]", unpacked)


def _in_file(source: Source, file: IO[bytes], baseline: Baseline) -> tuple[list[Hit], int, str]:
    """Return findings, bytes read, and why not all of it was read."""
    hits: list[Hit] = []
    held, line, size = "", 1, 0
    decoder: codecs.IncrementalDecoder | None = None
    is_last = False
    while not is_last:
        data = file.read(min(PIECE_CHARACTERS, READ_MAX_BYTES - size))
        decoder = decoder or _decoder(data[:_HEAD_BYTES])
        size += len(data)
        is_last = not data
        held += decoder.decode(data, is_last)
        limit = len(held) if is_last else _between(held, max(0, len(held) - OVERLAP_CHARACTERS))
        counted = 0
        for span in rules.find(held):
            if span.start < limit:
                line += held.count("\n", counted, span.start)
                counted = span.start
                hits.append(_hit(source, line, span.kind, held[span.start : span.end], baseline))
                limit = max(limit, span.end)
        line += held.count("\n", counted, limit)
        held = held[limit:]
    return hits, size, "" if size < READ_MAX_BYTES else f"only its first {READ_MAX_BYTES >> 30} GiB were looked at"


def _between(text: str, limit: int) -> int:
    """Return a place near the limit that is in no word, and in no line if they are short: what tells one is with it."""
    for mark in ("\n", " ", '"'):
        at = text.rfind(mark, max(0, limit - _NEAR_CHARACTERS), limit)
        if at >= 0:
            return at + 1
    return limit


def _decoder(head: bytes) -> codecs.IncrementalDecoder:
    """Return what reads a file: as text where it is some, else byte by byte, which keeps what is ASCII in it."""
    if head.startswith(_UTF16):
        return codecs.getincrementaldecoder("utf-16")("replace")
    if b"\0" in head:
        return codecs.getincrementaldecoder("latin-1")()
    return codecs.getincrementaldecoder("utf-8")("replace")


def _hit(source: Source, line: int, kind: str, value: str, baseline: Baseline) -> Hit:
    fingerprint = baseline.fingerprint(kind, source.shown, value)
    accepted = baseline.entries.get(fingerprint) if fingerprint else None
    return Hit(source.origin, redact(source.shown), line, kind, rules.severity(kind), fingerprint, accepted)
