"""How far the records of a journal were shipped: one small file a journal, in `.agent-studio/<environment>/fleet/`.

It is written after the engine has acknowledged. A lost one costs time only: what is sent again is there already.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent_studio.errors import StorageError

if TYPE_CHECKING:
    from agent_studio.storage.folder import Folder

FOLDER = "fleet"
LEDGER = "usage"
_VERSION = 1


class Entry(NamedTuple):
    """How far one file of a journal was shipped; offsets are in what it holds, however it is packed."""

    head: str = ""
    """Identity of the file: hash of its first line."""
    offset: int = 0
    anchor: str = ""
    """Hash of what stands before the offset."""
    last_ms: int | None = None
    """Time of the last record before the offset."""
    size: int = 0
    """How much the file held when it was seen last."""


class Cursor(msgspec.Struct):
    """How far one journal, or the ledger, was shipped."""

    origin: str = ""
    """Whose records these are; another one begins anew."""
    entries: dict[str, Entry] = {}
    """By day and number of a sealed file, `2026-01-31.1`; the live file under an empty name."""
    ledger: str = ""
    """Identity of the ledger that `seq` is of."""
    seq: int = 0
    """Line of the ledger up to which it was shipped."""
    acknowledged: str | None = None
    """When the engine last took something."""
    records: int = 0
    bytes: int = 0
    refused: int = 0
    """Rows that the engine took for wrong; they are in `refused.jsonl`."""
    lost_files: int = 0
    lost_bytes: int = 0
    """What was taken away before it was shipped."""
    replaced: int = 0
    """Files that were cut or replaced, and shipped anew."""
    version: int = _VERSION


def load(state: Folder, kind: str) -> Cursor:
    """Return a journal's cursor; an empty one when there is none that can be read."""
    try:
        found = msgspec.json.decode(state.read(_name(kind)), type=Cursor)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return Cursor()
    return found if found.version == _VERSION else Cursor()


def save(state: Folder, kind: str, cursor: Cursor) -> None:
    """Keep a cursor, all of it or none; raise `StorageError` when the disk refuses."""
    state.make(FOLDER)
    state.replace(_name(kind), msgspec.json.encode(cursor))


def copy(cursor: Cursor) -> Cursor:
    """Return what a cursor says now."""
    return msgspec.structs.replace(cursor, entries=dict(cursor.entries))


def begun_again(cursor: Cursor) -> Cursor:
    """Return a cursor at the beginning, with what was counted so far."""
    return msgspec.structs.replace(cursor, entries={}, ledger="", seq=0)


def move(source: Folder, target: Folder) -> None:
    """Take the cursors along with the journals that they are of, into the state folder of these."""
    target.make(FOLDER)
    with suppress(FileNotFoundError):
        for name in source.names(FOLDER):
            if name.startswith("cursor-"):
                source.move(f"{FOLDER}/{name}", target, f"{FOLDER}/{name}")


def forget(state: Folder) -> None:
    """Remove the cursors of journals of which nothing is left to ship."""
    with suppress(FileNotFoundError, StorageError):
        state.remove_tree(FOLDER)


def _name(kind: str) -> str:
    return f"{FOLDER}/cursor-{kind}.json"
