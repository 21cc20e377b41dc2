"""The switch: a folder of definitions becomes another release, all of it or none, whatever happens on the way.

1. The new bytes are written beside the files that they replace, and synced; a fault here changes nothing.
2. The journal names every file with its old and new hash. Once it is durable the switch will happen.
3. Files get their new bytes by renaming, what is gone is removed, folders are synced.
4. The history gets its line, and the journal goes.

A process that dies before 2 is done has changed nothing; after that, `recover` goes on from the journal with the bytes
in the store, as often as it takes. Readers of single files see old or new bytes; a reader of many may see some of each
while 3 lasts, which is why sessions do not start while a journal is there.
"""

from __future__ import annotations

import json
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, StorageError, UnsafePathError
from agent_studio.release import history, manifest, whose
from agent_studio.release.manifest import Difference, Entry
from agent_studio.release.store import Store
from agent_studio.release.tree import SETTINGS, Tree, folders_above
from agent_studio.storage import flush
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agent_studio.environment.roots import Project

JOURNAL = "journal.json"
LOCK = "lock"
SCHEMA = "agent-studio/switch/1"


class RecoveryNeededError(AgentStudioError):
    """A switch was begun and not brought to its end."""

    code = "recovery-needed"
    exit_code = ExitCode.RECOVERY


class Journal(NamedTuple):
    """A switch that has been decided on."""

    id: str
    definitions: str
    """The folder that is switched."""
    around: str | None
    """The project that holds it, if one does."""
    changes: list[Difference]
    record: dict[str, Any]
    """The line of the history that the switch will have."""


@contextmanager
def alone(project: Project, doing: str) -> Iterator[None]:
    """Be the only one who changes production or its history; raise `BusyError` when someone else does."""
    folder = _folder(project)
    folder.make()
    with exclusive(folder, LOCK, doing=doing):
        yield


def pending(project: Project) -> Journal | None:
    """Return the switch that was begun and not ended, or None; raise `IntegrityError` for a journal that is damaged."""
    folder = _folder(project)
    try:
        value = json.loads(folder.read(JOURNAL))
        changes = [Difference(path, _entry(old), _entry(new)) for path, old, new in value["changes"]]
        around = value["around"]
        return Journal(
            str(value["id"]), str(value["definitions"]), None if around is None else str(around), changes,
            dict(value["record"]),
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{folder.path / JOURNAL} is damaged: {error}",
            hint="restore production from .agent-studio/objects/ by the last release in releases/history.jsonl",
        ) from None


def refuse_pending(project: Project) -> None:
    """Raise `RecoveryNeededError` while a switch is not brought to its end."""
    if _folder(project).status(JOURNAL) is not None:
        raise RecoveryNeededError(
            "a promotion or rollback was interrupted: production may hold some of the old files and some of the new",
            hint="agent-studio recover",
        )


def switch(
    project: Project, tree: Tree, old: Mapping[str, Entry], new: Mapping[str, Entry], record: Mapping[str, Any]
) -> str:
    """Make a target whose files are `old` hold `new`, and note `record` in the history; return the switch's id.

    The caller holds `alone`, has found `old` by reading the target, and has put all of `new` into the store. Raises
    `StorageError` with nothing changed when the bytes cannot be written.
    """
    refuse_pending(project)
    tree.sweep()
    changes = manifest.differences(old, new)
    own = history.new_id()
    around = None if tree.around is None else str(tree.around)
    told = {**record, "id": own, "target": whose.seen_from(project, tree)}
    journal = Journal(own, str(tree.definitions), around, changes, told)
    staged = _stage(Store(project), tree, changes)
    try:
        _folder(project).replace(JOURNAL, _written(journal))
    except BaseException:
        _drop(tree, staged)
        raise
    _finish(project, tree, journal, staged)
    return own


def recover(project: Project) -> Journal | None:
    """Bring an interrupted switch to its end and return it; None when there is none. The caller holds `alone`.

    The journal says where production is: what the configuration says may be half of the old and half of the new.
    """
    journal = pending(project)
    if journal is None:
        return None
    tree = tree_of(journal)
    tree.sweep()
    _finish(project, tree, journal, {})
    return journal


def tree_of(journal: Journal) -> Tree:
    """Return the tree that a switch is of; raise `StorageError` when it is gone."""
    tree = Tree(Path(journal.definitions), None if journal.around is None else Path(journal.around))
    if not tree.definitions.is_dir():
        raise StorageError(f"{tree.definitions} is gone, in which a switch was interrupted", hint="put it back")
    return tree


def _stage(store: Store, tree: Tree, changes: Sequence[Difference]) -> dict[str, str]:
    """Write all new bytes beside the files they replace, and see that nothing is in the way.

    Returns the prepared file of each path. What stands where a folder or a file of the other kind has to go is written
    later, from the store.
    """
    gone = {change.path for change in changes if change.new is None}
    by_itself = len(changes) < flush.MANY or not flush.is_available()
    staged: dict[str, str] = {}
    try:
        for change in changes:
            folder, path = tree.place(change.path)
            _refuse_unexpected(tree, change, gone)
            if change.new is None:
                continue
            if not any(above in gone for above in folders_above(path)):
                data = tree.dressed(change.path, store.read(change.new.sha256)) or b""
                executable = change.new.mode == manifest.EXECUTABLE
                try:
                    staged[change.path] = folder.prepare(path, data, executable=executable, durable=by_itself)
                except FileNotFoundError:
                    folder.make(path.rpartition("/")[0])
                    staged[change.path] = folder.prepare(path, data, executable=executable, durable=by_itself)
        if not by_itself:
            flush.flush(_around(tree, staged))
    except BaseException:
        _drop(tree, staged)
        raise
    return staged


