"""Where an attempt lives: a folder of its own, outside of every project, with the copy, the client's state, a home."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.detect import VARIABLE
from agent_studio.environment.roots import STATE, Project
from agent_studio.evals.attempts import places, reading, start
from agent_studio.evals.attempts.worker import NOT_PREPARED
from agent_studio.isolation import choice, inherit
from agent_studio.isolation.backends import ADVISORY
from agent_studio.isolation.policy import policy as policy_of
from agent_studio.release.content import manifest
from agent_studio.release.content.store import Store
from agent_studio.storage import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from agent_studio.environment.context import Context
    from agent_studio.evals.tasks.task import Task
    from agent_studio.isolation.policy import Policy

_COPY = "project"
_CLIENT_STATE = ".claude.json"
_MOST_OUTPUT = 200_000_000
_PAUSE_S = 0.05
_GRACE_S = 8.0
_GIT_SECONDS = 120
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - what may be seen of them
_PREPARATIONS = 5
"""A file that was to be shown may have gone before it could be: then all is looked at anew."""
_SKIPPED = frozenset(("dev", "proc", "sys", "run", "lost+found"))
_AUTHOR = ("-c", "user.name=Evals", "-c", "user.email=evals@localhost", "-c", "commit.gpgsign=false")


class Ended(NamedTuple):
    """How a confined command ended."""

    code: int
    why: str
    """Empty when by itself; else `timeout`, `cancelled` or what `watch` said."""
    duration_ms: int


@dataclass(frozen=True)
class Room:
    """One attempt's folder, and how commands are kept in it."""

    path: Path
    """The agent's: all of it may be written by it."""
    begins: Path
    """What the copy was made of, out of the agent's reach."""
    variables: Mapping[str, str]
    policy: Policy
    backend: str
    environment: str
    cancelled: Event

    @property
    def copy(self) -> Path:
        """The project as the agent sees it."""
        return self.path / _COPY

    @property
    def client(self) -> Path:
        """The client's own state: `CLAUDE_CONFIG_DIR`."""
        return self.path / "client"

    @property
    def outputs(self) -> Path:
        """What commands wrote: around the room, out of the agent's reach."""
        return self.path.parent

    @property
    def scratch(self) -> Path:
        """Temporary files."""
        return self.path / "tmp"

    def run(
        self, argv: Sequence[str], name: str, seconds: float, *, variables: Mapping[str, str] | None = None,
        watch: Callable[[], str] = lambda: "",
    ) -> Ended:  # fmt: skip
        """Run a command in the copy, confined; what it writes is in `NAME.out` and `NAME.err` of `outputs`.

        Nothing of it runs on afterwards. `watch` is asked while it runs, and ends it by a word.
        """
        for _ in range(_PREPARATIONS):
            ended = self._once(argv, name, seconds, variables or {}, watch)
            if ended.code != NOT_PREPARED:
                break
        return ended

    def _once(
        self, argv: Sequence[str], name: str, seconds: float, variables: Mapping[str, str], watch: Callable[[], str]
    ) -> Ended:
        began = time.monotonic()
        spec = {
            "argv": list(argv), "variables": {**self.variables, **variables}, "cwd": str(self.copy),
            "backend": self.backend, "environment": self.environment, "project": str(self.copy),
            "scratch": str(self.scratch),
            **{one: list(map(str, getattr(self.policy, one))) for one in ("hidden", "readonly", "writable")},
        }  # fmt: skip
        with _fresh(self.outputs / f"{name}.out") as out, _fresh(self.outputs / f"{name}.err") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "agent_studio.evals.attempts.worker"], stdin=subprocess.PIPE, stdout=out,
                stderr=err, start_new_session=True, env=_for_worker(),
            )  # fmt: skip
            door = _door(process)
            try:
                door.write(journal.encode(spec))
                door.flush()
                why = self._wait(process, began + seconds, watch)
            except BrokenPipeError:
                why = ""
            finally:
                _close(process)
        return Ended(process.returncode, why, round((time.monotonic() - began) * 1000))

    def _wait(self, process: subprocess.Popen[bytes], deadline: float, watch: Callable[[], str]) -> str:
        while process.poll() is None:
            if self.cancelled.is_set():
                return "cancelled"
            if time.monotonic() > deadline:
                return "timeout"
            if why := watch():
                return why
            time.sleep(_PAUSE_S)
        return ""

    def said(self, name: str, most: int = 4_000) -> str:
        """Return the end of what a command wrote."""
        parts = [self.written(name, end)[-most:] for end in ("out", "err")]
        return b"\n".join(filter(None, parts)).decode("utf-8", "replace").strip()

    def written(self, name: str, end: str = "out") -> bytes:
        """Return what a command wrote, as far as it is read."""
        return reading.regular(self.outputs / f"{name}.{end}", _MOST_OUTPUT) or b""

    def remove(self) -> None:
        """Remove it all."""
        start.removed(self.outputs)


