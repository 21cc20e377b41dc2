"""Which runs of evals were begun, of what, and how far each has come: nothing that was tried can be left unsaid.

`evals/runs.jsonl` of an environment's state is a chained journal with a line for every run of two sides, written before
its first attempt. A run is a folder beside it with a chained journal of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import IntegrityError
from agent_studio.storage import chain_file, chained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.storage.chain import Head
    from agent_studio.storage.folder import Folder

FOLDER, REGISTER, JOURNAL = "evals", "runs.jsonl", "journal.jsonl"
ATTEMPT, JUDGED = "attempt", "judged"
"""Kinds of lines that decide something."""
MEND = "restore it from a copy; without one, another candidate begins anew"
"""What mends what is lost; of a journal, other tasks begin anew as well."""


class Run(NamedTuple):
    """A run as it was begun."""

    id: str
    candidate: str
    against: str
    words: tuple[str, ...]
    """Of the backend."""
    tasks: Mapping[str, str]
    """Hash of each task, by id."""
    vacuous: bool = False
    """Whether tasks could not fail: it decides nothing then."""


class Reached(NamedTuple):
    """How far a run's journal has come."""

    head: Head
    deciding: int
    """Lines that decide something."""
    hashes: Sequence[str]
    """Of its lines."""


def begun(folder: Folder, run: Run) -> None:
    """Note that a run begins, unless it is noted."""
    value = {"run": run.id, **run._asdict()}
    del value["id"]
    chained.append(folder, REGISTER, value, unless=lambda held: any(one["run"] == run.id for one in held))


def all_of(folder: Folder) -> list[Run]:
    """Return every run that was begun, oldest first; raise `IntegrityError` for a register that is damaged."""
    if not folder.has_folder():
        return []
    return [
        Run(
            str(one["run"]),
            str(one["candidate"]),
            str(one["against"]),
            tuple(one["words"]),
            dict(one["tasks"]),
            bool(one["vacuous"]),
        )
        for one in chained.read(folder, REGISTER).records
    ]


def alike(folder: Folder, wanted: Run) -> list[Run]:
    """Return the runs that count, of the same sides and backend, with a task of those that are wanted."""
    return [
        one
        for one in all_of(folder)
        if (one.candidate, one.against, one.words) == (wanted.candidate, wanted.against, wanted.words)
        and one.tasks.items() & wanted.tasks.items()
        and not one.vacuous
    ]


def reached(folder: Folder, run: str) -> Reached:
    """Return how far a run has come; raise `IntegrityError` where its journal was changed or cut, or is gone."""
    if not folder.has_folder(run) or not folder.has_file(f"{run}/{JOURNAL}"):
        raise IntegrityError(f"{folder.path / run / JOURNAL} is gone, and its attempts count", hint=MEND)
    held = chain_file.read(folder.at(run), JOURNAL)
    deciding = sum(one.get("kind") in {ATTEMPT, JUDGED} for one in held.records)
    return Reached(held.head, deciding, [str(one["_hash"]) for one in held.records])


def refuse_other(folder: Folder, run: str, noted: Mapping[str, Any]) -> Reached:
    """Return the same; raise `IntegrityError` where it does not hold what evidence was made of."""
    now = reached(folder, run)
    seq = int(noted["seq"])
    if seq and (seq > now.head.seq or now.hashes[seq - 1] != noted["hash"]):
        raise IntegrityError(f"{folder.path / run / JOURNAL} is not what evidence was made of", hint=MEND)
    return now
