"""What a run is about: two sides or one, tasks pinned by hash, a backend, and the order of its attempts."""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import IntegrityError, UsageError, did_you_mean
from agent_studio.storage import chained
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.evals.tasks.task import Task
    from agent_studio.storage.folder import Folder

SCHEMA = "agent-studio/eval-run/1"
FILE, SEALS = "run.json", "seals.jsonl"
CANDIDATE, AGAINST = "candidate", "against"
_ID = re.compile(r"[0-9]{8}t[0-9]{9}-[0-9a-f]{6}")
NONE = "none"
"""The name of a side without any definitions."""


class Pinned(NamedTuple):
    """A task as a run has it: no side can have another."""

    id: str
    sha256: str
    start: str
    """Hash of its starting files."""
    repeats: int
    tags: tuple[str, ...]
    judged: bool = False
    suite: str = ""
    """Hash of what it is to the gate: its content, and the start that it names."""


class Header(NamedTuple):
    """A run."""

    id: str
    created: str
    candidate: str
    """Hash of the definitions."""
    against: str | None
    """The other side's, `none` for no definitions; None where there is one side only."""
    tasks: tuple[Pinned, ...]
    backend: str
    model: str | None
    isolation: str
    limit_usd: str
    seed: int
    vacuous: bool = False
    """Whether it went on with tasks that could not fail."""

    @property
    def sides(self) -> dict[str, str]:
        """Hash of definitions by side."""
        both = {CANDIDATE: self.candidate}
        return both if self.against is None else {**both, AGAINST: self.against}

    @property
    def pin(self) -> str:
        """One hash over all tasks and what they begin with."""
        lines = sorted(f"{one.id} {one.sha256} {one.start}\n" for one in self.tasks)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def sha256(self) -> str:
        """One hash over all that it says."""
        return hashlib.sha256(canonical(self.data()).encode()).hexdigest()

    def data(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"schema": SCHEMA, **self._asdict(), "tasks": [one._asdict() for one in self.tasks], "pin": self.pin}


def write(folder: Folder, header: Header) -> None:
    """Keep a run's header, and seal it by a line of a chained journal beside it."""
    text = canonical(header.data()).encode() + b"\n"
    chained.append(folder, SEALS, {"sha256": hashlib.sha256(text).hexdigest()})
    folder.replace(FILE, text)


def read(folder: Folder) -> Header:
    """Return a run's header; raise `UsageError` where there is none, `IntegrityError` where it was changed."""
    try:
        text = folder.read(FILE)
        value = json.loads(text)
        refuse_newer(value, SCHEMA, folder.path / FILE)
        tasks = tuple(Pinned(**{**one, "tags": tuple(one["tags"])}) for one in value["tasks"])
        found = Header(
            **{name: value[name] for name in Header._fields if name in value and name != "tasks"}, tasks=tasks
        )
    except FileNotFoundError:
        raise UsageError(f"there is no run {folder.path.name}", hint="agent-studio eval list") from None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(f"{folder.path / FILE} is damaged", hint="remove the run's folder") from None
    if found.pin != value["pin"]:
        raise IntegrityError(f"{folder.path / FILE}: its tasks are not those that it was pinned to")
    seals = {one["sha256"] for one in chained.read(folder, SEALS).records}
    if hashlib.sha256(text).hexdigest() not in seals:
        said = "is not what was sealed when the run began" if seals else "was not sealed: an earlier version began it"
        raise IntegrityError(
            f"{folder.path / FILE} {said}",
            hint="begin anew: agent-studio eval compare",
        )
    return found


def find(folder: Folder, name: str | None) -> str:
    """Return the id of the run that is meant, the newest without a name; raise `UsageError` for none or several."""
    known = ids(folder)
    fit = [one for one in known if one.startswith(name)] if name else known[-1:]
    if len(fit) != 1:
        raise UsageError(
            f"{name!r} names {'several runs' if fit else 'no run'}" if name else "no run was made yet",
            hint=did_you_mean(name or "", known) if known else "agent-studio eval run, or eval compare",
        )
    return fit[0]


def is_run(name: str) -> bool:
    """Tell whether a name is a run's."""
    return _ID.fullmatch(name) is not None


def ids(folder: Folder) -> list[str]:
    """Return the ids of all runs, oldest first."""
    names = folder.names() if folder.has_folder() else []
    return [name for name in names if is_run(name) and folder.has_file(f"{name}/{FILE}")]


class Slot(NamedTuple):
    """One attempt that a run consists of."""

    task: str
    number: int
    side: str

    @property
    def name(self) -> str:
        """As the journal names it."""
        return f"{self.task}.{self.number}.{self.side}"


def units(header: Header) -> list[tuple[Slot, ...]]:
    """Return the attempts in their order: round by round, tasks shuffled, both sides of a pair one after the other.

    Which side begins alternates, so that what changes with time falls on both alike.
    """
    shuffled = random.Random(header.seed)  # noqa: S311 - an order, no secret
    found: list[tuple[Slot, ...]] = []
    for number in range(1, max((one.repeats for one in header.tasks), default=0) + 1):
        tasks = [one.id for one in header.tasks if one.repeats >= number]
        shuffled.shuffle(tasks)
        for place, task in enumerate(tasks):
            sides = list(header.sides)
            found.append(tuple(Slot(task, number, side) for side in (sides if (place + number) % 2 else sides[::-1])))
    return found


def refuse_changed(header: Header, now: Sequence[tuple[Task, str]]) -> None:
    """Raise `UsageError` naming the tasks that are not what a run was begun with: its sides would not be comparable."""
    pins = {task.id: (task.sha256, begins) for task, begins in now}
    changed = [one.id for one in header.tasks if pins.get(one.id) != (one.sha256, one.start)]
    if changed:
        raise UsageError(
            f"tasks changed since run {header.id} began: {', '.join(changed)}",
            hint="put them back, or begin anew: agent-studio eval compare",
        )


def told(tasks: Sequence[Pinned]) -> str:
    """Return tasks and attempts in words."""
    count = sum(one.repeats for one in tasks)
    return f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}, {count} attempt{'' if count == 1 else 's'} a side"


def canonical(value: Any) -> str:
    """Return a value as sorted compact JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
