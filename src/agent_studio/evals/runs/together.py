"""Runs of the same sides and backend, judged together: whoever tries again until a run looks good gains nothing.

Every pair of attempts of a task counts, whichever run made it, in the order of time. Together they are one long look,
at which the verdict stays right however often one stops and begins again (see `verdicts.betting`). Runs of other tasks,
with other sides or by another backend are other questions.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import IntegrityError
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs import log
from agent_studio.evals.runs.header import Pinned, Slot
from agent_studio.release import eval_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.evals.runs.header import Header
    from agent_studio.evals.runs.log import State
    from agent_studio.storage.folder import Folder


_DEFAULT = "the client's own"


class Together(NamedTuple):
    """What some runs have found, as if they were one."""

    header: Header
    """The newest's, with as many repeats of each task as were wanted by all."""
    attempts: dict[str, dict[str, Any]]
    runs: tuple[str, ...]
    """Oldest first."""
    own: State
    """Of the run that was asked about."""
    wanted: int
    """Attempts that this run consists of."""
    models: tuple[str, ...]
    """What attempts of all of them were made with, by name; empty where the client chose."""


class Runs:
    """The runs of an environment, each read once."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._read = folder, dict[str, "tuple[Header, State]"]()

    def read(self, run: str) -> tuple[Header, State]:
        """Return a run; raise `IntegrityError` where it was changed, or is gone."""
        if run not in self._read:
            place = self._folder.at(run)
            self._read[run] = headers.read(place), log.read(place)
        return self._read[run]

    def together(self, run: str, *, later: bool = False) -> Together:
        """Return a run with those alike that were begun before it, or also with later ones.

        Raises `IntegrityError` where one of them was changed, or is gone.
        """
        header, _ = self.read(run)
        return self._merged(run, header.tasks, later=later)

    def whole(self, run: str, wanted: Mapping[str, str]) -> Together:
        """Return what all runs of the same sides and backend say of some tasks, given by their hashes.

        A task that none of them has is not among the tasks; raises as `together`.
        """
        header, _ = self.read(run)
        asked = as_begun(header)._replace(tasks=wanted)
        names = sorted({run, *(one.id for one in eval_runs.alike(self._folder, asked))})
        pins = {
            task.id: task for one in names for task in self._there(one)[0].tasks if wanted.get(task.id) == task.suite
        }
        return self._merged(run, tuple(pins[name] for name in sorted(pins)), later=True)

    def _merged(self, run: str, wanted: tuple[Pinned, ...], *, later: bool) -> Together:
        header, state = self.read(run)
        asked = as_begun(header)._replace(tasks={one.id: one.suite for one in wanted})
        others = [one.id for one in eval_runs.alike(self._folder, asked)] if header.against else []
        chosen = [one for one in others if one != run and (later or one < run)]
        counting = {one: self._there(one) for one in sorted({run, *chosen})}
        tasks, attempts = list[Pinned](), dict[str, dict[str, Any]]()
        for task in wanted:
            numbered = sorted(_numbered(task, counting), key=lambda one: one[0])
            repeats = sum(of.repeats for other, _ in counting.values() for of in other.tasks if _is_same(of, task))
            tasks.append(task._replace(repeats=max(repeats, len(numbered))))
            for number, (_, sides) in enumerate(numbered, start=1):
                for side, record in sides.items():
                    attempts[Slot(task.id, number, side).name] = record
        merged = header._replace(tasks=tuple(tasks))
        models = sorted({of.model for of, _ in counting.values() if of.model})
        if models and any(of.model is None for of, _ in counting.values()):
            models.append(_DEFAULT)
        wanted_attempts = sum(map(len, headers.units(header)))
        return Together(merged, attempts, tuple(counting), state, wanted_attempts, tuple(models))

    def _there(self, run: str) -> tuple[Header, State]:
        if run not in self._read:
            eval_runs.reached(self._folder, run)
        if not self._folder.has_file(f"{run}/{headers.FILE}"):
            raise IntegrityError(f"{self._folder.path / run / headers.FILE} is gone", hint="restore it from a copy")
        return self.read(run)


def as_begun(header: Header) -> eval_runs.Run:
    """Return a run with two sides as the register has it."""
    tasks = {one.id: one.suite for one in header.tasks}
    words = tuple(shlex.split(header.backend))
    return eval_runs.Run(header.id, header.candidate, str(header.against), words, tasks, header.vacuous)


def _is_same(one: Pinned, other: Pinned) -> bool:
    return (one.id, one.suite) == (other.id, other.suite)


def _numbered(
    task: Pinned, runs: Mapping[str, tuple[Header, State]]
) -> Iterator[tuple[tuple[str, str, int], dict[str, dict[str, Any]]]]:
    """Yield the attempts of a task by side, with when they were made, run and number: what they are in order of."""
    for run, (header, state) in runs.items():
        for other in header.tasks:
            if not _is_same(other, task):
                continue
            for number in range(1, other.repeats + 1):
                slots = {side: Slot(task.id, number, side).name for side in header.sides}
                sides = {side: state.attempts[name] for side, name in slots.items() if name in state.attempts}
                if sides:
                    yield (max(str(one["startedAt"]) for one in sides.values()), run, number), sides
