"""Tries to reach protected places by every route that we know, from inside a boundary, and says what reached.

Each route is tried twice, on planted files of its own: once without a boundary, which shows that the route leads
somewhere on this machine, and once inside. What was reached is judged from outside: by a random value that only the
planted files hold, and by what became of them.
"""

from __future__ import annotations

import json
import os
import runpy
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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from agent_studio.isolation.planting import Victim
    from agent_studio.storage.folder import Folder

    Start = Callable[[Sequence[str]], object]
    """Starts a command inside a boundary and waits for its end."""

BLOCKED, REACHES, IMPOSSIBLE, NOT_TRIED = "blocked", "reaches", "not possible here", "not tried"
PLACE = "probe"
"""Where a probe writes, in the environment's state folder."""
HIDDEN_PLACE, READONLY_PLACE = "read a hidden place", "write to a read-only place"
_HERE = Path(reading.__file__).parent
_LIMIT_S = 60
_WITH_FOLDER = frozenset(("remove a folder", "rename a folder out"))
_WITH_DATABASE = frozenset(("SQLite ATTACH", "SQLite ATTACH and INSERT"))
_OF_DISK = frozenset(("raw disk", "mknod of the disk"))
_OF_PLACES = frozenset((HIDDEN_PLACE, READONLY_PLACE))


class ProbeError(AgentStudioError):
    """The probe itself could not be carried out."""

    code = "probe"


@dataclass(frozen=True)
class Target:
    """A protected folder in which files can be planted."""

    name: str
    """What it is, such as `data of production`."""
    folder: Path
    hidden: bool
    """Whether reading it is to be refused as well."""


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
class Ways:
    """Which routes are tried."""

    only: Collection[str] = ()
    """Names; all when empty."""
    more: Sequence[Path] = ()
    """Files with further routes, each with `READING` and `CHANGING`, tables of name and function."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What those need."""

    def of(self, target: Target) -> list[str]:
        """Return the routes to a target."""
        further = [runpy.run_path(str(path)) for path in self.more]
        tables: list[Mapping[str, object]] = [changing.ROUTES, *(one["CHANGING"] for one in further)]
        if target.hidden:
            tables = [reading.ROUTES, *(one["READING"] for one in further), *tables, machine.ROUTES]
        names = [name for table in tables for name in table if name not in _OF_PLACES]
        return [name for name in names if not self.only or name in self.only]


@dataclass(frozen=True)
class Seen:
    """What one attempt came to, as seen from outside."""

    reached: str
    """What was reached; empty when nothing was."""
    refusal: str
    """What the route said."""


def attack(target: Target, state: Folder, start: Start, ways: Ways = Ways()) -> list[Route]:
    """Try every route to a target inside and outside of a boundary.

    `state` is a folder that may be written to inside. Raises `AgentStudioError` where nothing can be planted.
    """
    planting.sweep(target.folder)
    names = ways.of(target)
    control = _round(target, names, state, _unprotected, ways)
    inside = _round(target, names, state, start, ways)
    return [_judged(name, target.name, control.get(name), inside.get(name)) for name in names]


def look(places: Mapping[str, Sequence[Path]], state: Folder, start: Start) -> list[Route]:
    """Look into every protected place without planting anything; `places` is by route, hidden or read-only."""
    asked = [(route, place) for route, paths in places.items() for place in paths]
    nothing = dict.fromkeys(("file", "folder", "inner"), "")
    attempts = [{"route": route, **nothing, "given": {"place": str(place)}} for route, place in asked]
    rounds = []
    for begin in (_unprotected, start):
        with _workplace(state) as place:
            said = _tried(place, attempts, {"mounts": _mounts()}, begin, ())
        rounds.append([one and Seen("" if "error" in one else "it opened", one.get("error", "")) for one in said])
    return [
        _judged(route, str(place), before, after)
        for (route, place), before, after in zip(asked, *rounds, strict=True)
    ]  # fmt: skip


def _judged(name: str, target: str, control: Seen | None, inside: Seen | None) -> Route:
    if inside is None:
        return Route(name, target, NOT_TRIED, "the probe said nothing")
    if inside.reached:
        return Route(name, target, REACHES, inside.reached)
    if control is None or not control.reached:
        return Route(name, target, IMPOSSIBLE, control.refusal if control else "")
    return Route(name, target, BLOCKED, inside.refusal)


def _unprotected(argv: Sequence[str]) -> object:
    return subprocess.run(argv, check=False, timeout=_LIMIT_S, close_fds=False)


