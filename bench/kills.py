"""Kill a command at every system call that changes a file, and look at what the next runs make of it.

The kills are planned from the trace of an undisturbed run and carried out by strace, so each happens exactly
where it was planned: on entry of the call, when everything before it is done and nothing of it is.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import clean_variables

from agent_studio.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FEW = ("--set", "testData.artifactsCount=6")
"""Few test artifacts: the calls that write them are all alike."""
_CALLS = (
    "openat", "write", "pwrite64", "ftruncate", "renameat", "renameat2", "mkdirat", "unlinkat", "linkat", "symlinkat",
    "fchmod", "fchmodat", "utimensat", "fsync",
)  # fmt: skip
_BY_DESCRIPTOR = {"write", "pwrite64", "ftruncate", "fchmod", "fsync"}
_CALL = re.compile(r"^(\w+)\((.*)$")
_CREATES = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")
_LEFT = re.compile(r"\.tmp$|^\.canary-|^\.smoke-")
_OWN = re.compile(r"/(?:archive|evidence)/")
_RANDOM = re.compile(r"\.(?:smoke|canary)-[0-9a-f]+|build-\d+-\w*|\d+-[0-9a-f]{8}\.tmp|\d{8}T\d+Z?[^/]*")
_USER_FILES = {
    "memory/learnings.md": b"# Learnings\n\nNot one byte of this may be lost.\n",
    "memory/notes of a user.md": b"Nor of this.\n",
    "metrics/hooks.jsonl": b'{"hook": "a record of a user"}\n',
    "context/evolution-state.json": b'{"currentPhase": "idle", "history": ["a record of a user"]}\n',
}

Tree = dict[str, bytes]


class NoTracingError(Exception):
    """The machine has no strace, or forbids it."""


@dataclass(frozen=True)
class Point:
    """One planned kill: the n-th call of that name, which changes that file."""

    call: str
    ordinal: int
    target: str

    def __str__(self) -> str:
        return f"{self.call} {self.ordinal} ({self.target})"


@dataclass(frozen=True)
class Scenario:
    """A command to be killed, on a project of which it makes something."""

    name: str
    command: Sequence[str]
    prepare: Callable[[Path], None]
    finish: Sequence[Sequence[str]] = field(default_factory=tuple)
    """Commands after the repairing `init` that bring the killed work to its end."""


def call(project: Path, *arguments: str) -> tuple[int, str]:
    """Run one command in this process, in staging; return its exit code and all it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*arguments, "--env", "staging", "--project", str(project)])
    return code, said.getvalue()


def command_line(project: Path, arguments: Sequence[str]) -> list[str]:
    """Return the same as a process of its own."""
    return [sys.executable, "-m", "agent_studio", *arguments, "--env", "staging", "--project", str(project)]


_SETTINGS = '{"hooks": {"Stop": [ {"hooks": [ { "type": "command", "command": "sh guard.sh" } ]} ]}}'


def _fresh(project: Path) -> None:
    (project / ".claude/agents").mkdir(parents=True)
    (project / ".claude/agents/reader.md").write_text("---\nname: reader\ndescription: Reads diffs.\n---\n\nRead.\n")
    (project / ".gitignore").write_bytes(b"build/\r\n*.log")


def _used(project: Path) -> None:
    _fresh(project)
    _must(project, "init", *FEW)
    for name, content in _USER_FILES.items():
        place = project / ".claude/staging" / name
        place.write_bytes(content)
        place.chmod(0o600)


def _grown(project: Path) -> None:
    _used(project)
    (project / ".claude/agents/writer.md").write_text("---\nname: writer\ndescription: Writes notes.\n---\n\nWrite.\n")


def _edited(project: Path) -> None:
    """Leave an index behind that the next question has to bring up to date."""
    _grown(project)
    _must(project, "kb", "build", *FEW)
    for name, text in (("reader", "Reads other diffs."), ("later", "Comes later.")):
        (project / f".claude/agents/{name}.md").write_text(f"---\nname: {name}\ndescription: {text}\n---\n\nText.\n")
    (project / ".claude/agents/writer.md").unlink()


def _flagged(project: Path) -> None:
    _used(project)
    _must(project, "flags", "set", "partyMode", "--off", "--reason", "trial", "--by", "trial")


def _hooked(project: Path) -> None:
    _used(project)
    _must(project, "hooks", "uninstall", "--yes")
    (project / ".claude/settings.json").write_text(_SETTINGS)


def _wired(project: Path) -> None:
    _hooked(project)
    _must(project, "hooks", "install", "--wrap")


def _must(project: Path, *arguments: str) -> None:
    code, said = call(project, *arguments)
    if code:
        raise RuntimeError(f"{arguments}: {code}: {said}")


