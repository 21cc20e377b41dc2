"""Tries to reach protected places by every route that we know, from inside a boundary, and says what reached.

Each route is tried twice, on planted files of its own: once without a boundary, which shows that the route leads
somewhere on this machine, and once inside. What was reached is judged from outside: by a random value that only the
planted files hold, and by what became of them.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError
from agent_studio.isolation import planting
from agent_studio.isolation.routes import changing, machine, outside, reading
from agent_studio.isolation.routes.attempt import PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent_studio.isolation.planting import Victim
    from agent_studio.storage.folder import Folder

    Start = Callable[[Sequence[str]], object]
    """Starts a command inside a boundary and waits for its end."""

BLOCKED, REACHES, IMPOSSIBLE, NOT_TRIED = "blocked", "reaches", "not possible here", "not tried"
PLACE = "probe"
"""Where a probe writes, in the environment's state folder."""
HIDDEN_PLACE, READONLY_PLACE = "read a hidden place", "write to a read-only place"
GUARDED_PLACE = "write to what starts code later"
_OF_PLACES = {HIDDEN_PLACE, READONLY_PLACE, GUARDED_PLACE}
ON_HIDDEN = tuple(name for table in (reading, changing, machine) for name in table.ROUTES if name not in _OF_PLACES)
"""The routes to a hidden folder."""
ON_READONLY = tuple(name for name in changing.ROUTES if name not in _OF_PLACES)
"""The routes to a folder that may be read."""
_CHILD = Path(reading.__file__).with_name("child.py")
_LIMIT_S = 60
_WITH_FOLDER = frozenset(("remove a folder", "rename a folder out"))
_WITH_DATABASE = frozenset(("SQLite ATTACH", "SQLite ATTACH and INSERT"))
OF_PROCESSES = frozenset(
    (
        "memory of a process", "/proc/PID/mem", "/proc/PID/environ", "pidfd_getfd", "ptrace", "abstract socket",
        "socket in a hidden folder", "signal to a process",
    )
)  # fmt: skip
"""These need a process outside, which holds a file of the first target; for the others we are one."""
_OF_DISK = frozenset(("raw disk", "mknod of the disk"))


class ProbeError(AgentStudioError):
    """The probe itself could not be carried out."""

    code = "probe"


@dataclass(frozen=True)
class Target:
    """A protected folder in which files are planted, and how it is to be reached."""

    name: str
    """What it is, such as `data of production`."""
    folder: Path
    routes: Sequence[str]


@dataclass(frozen=True)
class Asked:
    """All that is to be tried; processes outside and inherited descriptors are about the first target."""

    targets: Sequence[Target]
    hidden: Sequence[Path] = ()
    """Places that are looked into, and nothing is planted there."""
    readonly: Sequence[Path] = ()
    """Places that are opened for writing, and nothing is written."""
    guarded: Sequence[Path] = ()
    """The same, of what starts code outside of the boundary later."""
    more: Sequence[Path] = ()
    """Files with further routes: each has `ROUTES`, a table of name and function."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What those need."""


@dataclass(frozen=True)
class Route:
    """What one way to a target came to."""

    name: str
    target: str
    verdict: str
    """`blocked`, `reaches`, `not possible here` (it leads nowhere without a boundary either), or `not tried`."""
    detail: str
    """How it was refused, or what was seen from outside."""


@dataclass(frozen=True)
class _Try:
    """One route to one place, and what was planted for it."""

    route: str
    target: str
    attempt: dict[str, Any]
    victim: Victim | None = None

    def seen(self, said: Mapping[str, Any], nonce: bytes, planted: Sequence[Victim], *, signalled: bool) -> str:
        """Return what was reached, as seen from outside; empty when nothing was."""
        got = bytes.fromhex(said.get("got") or "")
        if self.victim is None:
            return "" if "error" in said else "it opened"
        if self.route == "signal to a process":
            return "the process outside was reached" if signalled else ""
        if self.route in machine.ROUTES:
            return f"it opened {got.decode(errors='replace')} for writing" if got else ""
        if nonce in got:
            return "it read the planted value"
        if any(victim.name.encode() in got for victim in planted):
            return "it saw the planted name"
        if got == f"size {len(self.victim.content)}".encode():
            return "it saw the planted size"
        return self.victim.changed()


def attack(asked: Asked, state: Folder, start: Start) -> list[Route]:
    """Try everything that is asked outside and inside of a boundary.

    `state` is a folder that may be written to inside. Raises `AgentStudioError` where nothing can be planted.
    """
    for target in asked.targets:
        planting.sweep(target.folder)
    control = _round(asked, state, _unprotected)
    inside = _round(asked, state, start)  # not at the same time: a run does not start while there are hard links
    return [_judged(one, *before, *after) for (one, *before), (_, *after) in zip(control, inside, strict=True)]


def _judged(one: _Try, without: str, _said: str, reached: str, said: str) -> Route:
    """Judge by what was reached without a boundary and inside, and by what the route said there."""
    if not said:
        return Route(one.route, one.target, NOT_TRIED, "nothing was heard of it")
    if reached:
        return Route(one.route, one.target, REACHES, reached)
    return Route(one.route, one.target, BLOCKED if without else IMPOSSIBLE, said)


def _unprotected(argv: Sequence[str]) -> object:
    return subprocess.run(argv, check=False, timeout=_LIMIT_S, close_fds=False)


