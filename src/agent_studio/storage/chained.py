"""Small chained journals: read whole, checked whole, appended durably.

For what is written rarely and must not be lost or changed; the ledger, which grows without end, has its own writer.
`NAME.head` beside a journal says how far it had come, so that lines cut off its end are missed.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.storage import chain
from agent_studio.storage.descriptors import locked, read_chunks, write_all
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_studio.storage.folder import Folder


HEAD = ".head"
"""What the name of the file beside a journal ends in that says how far it had come."""


class Held(NamedTuple):
    """A journal as it was read."""

    records: list[dict[str, Any]]
    """With the fields of the chain."""
    head: chain.Head


def read(folder: Folder, name: str) -> Held:
    """Return all records, none when there is no file; raise `IntegrityError` for a line that does not follow.

    A last line without its end is that of a writer who was killed: it was never acknowledged, and is passed over.
    """
    known = _known(folder, name)  # before the journal: a writer adds the line first
    try:
        descriptor = folder.open(name)
    except FileNotFoundError:
        return _reaching(folder, name, Held([], chain.Head()), known)
    try:
        return _reaching(folder, name, _checked(folder, name, _whole(folder, name, descriptor)), known)
    finally:
        os.close(descriptor)


def append(
    folder: Folder,
    name: str,
    record: Mapping[str, Any],
    *,
    unless: Callable[[list[dict[str, Any]]], bool] = lambda _: False,
) -> bool:
    """Add a record durably and return True; `unless` is asked about those before it, and may make it False.

    Raises `IntegrityError` as `read` does: nothing is built on a damaged journal.
    """
    folder.make()
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        with disk_faults(folder.path / name), locked(descriptor):
            whole = _whole(folder, name, descriptor)
            held = _reaching(folder, name, _checked(folder, name, whole), _known(folder, name))
            if unless(held.records):
                return False
            line, head = chain.seal(held.head, record)
            end = len(whole) + bool(whole)
            try:
                os.ftruncate(descriptor, end)  # of what a killed writer left after the last whole line
                os.lseek(descriptor, end, os.SEEK_SET)
                write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            folder.sync()
            with suppress(AgentStudioError):  # the line is there; that it may not be cut off is told by the next one
                folder.replace(f"{name}{HEAD}", json.dumps(head._asdict()).encode() + b"\n")
    finally:
        os.close(descriptor)
    return True


def _known(folder: Folder, name: str) -> chain.Head:
    """Return how far a journal had come when somebody last added to it."""
    try:
        value = json.loads(folder.read(f"{name}{HEAD}"))
        return chain.Head(int(value["seq"]), str(value["hash"]))
    except FileNotFoundError:
        return chain.Head()
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{folder.path / name}{HEAD} is damaged", hint=f"restore it and {name} from a copy of both"
        ) from None


def _reaching(folder: Folder, name: str, held: Held, known: chain.Head) -> Held:
    """Return what was read; raise `IntegrityError` where it ends before, or is another than, what was once there."""
    if known.seq and (known.seq > held.head.seq or held.records[known.seq - 1]["_hash"] != known.hash):
        raise IntegrityError(
            f"{folder.path / name} once had a line {known.seq} that it does not have now: its end was cut off",
            hint="restore the file from a copy of it",
        )
    return held


def _whole(folder: Folder, name: str, descriptor: int) -> bytes:
    with disk_faults(folder.path / name):
        os.lseek(descriptor, 0, os.SEEK_SET)
        return b"".join(read_chunks(descriptor)).rpartition(b"\n")[0]


def _checked(folder: Folder, name: str, whole: bytes) -> Held:
    records, head = [], chain.Head()
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        follows = chain.after(head, line)
        if follows is None:
            raise IntegrityError(
                f"{folder.path / name}:{number} does not follow from the line before it: one was changed, or is gone",
                hint="restore the file from a copy of it",
            )
        head = follows
        records.append(json.loads(line))
    return Held(records, head)


def renew(folder: Folder, name: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Put a new journal in the place of a damaged one, durably; the caller has kept that and lets nobody append.

    A process that dies on the way leaves the damaged one, or one that is damaged in another way.
    """
    lines, head = list[bytes](), chain.Head()
    for record in records:
        line, head = chain.seal(head, record)
        lines.append(line)
    folder.replace(name, b"".join(lines))
    folder.replace(f"{name}{HEAD}", json.dumps(head._asdict()).encode() + b"\n")
