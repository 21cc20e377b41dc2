"""Journals whose day is over get a name for good, and go on in a new file.

1. Everything written to it is committed: nothing that a run cut short may have left has to be looked for in it. So it
   is at the start of a run when a journal is as large as remembered, and always at the end.
2. The state notes which journal becomes which sealed file, and the disk holds that note.
3. Each journal is renamed and begun anew; then one transaction forgets the note and that the journal had a size.
A run that finds the note looks whether the sealed file is there: if it is, the journal has begun anew, else nothing
has happened yet. So a kill at any point loses no record and doubles none.
"""

from __future__ import annotations

import json
import os
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.context import other_roots
from agent_studio.records import AgentRun, ErrorEvent, HookExecution, SessionEvent
from agent_studio.storage import sealed
from agent_studio.storage.sealed import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.capture.ingest.state import State
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.records import Record
    from agent_studio.storage.folder import Folder

JOURNALS: Mapping[str, type[Record]] = {
    "hooks": HookExecution, "agents": AgentRun, "errors": ErrorEvent, "sessions": SessionEvent,
}  # fmt: skip
"""What is sealed, by the kind that its closed days are kept under."""
SEAL_BYTES = 256 << 20
"""Size from which a journal is closed before its day is."""
_BEGUN, _PENDING = "begun", "sealing"
_FIRST_BYTES = 64 << 10


class Journal(NamedTuple):
    """A journal of one or more environments."""

    kind: str
    folder: Folder
    file: str
    owner: EnvironmentRoot
    """The environment that keeps what is derived from it."""

    @property
    def place(self) -> str:
        """What the state knows it by."""
        return str(self.folder.path / self.file)

    @property
    def size(self) -> int:
        """Its bytes now; 0 when it is not there."""
        status = self.folder.status(self.file)
        return 0 if status is None else status.st_size

    @property
    def archive(self) -> Folder:
        """Where its files go that need not be kept any longer."""
        return self.owner.state.at(sealed.ARCHIVE)


def journals(roots: Mapping[str, EnvironmentRoot]) -> list[Journal]:
    """Return the journals of some environments, owners first, each file once."""
    found: dict[str, Journal] = {}
    for root in roots.values():
        for kind, record in JOURNALS.items():
            one = Journal(kind, root.folder(record.kind), record.file, root)
            found.setdefault(one.place, one)
    return list(found.values())


def begin(state: State, context: Context, roots: Mapping[str, EnvironmentRoot]) -> list[str]:
    """Finish what a run that was cut short began to seal, and seal what is due; return names as `seal` does.

    To be called before a run looks at what the state says of journals.
    """
    ours, today = journals(roots), _today()
    pending, begun = dict(state.note(_PENDING) or {}), dict(state.note(_BEGUN) or {})
    for one in ours:
        name = pending.pop(one.place, None)
        if name is not None and one.folder.status(name) is not None:
            _begin_anew(state, one)
        begun[one.place] = today if not one.size else min(begun.get(one.place) or _first_day(one, today), today)
    state.put_note(_PENDING, pending)
    state.put_note(_BEGUN, begun)
    remembered = state.outputs()
    return _seal(state, context, roots, [one for one in ours if one.size == remembered.get(one.place)])


def seal(state: State, context: Context, roots: Mapping[str, EnvironmentRoot]) -> list[str]:
    """Seal the journals whose day is over, or that have grown large; return the names they have now.

    To be called when all that a run has written is committed, and nothing more will come.
    """
    return _seal(state, context, roots, journals(roots))


def _seal(state: State, context: Context, roots: Mapping[str, EnvironmentRoot], whole: Iterable[Journal]) -> list[str]:
    today, begun = _today(), dict(state.note(_BEGUN) or {})
    due = [one for one in whole if (size := one.size) and (begun.get(one.place, today) < today or size >= SEAL_BYTES)]
    if not due:
        return []
    strangers = [root for root in other_roots(context.project, context.environment) if root.environment not in roots]
    names = {one.place: _name(one, begun.get(one.place, today)) for one in due if not _is_shared(one, strangers)}
    others = dict(state.note(_PENDING) or {})
    state.put_note(_PENDING, {**others, **names})
    state.commit(durable=True)
    for one in due:
        if one.place in names:
            one.folder.move(one.file, one.folder, names[one.place])
            _begin_anew(state, one)
    state.put_note(_PENDING, others)
    state.put_note(_BEGUN, {**begun, **dict.fromkeys(names, today)})
    state.commit()
    return list(names.values())


def _today() -> str:
    return clock.timestamp(clock.now())[:10]


def _name(one: Journal, day: str) -> str:
    """Return the next name of a closed file: never one before those that there are, whatever a clock has said."""
    day = max([day, *(closed.day for closed in sealed.found(one.file, one.folder, one.archive))])
    made = one.owner.state.at(f"{sealed.LAKE}/{one.kind}")
    number = sealed.next_number(one.file, day, (one.folder, one.archive), made)
    return Sealed(one.file.removesuffix(".jsonl"), day, number).name


def _begin_anew(state: State, one: Journal) -> None:
    """Have an empty journal, of which nothing is remembered."""
    one.folder.create(one.file, b"")
    one.folder.sync()  # what is remembered from now on is of the new file: the disk must not go back to the old one
    state.put_output(one.place, 0)


def _is_shared(one: Journal, strangers: list[EnvironmentRoot]) -> bool:
    """Tell whether an environment that another ingest works for writes to a journal too: it may be at it just now."""
    kind = JOURNALS[one.kind].kind
    return any(root.folder(kind).path == one.folder.path for root in strangers)


def _first_day(one: Journal, today: str) -> str:
    """Return the day of a journal's first record: of one that was begun when nobody took note of it."""
    try:
        descriptor = one.folder.open(one.file)
    except FileNotFoundError:
        return today
    with os.fdopen(descriptor, "rb") as file:
        for line in file.read(_FIRST_BYTES).splitlines():
            try:
                return date.fromisoformat(json.loads(line)["timestamp"][:10]).isoformat()
            except (ValueError, TypeError, LookupError, RecursionError):
                continue
    return today
