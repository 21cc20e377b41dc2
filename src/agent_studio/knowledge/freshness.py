"""Whether the tree has changed since it was indexed, at a price that a search can pay.

An editor that writes in place changes only the file, so each known file is asked, and each known folder for names that
came or went. Above `ASKED` of both that would cost more than the search: then the folders nearest the top, the files
changed last, and a share of the rest that moves on each second are asked. `kb build` always reads all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.roots import Project

ASKED = 10_000
"""Files and folders that one look asks at most: some 30 ms."""
_LATEST = 500
_SHARE = 2_500
_TOP_DEPTH = 2
_FILES = "SELECT path, mtime_ns, ctime_ns, size_bytes FROM file"
_FOLDERS = "SELECT path, mtime_ns FROM folder"
_FINE_NS, _COARSE_NS = 50_000_000, 2_000_000_000
_MILLISECOND_NS = 1_000_000
UNSURE = 0
"""Kept in place of a time that was too near to tell a later change by."""
ABSENT = -1
"""Kept of what would be read if it were there."""


class Change(NamedTuple):
    """What a look found."""

    files: list[str]
    """Known files that differ or are gone."""
    folders: list[str]
    """Known folders in which names have come or gone."""
    share: float
    """How much of what is known was asked, 0 to 1."""

    def __bool__(self) -> bool:
        """Whether there is anything to take in."""
        return bool(self.files or self.folders)


def look(db: sqlite3.Connection, project: Project, moment_s: int | None = None) -> Change:
    """Compare what is known with the file system; of a large tree the share whose turn it is at a moment."""
    files, folders = counted(db)
    if files + folders <= ASKED:
        asked_files = db.execute(_FILES).fetchall()
        asked_folders = db.execute(_FOLDERS).fetchall()
    else:
        turn = int(clock.now().timestamp()) if moment_s is None else moment_s
        latest = db.execute(f"{_FILES} ORDER BY mtime_ns DESC LIMIT ?", (_LATEST,))
        asked_files = [*latest, *_turn(db, _FILES, files, files + folders, turn)]
        asked_folders = [*db.execute(f"{_FOLDERS} WHERE top"), *_turn(db, _FOLDERS, folders, files + folders, turn)]
        asked_folders = [(path, known) for path, known in asked_folders if known != UNSURE]
    share = (len(asked_files) + len(asked_folders)) / max(files + folders, 1)
    return Change(_changed_files(project, asked_files), _changed_folders(project, asked_folders), share)


def _changed_files(project: Project, asked: Iterable[tuple[str, int, int, int]]) -> list[str]:
    base = f"{project.path}/"
    changed = []
    for path, mtime_ns, ctime_ns, size_bytes in asked:
        try:
            status = os.stat(base + path if path[0] == "." else located(project, path))  # noqa: PTH116 - thousands
        except (OSError, ValueError):
            changed.append(path)
            continue
        if (status.st_mtime_ns, status.st_ctime_ns, status.st_size) != (mtime_ns, ctime_ns, size_bytes):
            changed.append(path)
    return changed


def _changed_folders(project: Project, asked: Iterable[tuple[str, int]]) -> list[str]:
    base = f"{project.path}/"
    changed = []
    for path, mtime_ns in asked:
        try:
            now_ns = os.stat(base + path if path[0] == "." else located(project, path)).st_mtime_ns  # noqa: PTH116
        except (OSError, ValueError):
            now_ns = ABSENT
        if now_ns != mtime_ns:
            changed.append(path)
    return changed


def is_large(db: sqlite3.Connection) -> bool:
    """Tell whether the tree is too large to be walked by a search."""
    return sum(counted(db)) > ASKED


def counted(db: sqlite3.Connection) -> tuple[int, int]:
    """Return how many files and folders are known, as `count` left it."""
    row = db.execute("SELECT value FROM meta WHERE name = 'known'").fetchone()
    files, folders = (row[0] if row else "0 0").split()
    return int(files), int(folders)


def count(db: sqlite3.Connection) -> None:
    """Count what is known: to count a hundred thousand takes longer than a search."""
    db.execute(
        "INSERT OR REPLACE INTO meta "
        "SELECT 'known', (SELECT count(*) FROM file) || ' ' || (SELECT count(*) FROM folder)"
    )


def _turn(db: sqlite3.Connection, query: str, count: int, known: int, turn: int) -> Iterator[tuple[str, int]]:
    """Yield the share whose turn it is."""
    size = max(1, _SHARE * count // known)
    turns = max(1, -(-count // size))
    return db.execute(f"{query} ORDER BY path LIMIT ? OFFSET ?", (size, turn % turns * size))


def located(project: Project, path: str) -> str:
    """Return where a path of the index is; `~/` is the user's home, a plugin of the user may lie anywhere."""
    if path.startswith("~/"):
        return os.path.expanduser(path)  # noqa: PTH111 - thousands of them
    return path if path.startswith("/") or path[1:2] == ":" else f"{project.path}/{path}"


def stamp(place: str) -> tuple[int, int, int] | None:
    """Return what tells one state of a file from another, or None where there is none."""
    try:
        status = os.stat(place)  # noqa: PTH116 - thousands of them
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def folder_stamp(place: str) -> int:
    """Return when names in a folder last came or went, `ABSENT` where there is none."""
    try:
        return os.stat(place).st_mtime_ns  # noqa: PTH116 - thousands of them
    except (OSError, ValueError):
        return ABSENT


def is_top(path: str) -> bool:
    """Tell whether a folder is so near the top that it is always asked."""
    return path.count("/") < _TOP_DEPTH


def settled(mtime_ns: int, now_ns: int) -> int:
    """Return a time as it may be kept: `UNSURE` when a change right after it could bear the same."""
    coarse = mtime_ns % _MILLISECOND_NS == 0  # some file systems know whole seconds only
    return UNSURE if mtime_ns > now_ns - (_COARSE_NS if coarse else _FINE_NS) else mtime_ns


def sorted_out(db: sqlite3.Connection, paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those of the paths that the index knows, and those it does not though they lie where it read."""
    asked = sorted(set(paths))
    known = [path for path in asked if db.execute("SELECT 1 FROM file WHERE path = ?", (path,)).fetchone()]
    folders = {path for (path,) in db.execute("SELECT path FROM folder")}
    return known, [path for path in asked if path not in known and any(parent in folders for parent in _parents(path))]


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