def _fresh(place: Path) -> IO[bytes]:
    """Open a file that is ours and new, whatever was in its place."""
    place.unlink(missing_ok=True)
    return os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600), "wb")


def _for_worker() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENT_STUDIO_")}
    source = str(Path(__file__).resolve().parents[3])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [source, kept.get("PYTHONPATH", "")]))}


def _door(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise TypeError("the worker was started without an input")
    return process.stdin


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close what the worker waits for, and see it end."""
    with contextlib.suppress(BrokenPipeError):
        _door(process).close()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Rooms:
    """Makes the rooms of one run: what they may reach is worked out once."""

    def __init__(self, context: Context, variables: Mapping[str, str], path: Path, cancelled: Event) -> None:
        """Raise what isolation raises: `NotIsolatedError` where it is required and not to be had."""
        self._store, self._path, self._cancelled = Store(context.project), path, cancelled
        self._project, self._environment = context.project, str(context.environment)
        self._kept = inherit.inherited(context, variables, keep=(), client=True).kept
        self._policy = _policy(context, variables, path)
        chosen = choice.choose(
            self._policy, str(context.config["isolation.backend"]), required=bool(context.config["isolation.require"])
        )
        self._lock = threading.Lock()
        self.backend, self.refused = chosen.name, chosen.refused
        """What keeps attempts apart; `advisory` when nothing does."""

    @property
    def is_confined(self) -> bool:
        """Whether the kernel keeps attempts to their folders."""
        return self.backend != ADVISORY

    def make(
        self, name: str, task: Task, snapshot: Path | None, definitions: str | None, *, once: bool = False
    ) -> Room:  # fmt: skip
        """Make a room with a fresh copy and exactly one set of definitions; `once` for one that is not made again."""
        start.removed(self._path / name)
        path = places.inside(self._path, name)
        begins = path / _COPY if once else self._prepared(snapshot, definitions)
        room = self._room(path, begins)
        for inner in (room.client, room.scratch, path / "home"):
            inner.mkdir(parents=True)
        if once:
            self._assemble(snapshot, definitions, room.copy)
        else:
            start.copied(begins, room.copy)
        for shared in task.start.share:
            if (self._project.path / shared).exists() and not (room.copy / shared).exists():
                start.refuse_way_out(room.copy, shared)
                (room.copy / shared).parent.mkdir(parents=True, exist_ok=True)
                (room.copy / shared).symlink_to(self._project.path / shared)
        (room.client / _CLIENT_STATE).write_bytes(journal.encode(_trusted(room.copy)))
        return room

    def bare(self, name: str, snapshot: Path) -> Room:
        """Return a room for those who only look at starting files, without any definitions: nothing is copied."""
        path = places.inside(self._path, name)
        start.removed(path)
        path.mkdir(parents=True)
        (path / _COPY).symlink_to(snapshot)
        return self._room(path, snapshot)

    def _room(self, path: Path, begins: Path) -> Room:
        return Room(
            path, begins, self._variables(path), self._for(path), self.backend, self._environment, self._cancelled
        )

    def _prepared(self, snapshot: Path | None, definitions: str | None) -> Path:
        """Return a start with a set of definitions as a repository of its own, put together once for all attempts."""
        name = hashlib.sha256(f"{snapshot} {definitions}".encode()).hexdigest()[:16]
        place = self._path / places.PREPARED / name
        with self._lock:
            if not place.exists():
                made = place.with_name(f"{name}.new")
                start.removed(made)
                self._assemble(snapshot, definitions, made)
                made.rename(place)
        return place

    def _assemble(self, snapshot: Path | None, definitions: str | None, made: Path) -> None:
        made.mkdir(parents=True)
        if snapshot is not None:
            start.copied(snapshot, made)
        if definitions is not None:
            self.place(definitions, made)
        _committed(made)

    def place(self, definitions: str, copy: Path) -> None:
        """Write a candidate's or a release's files to where the client looks for them."""
        Project(copy).definitions.mkdir(exist_ok=True)
        for path, entry in self._store.manifest(definitions).items():
            own = path == manifest.OF_PROJECT
            place = copy / manifest.PROJECT_FILE if own else Project(copy).definition(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self._store.read(entry.sha256))
            place.chmod(0o755 if entry.mode == manifest.EXECUTABLE else 0o644)

    def _for(self, path: Path) -> Policy:
        return self._policy._replace(writable=(path,), project=path)

    def _variables(self, path: Path) -> dict[str, str]:
        scratch = str(path / "tmp")
        mine: dict[str, Any] = {
            "HOME": path / "home", "USERPROFILE": path / "home", "CLAUDE_CONFIG_DIR": path / "client",
            "XDG_CACHE_HOME": path / "home/.cache", "XDG_CONFIG_HOME": path / "home/.config",
            "XDG_DATA_HOME": path / "home/.local/share", "XDG_STATE_HOME": path / "home/.local/state",
            "TMPDIR": scratch, "TMP": scratch, "TEMP": scratch, "CLAUDE_CODE_TMPDIR": scratch,
            "PWD": path / "project", "PYTHONDONTWRITEBYTECODE": "1", "DISABLE_AUTOUPDATER": "1",
            VARIABLE: self._environment, "CLAUDE_PROJECT_DIR": path / "project",
        }  # fmt: skip
        kept = {name: value for name, value in self._kept.items() if not name.startswith(("AGENT_STUDIO_", "GIT_"))}
        return {**kept, **{name: str(value) for name, value in mine.items()}, "GIT_CONFIG_GLOBAL": os.devnull}


def _policy(context: Context, variables: Mapping[str, str], path: Path) -> Policy:
    """Return what an attempt may reach: nothing may be written but its own folder, and what `run` hides is hidden.

    Other people's temporary files are not seen either, unless the project itself is among them: that folder can only be
    shown as a whole, for it would have to be put together of what is there now, and much comes and goes.
    """
    base, project = policy_of(context, variables, is_client=True), context.project
    hidden = [*base.hidden, *_there(project.definition("evals"), project.path / STATE)]
    tops = [one for one in sorted(Path("/").iterdir()) if one.name not in _SKIPPED and not one.is_symlink()]
    readonly = dict.fromkeys([*base.readonly, *(one for one in tops if one.is_dir()), project.path])
    for place in _temporary():
        if project.path.is_relative_to(place):
            hidden = [one for one in hidden if not one.is_relative_to(place)]
            readonly[place] = None
        else:
            hidden.append(place)
            readonly.pop(place, None)
    return base._replace(
        hidden=tuple(hidden), readonly=tuple(readonly), writable=(), source="writable", project=path,
        guarded=frozenset(), doors=frozenset(), closed=frozenset(), absent=(),
    )  # fmt: skip


def _temporary() -> list[Path]:
    """Return the folders of temporary files, none inside another."""
    found = {Path(os.path.realpath(one)) for one in (tempfile.gettempdir(), *_TEMPORARY) if Path(one).is_dir()}
    return [one for one in sorted(found) if not any(one != other and one.is_relative_to(other) for other in found)]


def _there(*places: Path) -> list[Path]:
    return [Path(os.path.realpath(place)) for place in places if place.exists()]


def _trusted(copy: Path) -> dict[str, Any]:
    """Return what the client knows of a folder whose question it has answered: hooks of agents need it."""
    return {"hasCompletedOnboarding": True, "projects": {str(copy): {"hasTrustDialogAccepted": True}}}


def _committed(copy: Path) -> None:
    """Make the copy a repository of its own with one commit, so that an agent sees a clean tree; best effort."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (
        ("init", "-q", "--template="),
        ("-c", "core.bigFileThreshold=1", "add", "-A", "-f"),  # one pack, and not a file for each file
        ("commit", "-q", "--no-verify", "--allow-empty", "-m", "Start"),
    ):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ["git", "-C", str(copy), *_AUTHOR, *words], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                check=False, timeout=_GIT_SECONDS,
            )  # fmt: skip