_ON = ("flags", "set", "partyMode", "--on", "--reason", "trial", "--by", "trial")
_RESET = ("init", "--reset", "--yes", *FEW)
_INSTALL = ("hooks", "install", "--wrap")
_UNINSTALL = ("hooks", "uninstall", "--yes")
SCENARIOS = (
    Scenario("init", ("init", *FEW), _fresh),
    Scenario("init --reset", _RESET, _used),
    Scenario("kb build", ("kb", "build", *FEW), _grown, finish=(("kb", "build", *FEW),)),
    Scenario("kb list", ("kb", "list"), _edited, finish=(("kb", "list"),)),
    Scenario("flags set", _ON, _flagged, finish=(_ON,)),
    Scenario("hooks install", _INSTALL, _hooked, finish=(_INSTALL, _UNINSTALL)),
    Scenario("hooks uninstall", _UNINSTALL, _wired, finish=(_UNINSTALL,)),
)


def tracing_fault() -> str:
    """Return why nothing can be traced here; empty when it can."""
    try:
        done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "strace is not installed"
    return "" if done.returncode == 0 else f"strace cannot trace: {done.stderr.strip()}"


def _traced(project: Path, arguments: Sequence[str], log: Path, *inject: str) -> int:
    options = ["-qqq", "-y", "-s", "4096", "-e", "signal=none", "-e", f"trace={','.join(_CALLS)}", "-o", str(log)]
    done = subprocess.run(
        ["strace", *options, *inject, *command_line(project, arguments)],
        capture_output=True, env=_variables(), check=False,
    )  # fmt: skip
    return done.returncode


