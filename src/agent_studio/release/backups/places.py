"""Where an environment's backups lie: `.agent-studio/<environment>/backups/`.

`objects/` holds pieces of files, at most a MiB each, compressed, once each, named by the SHA-256 of what they are
without compression. `<id>.json` says which pieces a backup consists of, and `backups.jsonl`, a chained journal, names
every such manifest with its hash, what was restored and what was removed.
"""

from __future__ import annotations

import json
import zlib
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError
from agent_studio.storage import chained
from agent_studio.storage.contents import FOLDER as OBJECTS
from agent_studio.storage.contents import ContentStore
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

FOLDER = "backups"
CHAIN = "backups.jsonl"
JOURNAL = "restore.json"
"""There while a restore goes on, or was interrupted."""
PIECE_BYTES = 1 << 20
SPARE_BYTES = 16 << 20
"""Left free on the disk, by a restore and a rollback, for whoever else writes."""
MADE, RESTORED, PRUNED = "made", "restored", "pruned"
"""Steps of the journal."""
_LOCK = "lock"
_LEVEL = 3
"""Of 1 to 9; on records of hooks 1 is as fast and a little larger, 6 takes twice the time for 8 % less."""
_SUM_BYTES = 4


class RestoreInterruptedError(AgentStudioError):
    """A restore was begun and not brought to its end."""

    code = "recovery-needed"
    exit_code = ExitCode.RECOVERY


def folder_of(root: EnvironmentRoot) -> Folder:
    """Return the door to an environment's backups."""
    return root.state.at(FOLDER)


@contextmanager
def alone(
    root: EnvironmentRoot, doing: str, *, recovering: bool = False, others: Iterable[EnvironmentRoot] = ()
) -> Iterator[Folder]:
    """Be the only one who works with an environment's backups; raise `BusyError` when someone else does.

    `others` are environments with whose backups nobody may work meanwhile either. Raises `RestoreInterruptedError`
    while a restore is not brought to its end, unless that is what is to be done.
    """
    with ExitStack() as stack:
        for one in (root, *others):
            folder_of(one).make()
            stack.enter_context(exclusive(folder_of(one), _LOCK, doing=doing))
            if not recovering:
                refuse_interrupted(one)
        yield folder_of(root)


def refuse_interrupted(root: EnvironmentRoot) -> None:
    """Raise `RestoreInterruptedError` while a restore of an environment's data is not brought to its end.

    It may be the restore of another environment, which keeps its data in the same place.
    """
    for environment in type(root.environment):
        folder = root.project.state(environment).at(FOLDER)
        if folder.status(JOURNAL) is not None and (environment is root.environment or _touches(folder, root)):
            raise RestoreInterruptedError(
                f"a restore of {environment} was interrupted: its data may be half of one backup, half of another",
                hint="agent-studio recover",
            )


def _touches(folder: Folder, root: EnvironmentRoot) -> bool:
    """Tell whether an interrupted restore is of an environment's data too; one that does not say so may be."""
    try:
        return str(root.environment) in json.loads(folder.read(JOURNAL))["shared"]
    except FileNotFoundError:  # it was ended meanwhile
        return False
    except (ValueError, KeyError, TypeError):
        return True


def steps(root: EnvironmentRoot) -> list[dict[str, Any]]:
    """Return the journal's lines, oldest first; raise `IntegrityError` for one that does not follow."""
    with _way_on(root):
        return chained.read(folder_of(root), CHAIN).records


def note(root: EnvironmentRoot, step: str, own: str, record: Mapping[str, Any]) -> None:
    """Add a line to the journal durably; one with the same step and id is not added again."""
    with _way_on(root):
        chained.append(
            folder_of(root), CHAIN, {"step": step, "id": own, "time": clock.timestamp(clock.now()), **record},
            unless=lambda held: any((one["step"], one["id"]) == (step, own) for one in held),
        )  # fmt: skip


def repairing(root: EnvironmentRoot) -> str:
    """Return the command that mends a damaged journal."""
    return f"agent-studio backup verify --repair --env {root.environment}"


@contextmanager
def _way_on(root: EnvironmentRoot) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise IntegrityError(error.message, hint=repairing(root)) from None


_DISK = "the disk may be failing: look at the system's log"
_OTHER = "use another backup: agent-studio backup list"


class Pieces(ContentStore):
    """The pieces of one environment's backups, compressed."""

    what = "piece"
    if_missing = if_damaged = _OTHER

    def __init__(self, root: EnvironmentRoot) -> None:
        super().__init__(folder_of(root))

    def _write(self, sha256: str, data: bytes) -> None:
        super()._write(sha256, data)
        if not self.holds(sha256, data):  # a backup is what is left when all else is gone
            place = self._folder.path / self.place(sha256)
            raise IntegrityError(f"{place} was written and reads otherwise", hint=_DISK)

    def names(self) -> Iterator[str]:
        """Yield the name of every piece; what killed writers left beside them goes."""
        with suppress(FileNotFoundError):
            for first in self._folder.names(OBJECTS):
                self._folder.sweep(f"{OBJECTS}/{first}")
        yield from super().names()

    @staticmethod
    def pack(data: bytes) -> bytes:
        """Return a zlib stream, then a checksum of all its bytes, for a stream has bits to spare."""
        stream = zlib.compress(data, _LEVEL)
        return stream + _sum(stream)

    @staticmethod
    def unpack(written: bytes) -> bytes:
        """Return what a piece is without compression; never more than a piece may be, whatever was put in its place."""
        stream, sum_of_all = written[:-_SUM_BYTES], written[-_SUM_BYTES:]
        if _sum(stream) != sum_of_all:
            raise ValueError("another checksum")
        machine = zlib.decompressobj()
        try:
            found = machine.decompress(stream, PIECE_BYTES + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if not machine.eof or machine.unused_data or len(found) > PIECE_BYTES:
            raise ValueError("cut short, or followed by something else")
        return found


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_SUM_BYTES)
