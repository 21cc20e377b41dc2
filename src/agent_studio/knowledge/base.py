"""The one door to the knowledge base: for commands, for agents, for the dashboard.

Opening it looks whether a file has changed since the index was built, and takes in what has; where nothing may be
written it says so in `notes` and answers from what is there, or from memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.context import Context
    from agent_studio.knowledge.answers import Answer, Entry, Query


class Note(NamedTuple):
    """Something to be told beside an answer."""

    code: str
    message: str
    hint: str = ""


class Refreshed(NamedTuple):
    """What a refresh took in, by path."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    skipped: list[tuple[str, str]]
    """Path and reason."""


class KnowledgeBase:
    """An open index; use `knowledge`."""

    def __init__(self, context: Context, db: sqlite3.Connection, notes: list[Note]) -> None:
        self._context = context
        self.db = db
        self.notes = notes
        """What a user should know of the answers: an index that is old or could not be written."""

    def search(self, query: Query) -> Answer:
        """Return what fits a question, best first."""
        raise NotImplementedError

    def get(self, name: str) -> list[Entry]:
        """Return the artifacts of a name (`name`, `plugin:name`) or path; several when a name is used twice."""
        raise NotImplementedError

    def list(self, **filters: Any) -> list[Entry]:
        """Return the artifacts that pass the filters (domain, tags, complexity, tools, deprecated, source)."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Return counts by domain, source and complexity, sizes, copies, usage, age and size of the index."""
        raise NotImplementedError

    def refresh(self, paths: Iterable[str] | None = None) -> Refreshed:
        """Take in what has changed: of the given paths from the project's root, or of the whole project."""
        raise NotImplementedError

    def record_usage(self, used: Iterable[tuple[str, str, int, str]]) -> None:
        """Add to the counts: name, domain (or ""), how often, and when last (RFC 3339)."""
        raise NotImplementedError

    def set_usage(self, used: Iterable[tuple[str, str, int, str]]) -> None:
        """Replace the counts of all: name, domain (or ""), how often, and when last."""
        raise NotImplementedError


@contextmanager
def knowledge(context: Context, *, fresh: bool = True) -> Iterator[KnowledgeBase]:
    """Open the knowledge base of an environment; `fresh` looks for changes first. Raises `StorageError`."""
    raise NotImplementedError
    yield