def _variables() -> dict[str, str]:
    """Return variables under which one run makes the calls of the next: nobody else's byte code comes in between."""
    return clean_variables() | {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": _compiled().name}


@functools.cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    """Return where the byte code of all that this process kills goes: to compile it anew takes longer than a kill."""
    return tempfile.TemporaryDirectory(prefix="compiled-")


def _points(log: Path, project: Path) -> Iterator[Point]:
    seen: dict[str, int] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if not (match := _CALL.match(line)):
            continue
        name, rest = match.groups()
        seen[name] = seen.get(name, 0) + 1
        if name == "openat" and not _CREATES.search(rest):
            continue
        target = _target(name, rest)
        if str(project) in target:
            yield Point(name, seen[name], _RANDOM.sub("*", target.replace(str(project), "")))


def _target(name: str, rest: str) -> str:
    """Return the files that a call's arguments name."""
    files = re.findall(r'<([^<>]*)>|"([^"]*)"', rest.rpartition(" = ")[0])
    if name in _BY_DESCRIPTOR:
        files = files[:1]  # what follows are bytes
    return " ".join(folder or file for folder, file in files)


class Matrix:
    """Every kill of one scenario, each on its own copy of the same project."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        if fault := tracing_fault():
            raise NoTracingError(fault)
        self.scenario = scenario
        self._folder = folder
        self._base = folder / "base"
        self._base.mkdir(parents=True)
        scenario.prepare(self._base)
        self._before = tree(self._base)
        self.points = self._plan()
        undisturbed = self._folder / "undisturbed"
        self._repair(undisturbed)
        self._expected = tree(undisturbed)

    def _plan(self) -> list[Point]:
        """Return the points of an undisturbed run; an untraced run before it compiles what is to be compiled."""
        log = self._folder / "log"
        subprocess.run(
            command_line(self._copy("undisturbed"), self.scenario.command), env=_variables(),
            capture_output=True, check=False,
        )  # fmt: skip
        undisturbed = self._copy("undisturbed")
        if _traced(undisturbed, self.scenario.command, log):
            raise RuntimeError(f"{self.scenario.name} fails undisturbed")
        return list(_points(log, undisturbed))

    def spread(self, count: int, part: int = 0, parts: int = 1) -> list[Point]:
        """Return about `count` points spread evenly over all, or one part of these."""
        count = min(count, len(self.points))
        chosen = [self.points[len(self.points) * number // count] for number in range(count)]
        return chosen[part::parts]

    def kill(self, point: Point) -> list[str]:
        """Kill at a point, repair, and return all that is not as it should be."""
        alike = (n for n, one in enumerate(self.points) if (one.call, one.target) == (point.call, point.target))
        place, happened = self.points.index(point) if point in self.points else next(alike, 0), ""
        for _ in range(3):  # modules compiled meanwhile move the calls: plan again
            project = self._copy("killed")
            inject = f"inject={point.call}:signal=KILL:when={point.ordinal}"
            code = _traced(project, self.scenario.command, self._folder / "log", "-e", inject)
            died = list(_points(self._folder / "log", project))
            if code == -signal.SIGKILL and died and died[-1] == point:
                return [f"{point}: {fault}" for fault in self._faults(project)]
            happened = f"code {code}, last {died[-1] if died else 'nothing'}"
            self.points = self._plan()
            point = self.points[min(place, len(self.points) - 1)]
        return [f"{point}: the planned kill did not happen ({happened})"]

    def kill_after(self, seconds: float) -> list[str]:
        """Kill after a delay and repair; a process that is done by then is tried again with half of it."""
        project = self._copy("killed")
        process = subprocess.Popen(
            command_line(project, self.scenario.command), env=clean_variables(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            return self.kill_after(seconds / 2)
        return [f"after {seconds:.3f} s: {fault}" for fault in self._faults(project)]

    def _copy(self, name: str) -> Path:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._base, place, symlinks=True)
        return place

    def _repair(self, project: Path) -> None:
        for arguments in (("init", *FEW), *self.scenario.finish, ("smoke",)):
            code, said = call(project, *arguments)
            if code:
                raise _UnrepairedError(f"{' '.join(arguments)} gives {code}: {said[-600:]}")

    def _faults(self, project: Path) -> Iterator[str]:
        yield from lost(self._before, tree(project), "killed")
        try:
            self._repair(project)
        except _UnrepairedError as fault:
            yield str(fault)
            return
        after = tree(project)
        yield from (f"left behind: {name}" for name in after if _LEFT.search(name.rpartition("/")[2]))
        yield from lost(self._before, after, "repaired")
        yield from self._differences(after)

    def _differences(self, after: Mapping[str, bytes]) -> Iterator[str]:
        """Compare with the undisturbed result; what a reset put aside was compared with what was there before.

        What the smoke tests leave as evidence has a name of its own each time.
        """
        expected, found = (
            {name: data for name, data in files.items() if not _OWN.search(name) and not _LEFT.search(name)}
            for files in (self._expected, after)
        )
        yield from (f"missing: {name}" for name in expected.keys() - found.keys())
        yield from (f"unexpected: {name}" for name in found.keys() - expected.keys() if name not in self._before)
        for name in expected.keys() & found.keys():
            if name.startswith(".agent-studio/wiring/"):
                continue  # a hash of what holds the project's path
            if name.endswith("flags.jsonl"):
                if found[name].count(b"\n") < expected[name].count(b"\n") - 1 or not found[name].endswith(b"\n"):
                    yield f"journal damaged: {name}"
            elif name.endswith(".sqlite3"):
                if indexed(self._folder / "killed" / name) != indexed(self._folder / "undisturbed" / name):
                    yield f"differs: {name}"
            elif name.endswith("/log.jsonl"):  # times and process ids
                if not all(map(_is_entry, found[name].splitlines(keepends=True))):
                    yield f"log damaged: {name}"
            elif found[name] not in {expected[name], self._before.get(name)}:
                yield f"differs: {name}"


class _UnrepairedError(Exception):
    """A command after the kill failed."""


def tree(project: Path) -> Tree:
    """Return every file below a folder with its bytes; the folder's own path in them is the same wherever it is."""
    here = re.compile(re.escape(os.fsencode(project.resolve().parent)) + rb"/\w+")  # or that of its twins beside it
    return {
        place.relative_to(project).as_posix(): here.sub(b"<project>", place.read_bytes())
        for place in sorted(project.rglob("*"))
        if place.is_file() and not place.is_symlink()
    }


def indexed(place: Path) -> list[tuple[str, str]]:
    """Return path and hash of all that an index holds; the bytes of its file depend on times and on the order."""
    with contextlib.closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute("SELECT path, sha256 FROM artifact ORDER BY path").fetchall()


def _is_entry(line: bytes) -> bool:
    return line.endswith(b"}\n") and "event" in json.loads(line)


def lost(before: Mapping[str, bytes], after: Mapping[str, bytes], when: str) -> Iterator[str]:
    """Yield the files whose content is found nowhere any more; derived and grown ones count as kept."""
    kept = set(after.values())
    for name, data in before.items():
        derived = name.endswith((".csv", ".sqlite3", ".yaml")) or name.startswith(".agent-studio/wiring/")
        ours = name in after and derived
        ours = ours or name.endswith(("settings.json", "settings.local.json"))  # compared when it is all over
        if data and not ours and data not in kept and not after.get(name, b"").startswith(data):
            yield f"{when}: bytes of {name} are lost"


@contextlib.contextmanager
def matrix(scenario: Scenario) -> Iterator[Matrix]:
    """Give a scenario's matrix in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield Matrix(scenario, Path(folder).resolve())
