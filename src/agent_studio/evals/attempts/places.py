"""Where runs have the rooms of their attempts: a folder of the user's own, and what was left in it by runs that died.

A run holds a lock on its place as long as it lives; the system drops it with the process, however that ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import BusyError, StorageError, UsageError
from agent_studio.evals.attempts import start
from agent_studio.storage.descriptors import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = "agent-studio-evals"
_OWNER, _KEPT, _INNER = "owner", "kept", "room"
PREPARED, STARTS = "prepared", "starts"
"""Below a run's place: what copies are made of, and of what those are."""
LOOKING = "check-"
"""How the name of a look at untouched starts begins: nobody goes on with it."""
_OLD_S = 14 * 86_400
_WAIT_S = 5.0


def base() -> Path:
    """Return the folder that runs have theirs in, the user's alone; raise `StorageError` where it is not."""
    place = Path(os.path.realpath(tempfile.gettempdir())) / f"{_FOLDER}-{os.getuid() if hasattr(os, 'getuid') else 0}"
    place.mkdir(mode=0o700, exist_ok=True)
    status = place.lstat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o077 or place.is_symlink()):
        raise StorageError(f"{place} is not yours alone", hint="remove it, or set TMPDIR to a folder of your own")
    return place


def inside(place: Path, name: str) -> Path:
    """Return where in a run's place an attempt's room is."""
    return place / name / _INNER


def transcripts(place: Path, name: str) -> Path:
    """Return where the client keeps what an attempt used: all that an interrupted one is settled by."""
    return inside(place, name) / "client" / "projects"


@contextmanager
def held(project: Path, run: str) -> Iterator[Path]:
    """Yield a run's place, ours as long as we live; where nothing was tried, nothing is left of it.

    Raises `BusyError` where another process is at work in it.
    """
    sweep()
    place = base() / f"{project.name[:40].replace(' ', '-')}-{run}"
    is_new = not place.exists()
    place.mkdir(exist_ok=True)
    descriptor = os.open(place / _OWNER, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + _WAIT_S  # who sweeps holds it for a moment
        while not try_lock(descriptor):
            if time.monotonic() > until:
                raise BusyError(f"{place} is another process's", hint="wait for it to end")
            time.sleep(0.02)
        yield place
    except UsageError:  # nothing was tried
        if is_new:
            shutil.rmtree(place, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def keep(place: Path) -> None:
    """Have a place left as it is, to be looked at: it goes when it is old."""
    (place / _KEPT).touch()


def sweep() -> None:
    """Remove what runs left whose process is gone, but for what they are settled by; all of it when it is old."""
    oldest = time.time() - _OLD_S
    for place in base().iterdir():
        with suppress(OSError, StorageError):
            if place.lstat().st_mtime < oldest:
                start.removed(place)
            elif not (place / _KEPT).exists():
                _swept(place)


def _swept(place: Path) -> None:
    try:
        descriptor = os.open(place / _OWNER, os.O_RDWR)
    except FileNotFoundError:  # it is about to begin
        return
    try:
        if not try_lock(descriptor):
            return
        if place.name.rpartition("-")[0].endswith(f"-{LOOKING.rstrip('-')}"):
            start.removed(place)
            return
        left = [one for one in place.iterdir() if one.name != _OWNER and not _reduced(place, one)]
        if not left:
            start.removed(place)
    finally:
        os.close(descriptor)


def _reduced(place: Path, attempt: Path) -> bool:
    """Remove what is not needed of an attempt; return whether nothing is left. An agent may have put links anywhere."""
    wanted = transcripts(place, attempt.name)
    way = [attempt, *(one for one in wanted.parents if attempt in one.parents), wanted]
    if any(one.is_symlink() or not one.is_dir() for one in way):
        start.removed(attempt) if attempt.is_dir() and not attempt.is_symlink() else attempt.unlink()
        return True
    for folder in way[:-1]:
        for one in folder.iterdir():
            if one not in way:
                start.removed(one) if one.is_dir() and not one.is_symlink() else one.unlink()
    return False
