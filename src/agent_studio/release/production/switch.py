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

import hashlib
import json
import stat
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, StorageError, UnsafePathError
from agent_studio.release.content import links, manifest, naming
from agent_studio.release.content.manifest import Difference, Entry, folders_above
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import SETTINGS, Tree
from agent_studio.release.production import history, whose
from agent_studio.storage import flush
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agent_studio.environment.roots import Project

JOURNAL = "journal.json"
LOCK = "lock"
_TRIAL = "trial"
"""Names a file that is made to see whether a folder can be written to, and removed at once."""
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
        refuse_newer(value, SCHEMA, folder.path / JOURNAL)
        if value.pop("sha256") != _sealed(value):
            raise ValueError("its bytes have another hash than it says")  # noqa: TRY301 - one report for all damage
        changes = [Difference(path, _entry(old), _entry(new)) for path, old, new in value["changes"]]
        around = value["around"]
        return Journal(
            str(value["id"]), str(value["definitions"]), None if around is None else str(around), changes,
            dict(value["record"]),
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{folder.path / JOURNAL} is damaged: {error}. It said how an interrupted switch goes on",
            hint=f"move {folder.path / JOURNAL} away, then: agent-studio release verify names what differs in "
            "production; agent-studio promote --discard brings it to one release",
        ) from None


def refuse_pending(project: Project) -> None:
    """Raise `RecoveryNeededError` while a switch is not brought to its end, `IntegrityError` for a damaged journal."""
    if pending(project) is not None:
        raise RecoveryNeededError(
            "a promotion or rollback was interrupted: production may hold some of the old files and some of the new",
            hint="agent-studio recover",
        )


def switch(
    project: Project, tree: Tree, old: Mapping[str, Entry], new: Mapping[str, Entry], record: Mapping[str, Any]
) -> str:
    """Make a target whose files are `old` hold `new`, and note `record` in the history; return the switch's id.

    The caller holds `alone`, has found `old` by reading the target, and has put all of `new` into the store. Links that
    cannot stay become files. With nothing changed it raises `StorageError` when the bytes cannot be written, and
    `UsageError` or `UnsafePathError` for a name or a link that stands in the way; once it is decided on, whatever
    stops it is a `RecoveryNeededError`.
    """
    refuse_pending(project)
    tree.sweep()
    naming.refuse_alike(new)
    changes, gone = _with_links(tree, old, new)
    own = history.new_id()
    around = None if tree.around is None else str(tree.around)
    noted = {
        **record, "id": own, "target": whose.seen_from(project, tree), **({"links": gone} if gone else {}),
    }  # fmt: skip
    journal = Journal(own, str(tree.definitions), around, changes, noted)
    staged = _stage(Store(project), tree, changes, gone)
    try:
        _folder(project).replace(JOURNAL, _written(journal))
    except BaseException as error:
        _drop(tree, staged)
        if isinstance(error, AgentStudioError) and _folder(project).status(JOURNAL) is not None:
            raise _stopped(error) from error
        raise
    _finish(project, tree, journal, staged)
    return own


def _with_links(
    tree: Tree, old: Mapping[str, Entry], new: Mapping[str, Entry]
) -> tuple[list[Difference], dict[str, str]]:
    """Return what changes, and what the links say that it leaves no room for: all below one is written anew."""
    changes = manifest.differences(old, new)
    found = tree.links() if changes else {}
    if not found:
        return changes, {}
    gone = links.replaced(found, [one.path for one in changes], tree.lies_at)
    same = [
        Difference(path, entry, entry)
        for path, entry in new.items()
        if old.get(path) == entry and links.outermost(path, gone)
    ]
    ahead = {above for path in new for above in (path, *folders_above(path))}
    changed = {one.path for one in changes}
    dead = [Difference(path, None, None) for path in gone - ahead - changed]  # it led to nothing, and now would
    return sorted([*changes, *same, *dead], key=lambda one: one.path), {path: found[path].text for path in sorted(gone)}


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


def _stage(store: Store, tree: Tree, changes: Sequence[Difference], linked: Collection[str]) -> dict[str, str]:
    """Write all new bytes beside the files they replace, and see that nothing is in the way of what comes later.

    Returns the prepared file of each path. What stands where a folder or a file of the other kind has to go, or where a
    link is now, is written later, from the store.
    """
    gone = {change.path for change in changes if change.new is None}
    later = {*gone, *linked}
    by_itself = len(changes) < flush.MANY or not flush.is_available()
    staged: dict[str, str] = {}
    try:
        naming.refuse_beside(tree, changes)
        emptied: dict[str, tuple[Folder, str]] = {}
        for change in changes:
            folder, path = tree.place(change.path)
            above = next((one for one in reversed(folders_above(change.path)) if one in later), "")
            _refuse_changed(tree, change)
            link = above if above in linked else ""
            emptied |= {f"{folder.path}/{place}": (folder, place) for place in _emptied(tree, change, link, gone)}
            if change.new is not None and not above:
                data = tree.dressed(change.path, store.read(change.new.sha256)) or b""
                executable = change.new.mode == manifest.EXECUTABLE
                try:
                    staged[change.path] = folder.prepare(path, data, executable=executable, durable=by_itself)
                except FileNotFoundError:
                    folder.make(path.rpartition("/")[0], beside_alike=True)
                    staged[change.path] = folder.prepare(path, data, executable=executable, durable=by_itself)
        _try(emptied.values(), durable=by_itself)
        if not by_itself:
            flush.flush({*tree.folders_of(staged), *(folder.at(place).path for folder, place in emptied.values())})
    except BaseException:
        _drop(tree, staged)
        raise
    return staged


