"""Takes into an index what the tree holds: all of it, or only what has changed; credentials are kept out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import AgentStudioError
from agent_studio.knowledge import artifacts, counts, freshness, hooked, places, schema
from agent_studio.knowledge.freshness import located
from agent_studio.knowledge.plugins import plugins_of
from agent_studio.redaction import find_secrets, redact

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.artifacts import Artifact
    from agent_studio.knowledge.places import Place

    Progress = Callable[[int, int], None]
    """Told how many of how many files are done."""


class SecretFound(NamedTuple):
    """A credential that was kept out of the index."""

    path: str
    kind: str


class Refreshed(NamedTuple):
    """What a refresh took in, by path."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    skipped: list[tuple[str, str]]
    """Path and reason."""
    secrets: list[SecretFound]


def nothing() -> Refreshed:
    """Return that nothing was taken in."""
    return Refreshed([], [], [], [], [])


def whole(
    db: sqlite3.Connection, project: Project, *, user: bool = False, progress: Progress | None = None
) -> Refreshed:
    """Bring an index up to the whole tree; files that are as they were are not read."""
    taking = _Taking(db)
    walk = places.walk(project, user=user)
    taking.done.skipped.extend(walk.skipped)
    known = {path: stamp for path, *stamp in db.execute("SELECT path, mtime_ns, ctime_ns, size_bytes FROM file")}
    for number, place in enumerate(walk.files):
        if progress:
            progress(number, len(walk.files))
        stamp = freshness.stamp(str(place.place))
        before = known.pop(place.path, None)
        if stamp is None:
            taking.skip(place.path, "gone while it was being read")
        elif before is None or tuple(before) != stamp:
            taking.take(place, stamp)
    for path in known:
        taking.remove(path)
    watched = dict.fromkeys(_sources(project, user=user)) | dict.fromkeys(path for path, _ in walk.folders)
    stamps = ((path, freshness.folder_stamp(located(project, path))) for path in watched if places.encodable(path))
    db.execute("DELETE FROM folder")
    db.executemany(
        "INSERT INTO folder VALUES (?, ?, ?)",
        ((path, freshness.settled(at, taking.started_ns), freshness.is_top(path)) for path, at in stamps),
    )
    db.execute("DELETE FROM skipped")
    db.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?)", map(_shown, taking.done.skipped))
    return taking.finish()


def _sources(project: Project, *, user: bool) -> Iterator[str]:
    """Yield what decides what is read: where a folder may appear, and what names plugins and hooks."""
    bases = [(str(project.path), "", project.shown("").rstrip("/"), str(project.definitions))]
    if user:
        place, shown = places.user_folder()
        bases.append(("", "", shown, str(place)))
    for root, root_path, shown, definitions in bases:
        yield shown
        names = (*places.DOMAINS, "plugins", "plugins/installed_plugins.json", *hooked.SETTINGS)
        yield from (f"{shown}/{name}" for name in names)
        if root:
            yield from ("plugins", ".claude-plugin/marketplace.json")
        for plugin in plugins_of(root or None, root_path, definitions, shown):
            if plugin.path:
                yield plugin.path
            yield from (f"{plugin.path}/{name}".lstrip("/") for name in hooked.OF_PLUGIN)


def some(db: sqlite3.Connection, project: Project, paths: Iterable[str]) -> Refreshed:
    """Read again the files of these paths, which the index knows."""
    taking = _Taking(db)
    for path in paths:
        stamp = freshness.stamp(located(project, path))
        row = db.execute("SELECT domain, source FROM artifact WHERE path = ?", (path,)).fetchone()
        if row is None:
            continue
        if stamp is None:
            taking.remove(path)
        else:
            taking.take(places.Place(path, Path(located(project, path)), row[0], row[1], stamp[0], stamp[2]), stamp)
    return taking.finish()


class _Taking:
    """One refresh at work."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._next = db.execute("SELECT coalesce(max(id), 0) FROM artifact").fetchone()[0] + 1
        self.started_ns = int(clock.now().timestamp() * 1e9)
        self.done = nothing()

    def take(self, place: Place, stamp: tuple[int, int, int]) -> None:
        """Put one file into the index, in place of what it held before."""
        found = None if not places.encodable(place.path) else self._read(place)
        if found is None:
            self.remove(place.path)
            return
        row = self._db.execute("SELECT * FROM artifact WHERE path = ?", (found.path,)).fetchone()
        before = schema.entry(row) if row else None
        if before is None:
            self._insert(found, self._next)
            self._next += 1
            self.done.added.append(found.path)
        elif (before.sha256, before.name, before.domain, before.source) != _identity(found):
            schema.delete(self._db, before.id)
            self._insert(found, before.id)
            self.done.changed.append(found.path)
        kept = (found.path, freshness.settled(stamp[0], self.started_ns), *stamp[1:])
        self._db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", kept)

    def _read(self, place: Place) -> Artifact | None:
        try:
            loaded = artifacts.load(place)
        except (OSError, AgentStudioError) as error:
            self.skip(place.path, getattr(error, "strerror", "") or str(error))
            return None
        if reason := places.unkept(place.path):
            self.skip(place.path, reason)
            return None
        kinds = {hit.kind for hit in find_secrets(loaded.text)}
        if kinds:  # before the text is parted: a key's first line may be a heading
            loaded = artifacts.with_text(place, loaded, redact(loaded.text))
        found = artifacts.artifact(place, loaded)
        kinds |= {hit.kind for hit in find_secrets("\n".join(value for value in found if isinstance(value, str)))}
        self.done.secrets.extend(SecretFound(found.path, kind) for kind in sorted(kinds))
        return _redacted(found) if kinds else found

    def _insert(self, found: Artifact, unique: int) -> None:
        count, last = counts.of(self._db, found.name, found.domain)
        schema.insert(self._db, unique, found, usage_count=count, last_used=last)

    def skip(self, path: str, reason: str) -> None:
        """Remember what is not taken in, and why."""
        self.done.skipped.append((path, reason))

    def remove(self, path: str) -> None:
        """Take one file out of the index."""
        if not places.encodable(path):
            self.skip(path, "its name is not UTF-8")
            return
        row = self._db.execute("SELECT id FROM artifact WHERE path = ?", (path,)).fetchone()
        if row:
            schema.delete(self._db, row[0])
            self.done.removed.append(path)
        self._db.execute("DELETE FROM file WHERE path = ?", (path,))

    def finish(self) -> Refreshed:
        """Bring up to date what is counted over all; return what was done."""
        freshness.count(self._db)
        if self.done.added or self.done.changed or self.done.removed:
            schema.finish(self._db)
            stamp = clock.timestamp(clock.now())
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('changed', ?)", (stamp,))
        return self.done


def _identity(found: Artifact) -> tuple[str, str, str, str]:
    return found.sha256, found.name, found.domain, found.source


def _redacted(found: Artifact) -> Artifact:
    fields = zip(found._fields, found, strict=True)
    clean: dict[str, Any] = {name: redact(value) for name, value in fields if isinstance(value, str)}
    return found._replace(**clean)


def _shown(skipped: tuple[str, str]) -> tuple[str, str]:
    path, reason = skipped
    return redact(path.encode("utf-8", "backslashreplace").decode()), reason
