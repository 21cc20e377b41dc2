"""One agent's own memory. It is opened for one agent, and no call of what is opened names another.

An entry is data that somebody wrote down; models are shown it between marks that say so.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.flag_journal import history
from agent_studio.environment.flags import evaluate
from agent_studio.errors import AgentStudioError, ExitCode, UnsafePathError, UsageError
from agent_studio.memory import gates
from agent_studio.memory.fence import Note, fenced
from agent_studio.memory.gates import Kept
from agent_studio.memory.sidecars import entry as entries
from agent_studio.memory.sidecars.entry import Entry, encoded
from agent_studio.memory.sidecars.store import PINNED_MAX_BYTES, Line, Store
from agent_studio.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from agent_studio.environment.context import Context
    from agent_studio.memory.index import Index
    from agent_studio.storage.folder import Folder

FLAG = "sidecarMemory"
OWNER = "owner.json"
_AGENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_LIMIT = 5


class DisabledError(AgentStudioError):
    """Sidecars are switched off."""

    code = "disabled"
    exit_code = ExitCode.USAGE


class Hit(NamedTuple):
    """An entry that fits a question."""

    entry: Entry
    score: float
    """The higher the better; only comparable within one answer."""


def open_sidecar(context: Context, agent: str) -> Sidecar:
    """Open the memory of one agent, `name` or `plugin:name`; nothing is written before something is added.

    Raises `UsageError` for what is no agent's name, and `DisabledError` where the feature is off.
    """
    decided = evaluate(context.config, history(context.root), FLAG)
    if not decided.value:
        raise DisabledError(
            f"sidecar memory is off in {context.environment}: {decided.detail}",
            hint=f"agent-studio flags set {FLAG} --on --reason TEXT; a kill: flags kill {FLAG} --lift --reason TEXT",
        )
    place = folder_name(agent)
    folder = context.root.folder("agents").at(place)
    return Sidecar(agent, folder, Store(folder, context.root.state))


def folder_name(agent: str) -> str:
    """Return the folder that an agent's memory has, as the client names it; raise `UsageError` for no agent's name."""
    parts = agent.split(":")
    name = "-".join(parts)
    if len(parts) > 2 or not all(map(_AGENT.fullmatch, parts)) or names.fault(name):  # noqa: PLR2004 - plugin:agent
        raise UsageError(
            f"{agent[:80]!r} is no agent's name",
            hint="name an agent as its definition does: letters, digits, - _ and ., or plugin:agent",
        )
    return name


class Sidecar:
    """The memory of one agent, opened."""

    def __init__(self, agent: str, folder: Folder, store: Store) -> None:
        self.agent = agent
        self._folder = folder
        self._store = store
        self._refuse_foreign()

    def entries(self, *, archived: bool = False) -> list[Entry]:
        """Return what is hot, oldest first, or what is in the archive."""
        return list(self._store.archived()) if archived else self._store.hot()

    def get(self, entry_id: str) -> Entry:
        """Return one entry, wherever it lies; raise `UsageError` where there is none."""
        if entry_id.encode("utf-8", "replace").decode() != entry_id:
            raise UsageError(f"{ascii(entry_id)[:40]} is no id of an entry", hint="search or list shows what there is")
        for one in self._store.hot():
            if one.id == entry_id:
                return one
        with self._store.searching() as index:
            found = index.find(entry_id)
            entry = None if found is None else self._store.entry_of(index.read(found))
        if entry is None:
            raise UsageError(f"{self.agent} has no entry {entry_id[:40]!r}", hint="search or list shows what there is")
        return entry

    def add(
        self, text: str, *, kind: str = "note", tags: Iterable[str] = (), source: str = "", pinned: bool = False,
        expires: datetime | None = None, supersedes: str = "",
    ) -> Entry:  # fmt: skip
        """Keep an entry and return it.

        One that `supersedes` another marks that as no longer true. Raises `KnownError` with the id of what says the
        same already, and `RefusedError` for a secret, something recalled, or nothing at all.
        """
        made = entries.new(
            text, kind=kind, tags=tags, source=source, pinned=pinned, supersedes=supersedes, expires=expires
        )
        with self._store.changing():
            self._own()
            self._refuse_known(made)
            if pinned:
                self._refuse_pins([made])
            self._store.append(made)
            if supersedes:
                self._change(supersedes, lambda one: one._replace(superseded_by=made.id))
        return made

    def search(self, question: str, limit: int = _LIMIT) -> list[Hit]:
        """Return the entries, archived ones too, that fit a question, best first; what no longer holds comes last."""
        now = clock.timestamp(clock.now())
        with self._store.searching() as index:
            hits = [
                Hit(entry, round(found.score, 4))
                for found in index.search(question, 4 * limit + 8)
                if (entry := self._store.entry_of(index.read(found))) is not None and entry.id == found.id
            ]
        latest = {entry.id: entry for entry in self._store.hot()}
        once = {hit.entry.id: hit._replace(entry=latest.get(hit.entry.id, hit.entry)) for hit in reversed(hits)}
        ordered = sorted(once.values(), key=lambda hit: (not hit.entry.holds(now), -hit.score))
        return ordered[:limit]

    def pin(self, entry_id: str, *, pinned: bool = True) -> Entry:
        """Keep an entry in sight, or no longer; one from the archive comes back."""
        with self._store.changing():
            if pinned:
                self._refuse_pins([self.get(entry_id)])
            return self._change(entry_id, lambda one: one._replace(pinned=pinned))

    def expire(self, entry_id: str, when: datetime | None = None) -> Entry:
        """Say from when on an entry no longer holds: now, if not said otherwise."""
        at = clock.timestamp(when or clock.now())
        with self._store.changing():
            return self._change(entry_id, lambda one: one._replace(expires=at))

    def archive(self, entry_id: str) -> Entry:
        """Move an entry from the hot file to the archive."""
        with self._store.changing():
            lines = self._store.lines()
            going = next((line.entry for line in lines if line.entry and line.entry.id == entry_id), None)
            if going is None:
                return self.get(entry_id)
            self._store.archive([going])
            self._store.write(line for line in lines if line.entry is None or line.entry.id != entry_id)
            return going

    def forget(self, entry_id: str) -> Entry:
        """Remove an entry from every file, for good, and return what it was."""
        with self._store.changing():
            gone = self.get(entry_id)
            self._store.forget(frozenset([entry_id]))
        return gone

    def digest(self, budget_bytes: int) -> str:
        """Return what holds, pinned first and then the newest, as fenced notes for a prompt; empty where nothing fits.

        Never longer than the budget, in bytes of UTF-8.
        """
        now = clock.timestamp(clock.now())
        shown = [one for one in self._store.hot() if one.holds(now)]
        ordered = [one for pinned in (True, False) for one in reversed(shown) if one.pinned is pinned]
        return fenced(f"of {self.agent}'s own memory", map(noted, ordered), budget_bytes)

    @property
    def damaged_lines(self) -> int:
        """Lines of the hot file that are no entries; the next change moves them to the archive."""
        return self._store.damaged_lines

    def _change(self, entry_id: str, change: Callable[[Entry], Entry]) -> Entry:
        """Write an entry anew in its place; one from the archive becomes hot. The lock is held."""
        changed = change(self.get(entry_id))
        line = Line(encoded(changed)[:-1], changed)
        lines = self._store.lines()
        if any(one.entry is not None and one.entry.id == entry_id for one in lines):
            lines = [line if one.entry is not None and one.entry.id == entry_id else one for one in lines]
        else:
            lines.append(line)
        self._store.write(lines)
        return changed

    def _refuse_known(self, made: Entry) -> None:
        if made.supersedes:
            old = self.get(made.supersedes)
            if old.sha == made.sha:
                raise gates.KnownError(old.id, old.text[:80], is_same=True)
        with self._store.searching() as index:
            gates.refuse_known(made.text, self._alike(index, made))

    def _alike(self, index: Index, made: Entry) -> Iterable[Kept]:
        now = clock.timestamp(clock.now())
        hot = {entry.id: entry for entry in self._store.hot()}
        for found in index.alike(made.text):
            entry = hot.get(found.id) or self._store.entry_of(index.read(found))
            if entry is not None and entry.id != made.supersedes and entry.holds(now):
                yield Kept(entry.id, entry.text)

    def _refuse_pins(self, more: Iterable[Entry]) -> None:
        pinned = {entry.id: entry for entry in self._store.hot() if entry.pinned} | {one.id: one for one in more}
        size = sum(len(encoded(entry)) for entry in pinned.values())
        if size > PINNED_MAX_BYTES:
            raise gates.RefusedError(
                f"{len(pinned)} pinned entries would take {size:,} bytes, and {PINNED_MAX_BYTES:,} are for them",
                hint="unpin one first",
            )

    def _own(self) -> None:
        """Write down whose folder this is; `a:b` and `a-b` have the same."""
        self._folder.create(OWNER, json.dumps({"agent": self.agent}).encode() + b"\n")
        self._refuse_foreign()

    def _refuse_foreign(self) -> None:
        with suppress(FileNotFoundError, ValueError, AttributeError):
            owner = json.loads(self._folder.read(OWNER)).get("agent")
            if isinstance(owner, str) and owner != self.agent:
                raise UnsafePathError(
                    f"{self._folder.path} is the memory of {owner!r}, not of {self.agent!r}",
                    hint="rename one of the two agents",
                )


def noted(entry: Entry) -> Note:
    """Return an entry as a line for models."""
    said = (entry.id, entry.kind, entry.ts[:10], *(("pinned",) if entry.pinned else ()))
    tags = "".join(f" #{tag}" for tag in entry.tags)
    return Note(", ".join(filter(None, said)), entry.text + tags)