def _round(
    target: Target, names: Sequence[str], state: Folder, start: Start, ways: Ways
) -> dict[str, Seen]:
    """Plant, try every route once, see what became of what was planted, and remove it."""
    nonce = secrets.token_hex(16).encode()
    folders = [number for number, name in enumerate(names) if name in _WITH_FOLDER]
    bases = [number for number, name in enumerate(names) if name in _WITH_DATABASE]
    victims: list[Victim] = []
    with ExitStack() as stack:
        place = stack.enter_context(_workplace(state))
        stack.callback(lambda: planting.remove(target.folder, victims))
        victims += planting.plant(target.folder, len(names) + 1, nonce, folders=folders, bases=bases)
        helper = stack.enter_context(_outside(victims[-1], nonce, place.path.name))
        stack.enter_context(_handed_down(target.folder))
        spare = victims[-1]
        disk = planting.on_disk(spare.file, len(spare.content))
        attempts = [
            _attempt(name, spare if name in _OF_DISK else victim, {**ways.given, "disk": disk})
            for name, victim in zip(names, victims, strict=False)
        ]
        said = _tried(place, attempts, {**helper.found, "mounts": _mounts()}, start, ways.more)
        signalled = helper.signalled()
        seen = {
            name: _seen(name, one, victim, nonce, [other.name for other in victims], signalled=signalled)
            for name, victim, one in zip(names, victims, said, strict=False)
            if one
        }
    return seen


def _attempt(route: str, victim: Victim, given: Mapping[str, Any]) -> dict[str, Any]:
    file = str(victim.file)
    return {
        "route": route,
        "file": file,
        "folder": str(victim.folder.path),
        "inner": str(victim.inner_path),
        "given": {"database": file, "group": _other_group(), **given},
    }


def _seen(
    name: str, said: Mapping[str, Any], victim: Victim, nonce: bytes, planted: Collection[str], *, signalled: bool
) -> Seen:
    got = bytes.fromhex(said.get("got") or "")
    refusal = str(said.get("error") or "it got nothing")
    if name not in machine.ROUTES:
        if nonce in got:
            return Seen("it read the planted value", refusal)
        if any(other.encode() in got for other in planted):
            return Seen("it saw the planted name", refusal)
        if got == f"size {len(victim.content)}".encode():
            return Seen("it saw the planted size", refusal)
    if name in machine.ROUTES and got:
        if name == "signal to a process":
            return Seen("the process outside was reached" if signalled else "", refusal)
        return Seen(f"it opened {got.decode(errors='replace')} for writing", refusal)
    return Seen(victim.changed(), refusal)


def _tried(
    place: Folder, attempts: Sequence[dict[str, Any]], outside_found: Mapping[str, Any], start: Start,
    more: Sequence[Path],
) -> list[dict[str, Any] | None]:  # fmt: skip
    """Let the child try a plan; return what it said of each attempt, None where it said nothing."""
    place.make("scratch")
    plan = {
        "result": str(place.path / "result"),
        "scratch": str(place.path / "scratch"),
        "outside": dict(outside_found),
        "more": [str(path) for path in more],
        "attempts": list(attempts),
    }
    place.create("plan", json.dumps(plan).encode())
    start((sys.executable, "-I", "-S", "-B", str(_HERE / "child.py"), str(place.path / "plan")))
    found: list[dict[str, Any] | None] = [None] * len(attempts)
    with suppress(FileNotFoundError):
        for line in place.read("result").splitlines():
            with suppress(ValueError):
                one = json.loads(line)
                found[one["number"]] = one
    return found


@contextmanager
def _workplace(state: Folder) -> Iterator[Folder]:
    """Give a folder to work in; what killed probes left beside it is removed."""
    state.make(PLACE)
    above = state.at(PLACE)
    planting.sweep(above.path)
    name = f"{planting.PLANTED}{secrets.token_hex(6)}"
    above.make(name)
    try:
        yield above.at(name)
    finally:
        above.remove_tree(name)


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
def _handed_down(folder: Path) -> Iterator[None]:
    """Hold a protected folder open, in a way that a command inherits unless it is kept from it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.set_inheritable(descriptor, True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _outside(victim: Victim, nonce: bytes, name: str) -> Iterator[_Helper]:
    argv = (sys.executable, "-I", "-S", "-B", outside.__file__, str(victim.file), name)
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
        return os.readlink("/proc/self/ns/mnt")
    except OSError:
        return ""


def _other_group() -> int:
    """Return a group that a file can be given to: one of ours that is not the first, or any for root."""
    own = os.getgid() if hasattr(os, "getgid") else 0
    others = [group for group in (os.getgroups() if hasattr(os, "getgroups") else ()) if group != own]
    return others[0] if others else own + 1
