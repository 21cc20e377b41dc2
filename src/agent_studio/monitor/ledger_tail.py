"""Is the end of the ledger still what was seen the last time? Cheap enough to ask every minute.

The last records must form a chain, end no earlier than any checkpoint or the last look did, and agree with both. What
lies further back is for `cost verify`. What was seen is kept in `ledger-seen.json` and moves on only while all is well,
or when a reset or restore has put that ledger aside: to accept one that was changed on purpose, remove that file.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.cost import archives, checkpoints, segments
from agent_studio.environment.sharing import sharing
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.chain import Head
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

SEEN = "ledger-seen.json"
_TAIL_BYTES = 256 << 10


class _Seen(NamedTuple):
    """A record that was in the ledger."""

    seq: int
    hash: str
    time: str
    """When it was."""


class Looked(NamedTuple):
    """What a look at the end of a ledger found."""

    checked: int
    """Records that were compared."""
    fault: str = ""
    """What is wrong; empty when nothing is."""


def look(context: Context) -> Looked:
    """Compare the end of an environment's ledger with what was promised and with what was seen the last time."""
    found = _look(context)
    # Between listing its files and reading the last one a writer may have renamed it: what is wrong stays wrong.
    return _look(context) if found.fault else found


def _look(context: Context) -> Looked:
    roots = sharing(context)
    owner = next(iter(roots.values()))
    heads, fault = _tail(owner)
    newest = max(heads, default=0)
    seen = _seen(context.root)
    promised = [
        _Seen(one.seq, one.hash, one.time) for root in roots.values() for one in checkpoints.read(root).found if one.seq
    ]
    known = {*promised, *((seen,) if seen else ())}
    gone = {one for one in known if one.seq > newest or heads.get(one.seq, one.hash) != one.hash}
    aside = {one for one in gone if archives.holding(context.project, *one)}
    fault = fault or _fault(sorted(gone - aside), newest)
    if not fault and heads and (seen is None or seen in aside or seen.seq < newest):
        root = context.root.state
        root.make()
        now = _Seen(newest, heads[newest], clock.timestamp(clock.now()))
        root.replace(SEEN, json.dumps(now._asdict()).encode() + b"\n")
    return Looked(len(heads), fault)


def _fault(gone: Iterable[_Seen], newest: int) -> str:
    for one in gone:
        if one.seq > newest:
            return f"records {newest + 1:,} to {one.seq:,} of the ledger are gone"
        return f"record {one.seq:,} of the ledger is another one than it was"
    return ""


def _tail(owner: EnvironmentRoot) -> tuple[dict[int, str], str]:
    """Return the hashes of the last records by number, and what is wrong with them."""
    found = segments.segments(owner)
    if not found:
        return {}, ""
    lines = _lines(owner, found[-1].name)
    head = None
    heads: dict[int, str] = {}
    for line in lines:
        link = chain.read_link(line)
        if (
            link is None
            or not link.sound
            or (head is not None and (link.seq, link.previous) != (head.seq + 1, head.hash))
        ):
            after = f"record {head.seq:,}" if head else f"the start of its last {len(lines):,} records"
            return heads, f"the ledger is not as it was written after {after}"
        head = Head(link.seq, link.hash)
        heads[link.seq] = link.hash
    return heads, "the first records of the ledger are gone" if heads and found[0].first_seq != 1 else ""


def _lines(owner: EnvironmentRoot, name: str) -> list[bytes]:
    """Return the last whole lines of a file; what is torn at its end is left out."""
    folder = owner.folder(LlmUsage.kind)
    descriptor = folder.open(name)
    try:
        with disk_faults(folder.path / name):
            size = os.fstat(descriptor).st_size
            start = max(size - _TAIL_BYTES, 0)
            os.lseek(descriptor, start, os.SEEK_SET)
            data = os.read(descriptor, size - start)
    finally:
        os.close(descriptor)
    lines = data.split(b"\n")[:-1]
    return lines[1:] if start else lines


def _seen(root: EnvironmentRoot) -> _Seen | None:
    try:
        held = json.loads(root.state.read(SEEN))
        return _Seen(int(held["seq"]), str(held["hash"]), str(held.get("time", "")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