def _emptied(tree: Tree, change: Difference, link: str, gone: Collection[str]) -> list[str]:
    """Return the folders of which something has to go for a change; `link` is one above it that goes itself."""
    if link or change.new is None:
        return [tree.place(link or change.path)[1].rpartition("/")[0]]
    stays_below = change.old is not None or any(above in gone for above in folders_above(change.path))
    return [] if stays_below else _folders_in_the_way(tree, change, gone)


def _try(emptied: Iterable[tuple[Folder, str]], *, durable: bool) -> None:
    """See that the names in some folders can be changed, by making one and taking it back for good.

    One that came back after a power failure would keep a folder from being removed.
    """
    for folder, path in emptied:
        folder.remove(folder.prepare(f"{path}/{_TRIAL}".lstrip("/"), b"", executable=False, durable=False))
        if durable:
            folder.at(path).sync()


def _refuse_changed(tree: Tree, change: Difference) -> None:
    folder, path = tree.place(change.path)
    if tree.entry_at(change.path) != change.old:
        raise whose.DriftError(f"{folder.path / path} changed while it was looked at", hint="run the command again")


def _folders_in_the_way(tree: Tree, change: Difference, gone: Collection[str]) -> list[str]:
    """Return the folders that have to go for a file; raise when one holds what no release put there."""
    folder, path = tree.place(change.path)
    status = tree.status(change.path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return []
    folders = [path]
    for inner, found in folder.at(path).tree():
        if stat.S_ISDIR(found.st_mode):
            folders.append(f"{path}/{inner}")
        elif unicodedata.normalize("NFC", f"{path}/{inner}") not in gone:
            raise StorageError(
                f"{folder.path / path} is a folder that holds {inner}, and a file has to go there", hint="move it away"
            )
    return folders


def _drop(tree: Tree, staged: Mapping[str, str]) -> None:
    """Remove what was prepared, and the folders that were made for it alone."""
    for path, prepared in staged.items():
        folder, own = tree.place(path)
        with suppress(AgentStudioError, OSError):
            folder.remove(prepared)
            _remove_empty_above(folder, own)


def _finish(project: Project, tree: Tree, journal: Journal, staged: Mapping[str, str]) -> None:
    """Bring what was decided on to its end; damage is an `IntegrityError`, all else that stops it recovery."""
    try:
        _bring_all(project, tree, journal, staged)
    except IntegrityError:
        raise
    except (AgentStudioError, OSError) as error:
        raise _stopped(error) from error


def _stopped(error: AgentStudioError | OSError) -> RecoveryNeededError:
    if isinstance(error, AgentStudioError):
        reason, first = error.message, f"{error.hint}; then: " if error.hint else ""
    else:
        reason, first = f"{error.filename}: {error.strerror or error}", ""
    return RecoveryNeededError(
        f"a promotion or rollback was stopped on its way, and production may hold some of the old files and some of "
        f"the new: {reason}",
        hint=f"{first}agent-studio recover",
    )


def _bring_all(project: Project, tree: Tree, journal: Journal, staged: Mapping[str, str]) -> None:
    for folder, link in tree.links_above(change.path for change in journal.changes):
        folder.remove(link)  # all that a release has below it is in the journal
    for change in sorted(journal.changes, key=lambda one: one.new is not None):  # a name that is gone makes room
        _bring(project, tree, journal.id, change, staged.get(change.path, ""))
    around = tree.folders_of(change.path for change in journal.changes)
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
    now, is_link = tree.found_at(change.path)
    if now not in {None, change.old, change.new} and not is_link:  # a link is not what has the bytes
        kept = {"path": change.path, "sha256": store.put(tree.bytes_at(change.path) or b"")}
        history.append(project, {"step": history.KEPT, "id": f"{switch_id}:{change.path}", "files": [kept]})
    if now == change.new and now is not None and not is_link:
        if prepared:
            folder.remove(prepared)
        return
    if not prepared or change.path == SETTINGS:
        data = None if change.new is None else store.read(change.new.sha256)
        dressed = tree.dressed(change.path, data)
        if dressed is None:
            if now is not None or is_link:
                folder.remove(path)
            _remove_empty_above(folder, path)
            return
        tree.note_dressed(data, dressed)
        executable = change.new is not None and change.new.mode == manifest.EXECUTABLE
        prepared = prepared or _prepared(folder, path, dressed, executable=executable)
    if now is None and not is_link:
        _remove_empty_at(folder, path)
    folder.move(prepared, folder, path, beside_alike=True)


def _prepared(folder: Folder, path: str, data: bytes, *, executable: bool) -> str:
    folder.make(path.rpartition("/")[0], beside_alike=True)
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
        with suppress(StorageError):  # an empty folder that has to stay is in nobody's way
            if status is not None and stat.S_ISDIR(status.st_mode) and folder.remove_empty(above):
                continue
        break


def _folder(project: Project) -> Folder:
    return Folder(project.path, history.FOLDER)


def _written(journal: Journal) -> bytes:
    changes = [[one.path, one.old, one.new] for one in journal.changes]
    value = {
        "schema": SCHEMA, "id": journal.id, "definitions": journal.definitions, "around": journal.around,
        "changes": changes, "record": journal.record,
    }  # fmt: skip
    return json.dumps({**value, "sha256": _sealed(value)}, ensure_ascii=False).encode()


def _sealed(value: Mapping[str, Any]) -> str:
    """Return the hash of what a journal says: damage that still is JSON must not be carried out."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _entry(value: Any) -> Entry | None:
    return None if value is None else Entry(str(value[0]), str(value[1]))