def _round(asked: Asked, state: Folder, start: Start) -> list[tuple[_Try, str, str]]:
    """Plant, try everything once, and remove what was planted; return each try, what it reached, and what it said."""
    nonce = secrets.token_hex(16).encode()
    with ExitStack() as stack:
        place = stack.enter_context(_workplace(state))
        tries, spare = _planted(asked, nonce, stack)
        found: dict[str, Any] = {"mounts": _mounts(), "pid": os.getpid()}
        helper = None
        if spare:
            found["descriptor"] = stack.enter_context(_held(spare.file))
            stack.enter_context(_held(spare.folder.path))
            if OF_PROCESSES & {one.route for one in tries}:
                helper = stack.enter_context(_outside(spare, nonce, place.path.name))
                found |= helper.found
        said = _tried(place, [one.attempt for one in tries], found, start, asked.more)
        signalled = helper is not None and helper.signalled()
        planted = [one.victim for one in tries if one.victim]
        return [
            (one, one.seen(heard, nonce, planted, signalled=signalled), str(heard.get("error") or "it got nothing"))
            if heard else (one, "", "")
            for one, heard in zip(tries, said, strict=True)
        ]  # fmt: skip


def _planted(asked: Asked, nonce: bytes, stack: ExitStack) -> tuple[list[_Try], Victim | None]:
    """Plant a file for every try, and a spare one in the first target."""
    tries: list[_Try] = []
    spare = None
    for target in asked.targets:
        kinds = [
            planting.FOLDER if name in _WITH_FOLDER else planting.DATABASE if name in _WITH_DATABASE else planting.FILE
            for name in target.routes
        ]
        victims = stack.enter_context(planting.planted(target.folder, [planting.FILE, *kinds], nonce))
        spare = spare or victims[0]
        disk = planting.on_disk(victims[0].file, len(victims[0].content)) if _OF_DISK & set(target.routes) else {}
        for name, victim in zip(target.routes, victims[1:], strict=True):
            after = victims[0] if name in _OF_DISK else victim
            tries.append(_Try(name, target.name, _attempt(name, after, {**asked.given, "disk": disk}), victim))
    nothing = dict.fromkeys(("file", "folder", "inner"), "")
    looked = ((HIDDEN_PLACE, asked.hidden), (READONLY_PLACE, asked.readonly), (GUARDED_PLACE, asked.guarded))
    for route, places in looked:
        tries += [_Try(route, str(path), {"route": route, **nothing, "given": {"place": str(path)}}) for path in places]
    return tries, spare


def _attempt(route: str, victim: Victim, given: Mapping[str, Any]) -> dict[str, Any]:
    file = str(victim.file)
    return {
        "route": route,
        "file": file,
        "folder": str(victim.folder.path),
        "inner": str(victim.inner_path),
        "given": {"database": file, "group": _other_group(), **given},
    }


def _tried(
    place: Folder, attempts: Sequence[dict[str, Any]], found: Mapping[str, Any], start: Start, more: Sequence[Path]
) -> list[dict[str, Any] | None]:
    """Let the child try a plan; return what it said of each attempt, None where it said nothing."""
    place.make("scratch")
    plan = {
        "result": str(place.path / "result"),
        "scratch": str(place.path / "scratch"),
        "outside": dict(found),
        "more": [str(path) for path in more],
        "attempts": list(attempts),
    }
    place.create("plan", json.dumps(plan).encode())
    start((sys.executable, "-I", "-S", "-B", str(_CHILD), str(place.path / "plan")))
    heard: list[dict[str, Any] | None] = [None] * len(attempts)
    with suppress(FileNotFoundError):
        for line in place.read("result").splitlines():
            with suppress(ValueError):
                one = json.loads(line)
                heard[one["number"]] = one
    return heard


@contextmanager
def _workplace(state: Folder) -> Iterator[Folder]:
    """Give a folder to work in; what killed probes left beside it is removed."""
    state.make(PLACE)
    above = state.at(PLACE)
    planting.sweep(above.path)
    name = f"{PLANTED}{secrets.token_hex(6)}"
    above.make(name)
    try:
        yield above.at(name)
    finally:
        above.remove_tree(name)


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """Hold something protected open, in a way that a command inherits unless it is kept from it."""
    descriptor = os.open(path, os.O_RDONLY | (getattr(os, "O_DIRECTORY", 0) if path.is_dir() else 0))
    try:
        os.set_inheritable(descriptor, True)
        yield descriptor
    finally:
        os.close(descriptor)


class _Helper:
    """A process that stays outside and holds a planted file."""

    def __init__(self, process: subprocess.Popen[bytes], found: dict[str, Any]) -> None:
        self._process = process
        self.found = found

    def signalled(self) -> bool:
        """End it, and return whether a signal had reached it."""
        said, _ = self._process.communicate(timeout=_LIMIT_S)
        return b"signalled" in said


@contextmanager
def _outside(victim: Victim, nonce: bytes, name: str) -> Iterator[_Helper]:
    argv = (sys.executable, "-I", "-S", "-B", str(outside.__file__), str(victim.file), name)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PROBE": nonce.decode()}
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise ProbeError("the probe's process outside did not start", hint="see what it wrote above")
            yield _Helper(process, json.loads(line))
        finally:
            process.kill()


def _mounts() -> str:
    try:
        return str(Path("/proc/self/ns/mnt").readlink())
    except OSError:
        return ""


def _other_group() -> int:
    """Return a group that a file can be given to: one of ours that is not the first, or any for root."""
    own = os.getgid() if hasattr(os, "getgid") else 0
    others = [group for group in (os.getgroups() if hasattr(os, "getgroups") else ()) if group != own]
    return others[0] if others else own + 1
