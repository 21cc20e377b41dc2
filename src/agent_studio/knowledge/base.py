"""The one door to the knowledge base: for commands, for agents, for the dashboard."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.store import Note, Store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.knowledge.answers import Answer, Entry
    from agent_studio.knowledge.counts import Used
    from agent_studio.knowledge.refresh import Progress, Refreshed
    from agent_studio.knowledge.semantic.meaning import Meaning

__all__ = ["KnowledgeBase", "Note", "knowledge", "knowledge_anew"]


class KnowledgeBase:
    """An open index; `knowledge` opens it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.context = store.context

    @property
    def db(self) -> sqlite3.Connection:
        """The open index, for who adds to it."""
        return self._store.db

    @property
    def notes(self) -> Sequence[Note]:
        """What a user should know of the answers: an index that is old or is not kept."""
        return self._store.notes

    @property
    def is_kept(self) -> bool:
        """Whether the index is in its file."""
        return self._store.is_kept

    @property
    def taken(self) -> Refreshed | None:
        """What was read, when the index was built just now."""
        return self._store.taken

    def search(self, query: Query) -> Answer:
        """Return what fits a question, best first."""
        from agent_studio.knowledge import search  # noqa: PLC0415 - not for those who only get or list

        query = Query(*map(_encodable, query))
        meaning = self._meaning() if query.semantic else None
        answer = self._store.ask(lambda db: search.search(db, query, meaning))
        if not answer.hits and _is_same(answer.did_you_mean, query.text):
            answer = answer._replace(did_you_mean=None)  # a filter is in the way, not a mistake
        if not query.include_test:
            return answer
        from agent_studio.knowledge import generated  # noqa: PLC0415 - rarely asked

        return generated.added(self.context.root, answer)

    def best_without_filters(self, answer: Answer) -> str | None:
        """Return the name that fits best where only the filters let nothing through."""
        wide = Query(answer.query.text, limit=1, semantic=answer.query.semantic)
        if answer.hits or answer.query._replace(limit=1, explain=False, include_test=False) == wide:
            return None
        hits = self.search(wide).hits
        return hits[0].entry.name if hits else None

    def _meaning(self) -> Meaning | None:
        """Return what ranks by meaning, where a build has left vectors and nobody has turned it off."""
        from agent_studio.knowledge.semantic import meaning  # noqa: PLC0415 - only for questions

        found = meaning.opened(self.context.root.state)
        return found if found and self.context.config["knowledge.semantic"] else None

    def get(self, name: str) -> Sequence[Entry]:
        """Return the artifacts of a name (`name`, `plugin:name`) or path; several when a name is used twice."""
        from agent_studio.knowledge import catalogue  # noqa: PLC0415 - a search does not need it

        name = _encodable(name)
        for way in dict.fromkeys((name, self._path(name), name.removeprefix("/"))):
            if found := self._store.ask(partial(catalogue.get, name=way)):
                return found
        return []

    def _path(self, name: str) -> str:
        """Return a path as the index has it: tab completion gives `./` or the whole path."""
        place, base = Path(name), self.context.project.path
        return (place.relative_to(base) if place.is_relative_to(base) else place).as_posix()

    def list(self, **filters: Any) -> Sequence[Entry]:
        """Return the artifacts that pass the filters of `catalogue.entries`, by name."""
        from agent_studio.knowledge import catalogue  # noqa: PLC0415 - as above

        wanted = {name: _encodable(value) for name, value in filters.items()}
        return self._store.ask(lambda db: catalogue.entries(db, **wanted))

    def names(self) -> Sequence[str]:
        """Return every name once."""
        from agent_studio.knowledge import catalogue  # noqa: PLC0415 - as above

        return self._store.ask(catalogue.names)

    def stats(self) -> dict[str, Any]:
        """Return counts by domain, source and complexity, sizes, copies, usage, age and size of the index."""
        from agent_studio.knowledge import catalogue  # noqa: PLC0415 - as above
        from agent_studio.knowledge.semantic import meaning  # noqa: PLC0415 - as above

        counted = self._store.ask(lambda db: catalogue.stats(db, self._store.folder))
        return counted | {"semantic": meaning.summary(self._store.folder)}

    def refresh(self, paths: Iterable[str] | None = None) -> Refreshed:
        """Take in what has changed, of the given paths from the project's root or of all, and write the table.

        Raises `StorageError`, and `BusyError` while another process is at the index.
        """
        taken = self._refreshed(paths)
        if self.is_kept and (taken.added or taken.changed or taken.removed):
            self.export()
        return taken

    def _refreshed(self, paths: Iterable[str] | None) -> Refreshed:
        from agent_studio.knowledge import freshness  # noqa: PLC0415 - as above

        if paths is None:
            return self._store.take_in_all()
        known, unknown = freshness.sorted_out(self.db, paths)
        return self._store.take_in_all() if unknown else self._store.take_in_some(known)

    def set_usage(self, used: Iterable[Used]) -> None:
        """Take in counts made elsewhere: name, domain (or "" for any), how often, and when last (RFC 3339).

        Doing it twice changes nothing; a count that is known to be higher stays.
        """
        from agent_studio.knowledge import counts  # noqa: PLC0415 - a search only reads them

        rows = list(used)
        if self._store.change(lambda db: counts.keep(db, rows)) and self.is_kept:
            self.export()

    def export(self) -> None:
        """Write the table from the index; rows of generated test artifacts are kept."""
        from agent_studio.knowledge import table  # noqa: PLC0415 - only for those who change

        table.save(
            self.context.root, [*table.rows_of(self.list(sort="path")), *table.generated_rows(self.context.root)]
        )


def _encodable(value: Any) -> Any:
    """Return a text, or each of several, as SQLite takes it: JSON and command lines may hold halves of characters."""
    if isinstance(value, tuple):
        return tuple(map(_encodable, value))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _is_same(one: str | None, other: str) -> bool:
    return one is not None and " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


@contextmanager
def knowledge(
    context: Context, *, fresh: bool = True, writes: bool = True, progress: Progress | None = None
) -> Iterator[KnowledgeBase]:
    """Open the knowledge base of an environment; raise `StorageError`.

    `fresh` takes in first what has changed. Without `writes` the index is left as it is, or made in memory.
    """
    store = Store(context, progress, writes=writes)
    try:
        store.open(fresh=fresh)
        yield KnowledgeBase(store)
    finally:
        store.close()


@contextmanager
def knowledge_anew(
    context: Context, *, user: bool = False, progress: Progress | None = None
) -> Iterator[KnowledgeBase]:
    """Build the knowledge base and open it; `user` takes in the user's own artifacts, now and in later refreshes."""
    store = Store(context, progress)
    try:
        store.open_anew(user=user)
        yield KnowledgeBase(store)
    finally:
        store.close()
