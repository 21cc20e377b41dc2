"""The files that attempts begin with: kept once for a run, named by one hash, copied for each attempt."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import ConfigurationError, StorageError, UnsafePathError, UsageError
from agent_studio.evals.attempts import reading
from agent_studio.release import checkout, suite
from agent_studio.release.content.manifest import PROJECT_FILE
from agent_studio.storage.folder import Folder, disk_faults

if TYPE_CHECKING:
    from agent_studio.environment.roots import Project
    from agent_studio.evals.tasks.task import Task

_MB = 1_000_000
_MOST_HASHED = 4_000_000_000
"""A file can say that it is larger than any disk."""
_ADD_FILES = "name a folder of the project"


class Kept(NamedTuple):
    """Starting files that are kept for a run."""

    folder: Path
    sha256: str
    """Of all of them."""
    begins: str | None
    """What the gate knows them by: the hash of what came from a folder or from git; None where neither is named."""

    def suite(self, task: Task) -> str:
        """Return what a task that begins with them is to the gate: by what was copied, whatever is there now."""
        return task.sha256 if self.begins is None else suite.begun_with(task.sha256, self.begins)


def materialise(project: Project, task: Task, folder: Path, limit_mb: float) -> Kept:
    """Put a task's starting files into a folder that is not there yet.

    Raises `ConfigurationError` for a folder or ref that is not there, `UsageError` for more than the limit.
    """
    folder.mkdir(parents=True)
    with disk_faults(folder):
        begins = _base(project, task, folder, limit_mb * _MB)
        for path, text in task.start.files.items():
            put(folder, path, text)
    return Kept(folder, tree_hash(folder), begins)


def put(folder: Path, path: str, text: str) -> None:
    """Write a file below a folder, through no link; raise `UnsafePathError` for a way out."""
    door = Folder(folder, any_form=True, shared=True)
    if parent := path.rpartition("/")[0]:
        door.make(parent)
    door.replace(path, text.encode("utf-8", "surrogateescape"), durable=False)


def refuse_way_out(folder: Path, path: str) -> None:
    """Raise `UnsafePathError` where a path below a folder goes through a link that leads out of it."""
    if not (folder / path).parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(
            f"{path} goes through a link that leads out of the copy", hint="share what lies in folders"
        )


def refuse_missing(project: Project, task: Task) -> None:
    """Raise `ConfigurationError` where something that is shared is not there, or a folder leads out of the project."""
    for path in task.start.share:
        if not (project.path / path).exists():
            raise ConfigurationError(f"{task.file}: start.share {path} is not there", hint="make it, or leave it out")
    try:
        suite.inside(project, task.start.folder or "")
    except ConfigurationError as error:
        raise ConfigurationError(f"{task.file}: {error.message}", hint=error.hint) from None


def _base(project: Project, task: Task, folder: Path, most_bytes: float) -> str | None:
    start = task.start
    if start.empty:
        return None
    if start.ref is not None:
        begins = _archive(project, task, folder)
        size = sum(place.lstat().st_size for place in folder.rglob("*"))
        _refuse_large(task, size, most_bytes)
        return begins
    base = project.path if start.folder is None else project.path / start.folder
    if not base.is_dir():
        raise ConfigurationError(f"{task.file}: start.folder {start.folder} is no folder", hint=_ADD_FILES)
    names = list(checkout.listed(base))
    _refuse_large(task, sum((base / name).lstat().st_size for name in names), most_bytes)
    for name in names:
        copy(base / name, folder / name)
    return None if start.folder is None else suite.content_of(folder, checkout.walked(folder))


def _refuse_large(task: Task, size: float, most_bytes: float) -> None:
    if size > most_bytes:
        raise UsageError(
            f"{task.file}: its starting files have {size / _MB:,.0f} MB, more than evals.startLimitMb allows",
            hint="name a smaller start.folder, share what is only read (start.share), or raise the limit",
        )


def _archive(project: Project, task: Task, folder: Path) -> str:
    """Unpack a commit, and return its tree; a submodule's files are in another repository, so none can be a start."""
    ref = str(task.start.ref)
    tree = suite.tree(project, ref)  # once: a branch may move meanwhile
    listed = tree and checkout.git(project.path, "ls-tree", "-r", "-z", "--end-of-options", tree)
    packed = tree and checkout.git(project.path, "archive", "--format=tar", "--end-of-options", tree)
    if not tree or not isinstance(listed, bytes) or not isinstance(packed, bytes):
        raise ConfigurationError(f"{task.file}: git knows no {ref!r} here", hint="name a commit, branch or tag")
    if any(line.startswith(b"160000 ") for line in listed.split(b"\0")):
        raise ConfigurationError(
            f"{task.file}: {ref} has submodules, whose files are not in it",
            hint="leave start.ref out: the working checkout's files are taken with them",
        )
    import io  # noqa: PLC0415 - only for a commit

    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise ConfigurationError(
            f"{task.file}: {ref} cannot be unpacked: {error}", hint="leave start.ref out, or name another commit"
        ) from None
    for name in (*checkout.LEFT_OUT, PROJECT_FILE):
        place = folder / name
        is_folder = place.is_dir() and not place.is_symlink()
        shutil.rmtree(place) if is_folder else place.unlink(missing_ok=True)
    return tree


def copy(source: Path, target: Path) -> None:
    """Copy a file or a link; what is neither is left out."""
    mode = source.lstat().st_mode
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(mode):
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)


def copied(source: Path, target: Path) -> None:
    """Copy a whole folder that was made here."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def states(folder: Path) -> dict[str, str]:
    """Return what every file and link of a folder is, by path; a repository's own files are left out."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted((*names, *(one for one in folders if Path(place, one).is_symlink()))):
            path = Path(place, name)
            found[path.relative_to(folder).as_posix()] = _state(path)
    return found


def _state(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"link {path.readlink()}"
    if not stat.S_ISREG(status.st_mode):
        return "special"
    mode = "755" if status.st_mode & stat.S_IXUSR else "644"
    if status.st_size > _MOST_HASHED:
        return f"{mode} {status.st_size} bytes"
    descriptor = reading.opened(path)
    if descriptor is None:
        return f"{mode} unreadable"
    with os.fdopen(descriptor, "rb") as file:
        return f"{mode} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def tree_hash(folder: Path) -> str:
    """Return one hash over every path, mode and content of a folder."""
    lines = (f"{state} {path}\n" for path, state in sorted(states(folder).items()))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def removed(folder: Path) -> None:
    """Remove a folder of ours, whatever rights an agent gave to what is in it; raise `StorageError`."""

    def again(function: object, path: str, error: object) -> None:
        del error
        Path(path).parent.chmod(stat.S_IRWXU)
        if callable(function):
            function(path)

    try:
        shutil.rmtree(folder, onerror=again)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"cannot remove {folder}: {error.strerror}", hint="remove it by hand") from error
