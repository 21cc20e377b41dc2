"""Backups of an environment's data: made whole while others write, verified, listed.

A backup is its manifest: what the files are and which pieces they consist of. What was derived from the data, evidence,
flags and history are in none: those never go back. See `release.backups.places` for where it lies.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import AgentStudioError, IntegrityError, UsageError, did_you_mean
from agent_studio.redaction import redact
from agent_studio.release.backups import contents, places
from agent_studio.release.backups.contents import Data, Item
from agent_studio.release.backups.places import Pieces, alone, folder_of
from agent_studio.release.content.candidate import candidate
from agent_studio.release.production import history
from agent_studio.storage import chain
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot, Project

SCHEMA = "agent-studio/backup/1"
USER, PROMOTION, ROLLBACK, RESTORE = "user", "promotion", "rollback", "restore"
"""What makes a backup; rollbacks and restores make them of data that somebody wants to get away from."""
SUSPECT = frozenset({ROLLBACK, RESTORE})


class Backup(NamedTuple):
    """One backup."""

    id: str
    environment: str
    time: str
    reason: str
    candidate: str | None
    """The candidate that the data is of, where one checkout made it; None elsewhere."""
    release: str | None
    """What was live."""
    data: Data
    by: str = USER
    """What made it: `user`, `promotion`, `rollback` or `restore`."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(one.size for one in self.data.files)

    @property
    def notes(self) -> list[str]:
        """What is not as it should be with the data itself."""
        lines, fault = self.data.damaged_lines, self.data.ledger_fault
        return [
            *(f"left out: {one}" for one in self.data.left_out),
            *([f"{lines} lines of records were damaged already"] if lines else []),
            *([f"the ledger was no chain already: {fault}"] if fault else []),
        ]


def create(
    context: Context, reason: str, *, home: Project | None = None, whole_ledger: bool = True, by: str = USER
) -> Backup:
    """Back an environment's data up and return what was made; it is read back before it counts.

    `home` is the project that keeps the history of releases, if it is another. Raises `BusyError` for a file that does
    not hold still, `StorageError` for a full disk, `IntegrityError` for a ledger that is no chain unless `whole_ledger`
    is False.
    """
    with alone(context.root, "a backup"):
        return make(context.root, reason, _subject(context, home or context.project), whole_ledger=whole_ledger, by=by)


def make(
    root: EnvironmentRoot, reason: str, subject: Mapping[str, str | None], *, whole_ledger: bool = True, by: str = USER
) -> Backup:
    """Back data up as `create` does; the caller holds `places.alone`."""
    folder, pieces = folder_of(root), Pieces(root)
    folder.sweep()
    places.steps(root)  # a damaged journal would not take it in the end
    with pieces.bulk():
        data = contents.read(root, pieces.put, whole_ledger=whole_ledger)
    made = Backup(
        history.new_id(), str(root.environment), clock.timestamp(clock.now()), redact(reason.strip()),
        subject.get("candidate"), subject.get("release"), data, by,
    )  # fmt: skip
    written = json.dumps({"schema": SCHEMA, **_plain(made)}, ensure_ascii=False).encode("utf-8", "surrogateescape")
    folder.replace(_name(made.id), written)
    places.note(root, places.MADE, made.id, line(made, written))
    return made


def line(made: Backup, written: bytes) -> dict[str, Any]:
    """Return what the journal says of a backup, given its manifest as it is written."""
    return {
        "time": made.time, "files": len(made.data.files), "bytes": made.size_bytes, "reason": made.reason,
        "by": made.by, "sha256": hashlib.sha256(written).hexdigest(),
    }  # fmt: skip


def _subject(context: Context, home: Project) -> dict[str, str | None]:
    """Return of what candidate and release the data is, as far as that can be told."""
    subject: dict[str, str | None] = {"candidate": None, "release": None}
    with suppress(AgentStudioError):
        current = history.read(home).current
        subject["release"] = None if current is None else current.release
    with suppress(AgentStudioError):
        if home == context.project:
            subject["candidate"] = candidate(home).sha256
    return subject


def listed(root: EnvironmentRoot) -> list[dict[str, Any]]:
    """Return the journal's lines of the backups that are there, oldest first; raise `IntegrityError` for a damaged one.

    Each has `id`, `time`, `reason`, `by`, `files`, `bytes` and the manifest's `sha256`.
    """
    lines = places.steps(root)
    pruned = {one["id"] for one in lines if one["step"] == places.PRUNED}
    return [{"by": USER, **one} for one in lines if one["step"] == places.MADE and one["id"] not in pruned]


def load(root: EnvironmentRoot, own: str) -> Backup:
    """Return a backup; raise `UsageError` for one that is not listed, `IntegrityError` for a damaged manifest."""
    lines = {str(one["id"]): one for one in listed(root)}
    if own not in lines:
        raise UsageError(f"{root.environment} has no backup {own!r}{_elsewhere(root, own)}", hint=_hint(own, lines))
    place = folder_of(root).path / _name(own)
    try:
        written = folder_of(root).read(_name(own))
    except FileNotFoundError:
        raise IntegrityError(f"{place} is gone", hint=_ANOTHER) from None
    if hashlib.sha256(written).hexdigest() != lines[own]["sha256"]:
        raise IntegrityError(f"{place} is not what it was when the backup was made", hint=_ANOTHER)
    value = json.loads(written.decode("utf-8", "surrogateescape"))
    refuse_newer(value, SCHEMA, place)
    return parsed(value)


_ANOTHER = "use another backup: agent-studio backup list"


def _hint(own: str, known: Collection[str]) -> str:
    return did_you_mean(own, known) if known else "make one: agent-studio backup create"


def _elsewhere(root: EnvironmentRoot, own: str) -> str:
    """Say that a backup is another environment's: it is never restored here."""
    for other in type(root.environment):
        if other is not root.environment and own:
            with suppress(AgentStudioError):
                if root.project.state(other).at(places.FOLDER).status(_name(own)):
                    return f": it is {other}'s"
    return ""


def _name(own: str) -> str:
    return f"{own}.json"


def _plain(made: Backup) -> dict[str, Any]:
    data = made.data._asdict() | {"files": [one._asdict() for one in made.data.files]}
    return {**made._asdict(), "data": {**data, "ledger": made.data.ledger._asdict()}}


def parsed(value: Mapping[str, Any]) -> Backup:
    """Return a backup as its manifest says it; raise `ValueError`, `KeyError`, `TypeError` for one that is none."""
    data = value["data"]
    files = [Item(**one) for one in data["files"]]
    folders = [(kind, path) for kind, path in data["folders"]]
    whole = Data(**{**data, "files": files, "folders": folders, "ledger": chain.Head(**data["ledger"])})
    return Backup(**{name: value[name] for name in Backup._fields if name in value and name != "data"}, data=whole)