def _refuse_unexpected(tree: Tree, change: Difference, gone: Collection[str]) -> None:
    """Raise when a file is no longer as it was read, or a folder stands there and holds what no release put there."""
    folder, path = tree.place(change.path)
    if tree.entry_at(change.path) != change.old:
        raise whose.DriftError(f"{folder.path / path} changed while it was looked at", hint="run the command again")
    if change.new is None or change.old is not None:
        return
    status = tree.status(change.path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return
    for inner, _ in folder.at(path).files():
        if f"{path}/{inner}" not in gone:
            raise StorageError(
                f"{folder.path / path} is a folder that holds {inner}, and a file has to go there", hint="move it away"
            )


def _drop(tree: Tree, staged: Mapping[str, str]) -> None:
    """Remove what was prepared, and the folders that were made for it alone."""
    for path, prepared in staged.items():
        folder, own = tree.place(path)
        with suppress(AgentStudioError, OSError):
            folder.remove(prepared)
            _remove_empty_above(folder, own)


def _finish(project: Project, tree: Tree, journal: Journal, staged: Mapping[str, str]) -> None:
    for change in sorted(journal.changes, key=lambda one: one.new is not None):  # a name that is gone makes room
        _bring(project, tree, journal.id, change, staged.get(change.path, ""))
    around = _around(tree, (change.path for change in journal.changes))
    if len(around) >= flush.MANY and flush.is_available():
        flush.flush(around)
    else:
        for folder in around.values():
            with suppress(FileNotFoundError, UnsafePathError):  # it is gone, or a file by now
                folder.sync()
    history.append(project, journal.record)
    _close(project)


def _close(project: Project) -> None:
    folder = _folder(project)
    with suppress(FileNotFoundError):
        folder.remove(JOURNAL)
    folder.sync()


def _bring(project: Project, tree: Tree, switch_id: str, change: Difference, prepared: str) -> None:
    """Make one file what it has to be; bytes that nobody expected are kept in the store, and noted, first."""
    store = Store(project)
    folder, path = tree.place(change.path)
    now = tree.entry_at(change.path)
    if now not in {None, change.old, change.new}:
        kept = {"path": change.path, "sha256": store.put(tree.bytes_at(change.path) or b"")}
        history.append(project, {"step": history.KEPT, "id": f"{switch_id}:{change.path}", "files": [kept]})
    if now == change.new and now is not None:
        return
    if not prepared or change.path == SETTINGS:
        data = None if change.new is None else store.read(change.new.sha256)
        dressed = tree.dressed(change.path, data)
        if dressed is None:
            if now is not None:
                folder.remove(path)
            _remove_empty_above(folder, path)
            return
        tree.note_dressed(data, dressed)
        executable = change.new is not None and change.new.mode == manifest.EXECUTABLE
        prepared = prepared or _prepared(folder, path, dressed, executable=executable)
    if now is None:
        _remove_empty_at(folder, path)
    folder.move(prepared, folder, path)


def _prepared(folder: Folder, path: str, data: bytes, *, executable: bool) -> str:
    for above in reversed(folders_above(path)):
        folder.make(above)
    names = path.split("/")
    folder.sweep("/".join(names[:-1]), of=names[-1:])
    return folder.prepare(path, data, executable=executable)


def _remove_empty_at(folder: Folder, path: str) -> None:
    """Remove a folder that stands where a file has to go, with the empty folders in it: no release knows of those."""
    status = folder.status(path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return
    inner = [name for name, found in folder.at(path).tree() if stat.S_ISDIR(found.st_mode)]
    for name in (*(f"{path}/{name}" for name in reversed(inner)), path):
        folder.remove_empty(name)


def _remove_empty_above(folder: Folder, path: str) -> None:
    """Remove the folders around a path that hold nothing, as git does: a release has files, not folders."""
    for above in folders_above(path):
        status = folder.status(above)
        if status is None or not stat.S_ISDIR(status.st_mode) or not folder.remove_empty(above):
            break


def _around(tree: Tree, paths: Iterable[str]) -> dict[Path, Folder]:
    """Return the folders whose names a change of some paths may have changed."""
    found: dict[Path, Folder] = {}
    seen: set[str] = set()
    for path in paths:
        folder, own = tree.place(path)
        found.setdefault(folder.path, folder)
        for above in folders_above(own):
            if above in seen:
                break  # and so are those above it
            seen.add(above)
            inner = folder.at(above)
            found[inner.path] = inner
    return found


def _folder(project: Project) -> Folder:
    return Folder(project.path, history.FOLDER)


def _written(journal: Journal) -> bytes:
    changes = [[one.path, one.old, one.new] for one in journal.changes]
    value = {
        "schema": SCHEMA, "id": journal.id, "definitions": journal.definitions, "around": journal.around,
        "changes": changes, "record": journal.record,
    }  # fmt: skip
    return json.dumps(value, ensure_ascii=False).encode()


def _entry(value: Any) -> Entry | None:
    return None if value is None else Entry(str(value[0]), str(value[1]))
