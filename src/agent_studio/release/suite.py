"""The tasks of evals as the gate knows them: each by its id, with one hash over all that makes it the task it is.

That is what its file says of it, its prompt file, and what it names as its start: the files of a folder, the tree of a
commit. A task that names no start begins with the working checkout's files. Those are the project's work, which goes on
while a candidate is looked at: they are pinned within a run, and not here.
"""

from __future__ import annotations

import hashlib
import json
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment import document
from agent_studio.errors import AgentStudioError, ConfigurationError
from agent_studio.release import checkout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import Project

FOLDER = "evals"
"""Of the definitions; in no candidate."""
_ENDINGS = (".yaml", ".yml")
_MISSING = "is not there"
_READABLE = "let yourself read it"


class Written(NamedTuple):
    """A task as a file has it, whether it is a sound one or not."""

    value: Any
    around: Mapping[str, Any]
    """All that the file has."""
    shown: str
    """The file, for messages."""
    path: tuple[str | int, ...]
    """Where in the file it stands."""
    lines: Mapping[tuple[str | int, ...], int]
    """Lines by place in the file."""
    name: str
    """Its id where it says none."""


class Known(NamedTuple):
    """A task as it is now."""

    sha256: str
    tags: tuple[str, ...]


def files(project: Project) -> list[str]:
    """Return the files of tasks, by their names below the folder."""
    folder = project.definition(FOLDER)
    if not folder.is_dir():
        return []
    return sorted(place.relative_to(folder).as_posix() for place in folder.rglob("*") if place.suffix in _ENDINGS)


def written(project: Project, name: str) -> Iterator[Written]:
    """Yield the tasks of one file; raise `ConfigurationError` where it cannot be read."""
    shown = project.shown(f"{FOLDER}/{name}")
    try:
        text = project.read_definition(f"{FOLDER}/{name}")
    except FileNotFoundError:
        raise ConfigurationError(f"{shown} leads nowhere", hint="remove the link") from None
    value, lines = document.located(text, shown)
    stem = name.rpartition(".")[0].replace("/", "-").lower()
    many = value.get("tasks")
    if not isinstance(many, list) or not many:
        yield Written(value, value, shown, (), lines, stem)
        return
    for number, one in enumerate(many):
        yield Written(one, value, shown, ("tasks", number), lines, f"{stem}-{number + 1}")


def content(value: Mapping[str, Any], prompt: str) -> str:
    """Return one hash over what a task's file says of it, and its prompt."""
    pinned = json.dumps([value, prompt], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(pinned.encode("utf-8", "replace")).hexdigest()


def prompt_file(project: Project, name: str) -> str:
    """Return the text of a prompt file; raise `FileNotFoundError` or `UnicodeDecodeError`."""
    return project.read_definition(f"{FOLDER}/{name}").decode("utf-8")


def whole(project: Project, sha256: str, folder: str | None, ref: str | None) -> str:
    """Return one hash over a task's content and the start that it names, as it is now.

    Raises `ConfigurationError` for a folder that leads out of the project, or cannot be read.
    """
    if folder is None and ref is None:
        return sha256
    if folder is None:
        return begun_with(sha256, tree(project, str(ref)) or _MISSING)
    place = inside(project, folder)
    try:
        return begun_with(sha256, content_of(place, checkout.listed(place)) if place.is_dir() else _MISSING)
    except OSError as error:
        raise ConfigurationError(f"start.folder {folder} cannot be read: {error.strerror}", hint=_READABLE) from None


def begun_with(sha256: str, begins: str) -> str:
    """Return the same of a start whose hash is known already: that of a copy, or a tree of git."""
    return hashlib.sha256(f"{sha256} {begins}".encode()).hexdigest()


def inside(project: Project, folder: str) -> Path:
    """Return a folder of the project; raise `ConfigurationError` for one that leads out of it, or is no path."""
    place = project.path / folder
    try:
        is_inside = place.resolve().is_relative_to(project.path.resolve())
        place.is_dir()
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL, links in a circle
        raise ConfigurationError(f"start.folder {folder[:80]!r} is no path", hint="name a folder in it") from None
    if not is_inside:
        raise ConfigurationError(f"start.folder {folder} leads out of the project", hint="name a folder in it")
    return place


def tree(project: Project, ref: str) -> str | None:
    """Return the hash of the files of a ref of git, None where git knows none."""
    told = checkout.git(project.path, "rev-parse", "--verify", "-q", "--end-of-options", f"{ref}^{{tree}}")
    return None if told is None else told.decode("ascii", "replace").strip()


def content_of(folder: Path, names: Iterable[str]) -> str:
    """Return one hash over some files and links of a folder; what is neither is in no copy, and is left out."""
    digest = hashlib.sha256()
    for name in sorted(names):
        status = (folder / name).lstat()
        if stat.S_ISLNK(status.st_mode):
            told = f"link {(folder / name).readlink()}"
        elif stat.S_ISREG(status.st_mode):
            with (folder / name).open("rb") as file:
                told = f"{bool(status.st_mode & stat.S_IXUSR)} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        else:
            continue
        digest.update(f"{told} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def now(project: Project) -> dict[str, Known]:
    """Return the tasks that are there; raise `ConfigurationError` where a file of them cannot be read."""
    found = {}
    for one in (task for name in files(project) for task in written(project, name)):
        value = one.value if isinstance(one.value, dict) else {"is": one.value}
        name, tags = str(value.get("id", one.name)), value.get("tags")
        try:
            known = _known(project, value)
        except AgentStudioError as error:
            raise ConfigurationError(f"{one.shown}: {name}: {error.message}", hint=error.hint) from None
        except (OSError, ValueError, TypeError) as error:  # what no task may hold, and `eval check` refuses
            raise ConfigurationError(f"{one.shown}: {name}: {error}", hint="agent-studio eval check") from None
        found[name] = Known(known, tuple(map(str, tags)) if isinstance(tags, list) else ())
    return found


def _known(project: Project, value: Mapping[str, Any]) -> str:
    start = value.get("start") if isinstance(value.get("start"), dict) else {}
    try:
        prompt = str(value["prompt"]) if "prompt" in value else prompt_file(project, str(value.get("promptFile")))
    except (OSError, ValueError):
        prompt = _MISSING
    return whole(project, content(value, prompt), _text(start, "folder"), _text(start, "ref"))


def _text(start: Any, name: str) -> str | None:
    return None if start.get(name) is None else str(start[name])


def sha256(tasks: Mapping[str, str]) -> str:
    """Return one hash over the tasks of a suite, each by its own."""
    lines = "".join(f"{name} {tasks[name]}\n" for name in sorted(tasks))
    return hashlib.sha256(lines.encode()).hexdigest()
