"""Puts the recorder in place: compiled where there is a C compiler, its Python twin elsewhere, proved by a probe."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent_studio.capture.recorder import decision, routes
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.roots import STATE
from agent_studio.errors import StorageError
from agent_studio.storage import user_cache
from agent_studio.storage.folder import Folder, disk_faults
from agent_studio.storage.temporaries import is_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.roots import Project

Kind = Literal["native", "python"]

BIN = f"{STATE}/bin"
STAMP = "recorder.json"
COMPILERS: tuple[str, ...] = ("cc", "gcc", "clang")
_SOURCE = Path(__file__).with_name("recorder.c")
_TWIN = Path(__file__).with_name("twin.py")
_BESIDE_TWIN = Path(__file__).with_name("twin_exec.py")
_PROGRAMS: Mapping[str, str] = {"native": "recorder", "python": "recorder.py"}
_COMPILE_SECONDS = 30
_PROBE_SECONDS = 10
_PROGRAM_MODE = 0o755
_BUILD = "build-{}-"
_BUILD_NAME = re.compile(r"build-([0-9]{1,9})-")
_PROBE = b'{"hook_event_name":"Probe",\n"text":"\xc3\xbc"}'
_RECORDED = re.compile(
    rb'\{"ts":[0-9]{16,20},"pid":[0-9]+,"kind":"hook","payload":' + re.escape(_PROBE.replace(b"\n", b" ")) + rb"\}\n"
)
_INIT = "agent-studio init"
_ROUTE = (
    "set AGENT_STUDIO_ENV where the client starts to an environment that is there (agent-studio init --env NAME), "
    f"then move {STATE}/{routes.UNROUTED} away"
)

_OTHER_DAEMON = (
    "wire the project without --transport http (agent-studio hooks install): a daemon takes one environment's events "
    f"only; then move {STATE}/{routes.UNROUTED} away"
)


@dataclass(frozen=True)
class Installed:
    """The recorder in place."""

    kind: Kind
    path: Path
    """The program: an executable, or the Python file."""
    command: tuple[str, ...]
    """What starts it; `exec` and its arguments may follow."""
    source_sha256: str
    """Of the source it was made from."""
    reason: str = ""
    """Why it is not native."""
    decide: tuple[str, ...] = ()
    """The command of a decision hook: the native client, or the cold Python command; `--closed` may follow."""

    @property
    def current(self) -> bool:
        """Whether it was made from this version's source."""
        return self.source_sha256 == _source_sha256(self.kind)


def install(project: Project) -> Installed:
    """Build and prove recorder and decision client and put them in place; what is current and works is kept.

    Raises `StorageError` when neither the recorder's program nor its twin works here.
    """
    folder = Folder(project.path, BIN)
    folder.make()
    _sweep(folder)
    present = installed(project)
    native = compiler() is not None
    if present and present.current and _still_best(present) and decision.current(project, compiles=native):
        return present
    prefix = _BUILD.format(os.getpid())
    with disk_faults(folder.path), tempfile.TemporaryDirectory(dir=folder.path, prefix=prefix) as build:
        if not (present and present.current and _still_best(present)):
            present = _install_recorder(project, Path(build))
        command = decision.install(project, lambda: _decision_client(Path(build)), _replace_program)
    return replace(present, decide=command)


def _install_recorder(project: Project, place: Path) -> Installed:
    made = _compiled(_SOURCE, place / "compiled", lambda program: _native_fault(program, place))
    if made.data is not None:
        return _put(project, "native", made.data, command=())
    reason = made.reason
    twin, words = _TWIN.read_bytes(), _interpreter()
    fault = _fault((*words, str(_placed(place, "python", twin))), place)
    if fault:
        raise StorageError(
            f"the recorder works neither compiled ({reason}) nor in Python ({fault})",
            hint=f"install a C compiler or check that {words[0]} can be run, then run the command again",
        )
    return _put(project, "python", twin, command=words, reason=reason)


def installed(project: Project) -> Installed | None:
    """Return the recorder in place, or None when there is none or it is not what was put there."""
    folder = Folder(project.path, BIN)
    try:
        stamp = json.loads(folder.read(STAMP))
        kind, reason = stamp["kind"], str(stamp["reason"])
        program = folder.read(_PROGRAMS[kind])
        whole = kind == "native" or bool(folder.status(_BESIDE_TWIN.name))
        if not whole or hashlib.sha256(program).hexdigest() != stamp["programSha256"]:
            return None
        path = folder.path / _PROGRAMS[kind]
        command = (*map(str, stamp["interpreter"]), str(path))
        return Installed(kind, path, command, str(stamp["sourceSha256"]), reason, decision.command(project))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def findings(project: Project) -> Iterator[Finding]:
    """Yield what there is to say about the recorder and about events that had no route."""
    present = installed(project)
    if present is None:
        used = bool(routes.read(project))
        severity = Severity.WARNING if used else Severity.INFO
        yield Finding("recorder-missing", severity, "the recorder is not in place: no event is recorded", _INIT, True)
    elif not present.current:
        yield Finding("recorder-stale", Severity.WARNING, "the recorder is of another version", _INIT, True)
    elif fault := _fault_in_place(present):
        yield Finding("recorder-broken", Severity.WARNING, f"the recorder does not work: {fault}", _INIT, True)
    elif present.kind == "python":
        message = f"the recorder runs in Python, slower than the compiled one: {present.reason}"
        yield Finding("recorder-python", Severity.INFO, message, f"install a C compiler, then: {_INIT}")
    else:
        yield Finding("recorder", Severity.OK, f"the recorder is in place: {BIN}/{present.path.name}")
    if present and not decision.current(project):
        yield Finding(
            "decide-stale", Severity.WARNING, "the decision client is missing or of another version", _INIT, True
        )
    if lost := routes.unrouted(project):
        newest = f", the newest of {lost.environment!r}: {lost.reason}" if lost.reason else ""
        message = f"{lost.count} events went to no environment but to {STATE}/{routes.UNROUTED}{newest}"
        fix = _OTHER_DAEMON if lost.reason.startswith("sent to the daemon") else _ROUTE
        yield Finding("unrouted", Severity.WARNING, message, fix)


def compiler() -> str | None:
    """Return the C compiler on PATH, or None."""
    if os.name == "nt":  # the program is written for POSIX
        return None
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def compile_to(target: Path, *options: str, source: Path | None = None) -> str:
    """Compile the recorder, or another source; return why it failed, or an empty text."""
    found = compiler()
    if found is None:
        return "no C compiler was found" if os.name != "nt" else "the program is for POSIX systems"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AGENT_STUDIO_")}
    try:
        done = subprocess.run(
            [found, "-O2", *options, "-o", str(target), str(source or _SOURCE)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMPILE_SECONDS, env=variables, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{found} could not be run: {error}"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"{found} failed: {(said or [f'exit code {done.returncode}'])[-1]}" if done.returncode else ""


def _compiled(source: Path, target: Path, fault: Callable[[bytes], str]) -> decision.Program:
    """Return what the compiler makes of a source, from this user's cache where it was made before, once proved."""
    found = compiler()
    name = _cached_as(decision.code(source), found) if found else None
    kept = user_cache.load(name)
    if kept is not None and not fault(kept):
        return decision.Program(kept)
    reason = compile_to(target, source=source)
    if reason:
        return decision.Program(None, reason)
    program = target.read_bytes()
    if said := fault(program):
        return decision.Program(None, said)
    user_cache.store(name, program)
    return decision.Program(program)


def _native_fault(program: bytes, place: Path) -> str:
    said = _fault((str(_placed(place, "native", program)),), place)
    return said and "the compiled program did not record the probe"


def _decision_client(place: Path) -> decision.Program:
    target = place / "compiled-decide"
    return _compiled(decision.SOURCE, target, lambda program: decision.fault(program, place))


def _interpreter() -> tuple[str, ...]:
    """Return the real interpreter: a version manager's shim costs ten times what the recorder does."""
    real = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    return real, "-I", "-S"


def _still_best(present: Installed) -> bool:
    improvable = present.kind == "python" and compiler() is not None
    return not improvable and not _fault_in_place(present)


def _fault_in_place(present: Installed) -> str:
    """Return why the recorder in place cannot be started, or an empty text; nothing is recorded."""
    if present.kind == "native":
        return "" if os.access(present.path, os.X_OK) else "it is not executable"
    return "" if os.access(present.command[0], os.X_OK) else f"{present.command[0]} is gone"


def _placed(place: Path, kind: Kind, program: bytes) -> Path:
    """Lay out a project below `place` as the recorder expects it; return the program in it."""
    folder = place / kind / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _PROGRAMS[kind]
    target.write_bytes(program)
    target.chmod(_PROGRAM_MODE)
    inbox = place / kind / "inbox.jsonl"
    inbox.unlink(missing_ok=True)
    (place / kind / routes.FILE).write_bytes(b"staging\t" + os.fsencode(inbox) + b"\t1000000\n")
    return target


def _fault(command: tuple[str, ...], place: Path) -> str:
    """Record a probe with a laid-out recorder; return what went wrong, or an empty text."""
    try:
        done = subprocess.run(
            command, input=_PROBE, capture_output=True, timeout=_PROBE_SECONDS, check=False,
            env={**os.environ, "AGENT_STUDIO_ENV": "staging"}, cwd=place,
        )  # fmt: skip
        line = Path(command[-1]).parent.with_name("inbox.jsonl").read_bytes()
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode or done.stdout or done.stderr:
        return f"exit code {done.returncode}"
    return "" if _RECORDED.fullmatch(line) else "the probe's line is wrong"


def _put(project: Project, kind: Kind, program: bytes, *, command: tuple[str, ...], reason: str = "") -> Installed:
    folder = Folder(project.path, BIN)
    if kind == "python":
        folder.replace(_BESIDE_TWIN.name, _BESIDE_TWIN.read_bytes())
    _replace_program(folder, _PROGRAMS[kind], program)
    stamp = {
        "kind": kind,
        "sourceSha256": _source_sha256(kind),
        "programSha256": hashlib.sha256(program).hexdigest(),
        "interpreter": list(command),
        "reason": reason,
    }
    folder.replace(STAMP, json.dumps(stamp, indent=2).encode() + b"\n")
    path = folder.path / _PROGRAMS[kind]
    return Installed(kind, path, (*command, str(path)), stamp["sourceSha256"], reason)  # type: ignore[arg-type]


def _replace_program(folder: Folder, name: str, program: bytes) -> None:
    """Exchange the program while hooks may be starting it: it is executable from the moment it has its name."""
    new = _BUILD.format(os.getpid()) + name
    folder.replace(new, program)
    descriptor = folder.open(new)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, _PROGRAM_MODE)
    finally:
        os.close(descriptor)
    folder.move(new, folder, name)


def _source_sha256(kind: Kind) -> str:
    python = (_TWIN, _BESIDE_TWIN)
    made_of = decision.code(_SOURCE) if kind == "native" else b"".join(source.read_bytes() for source in python)
    return hashlib.sha256(made_of).hexdigest()


def _sweep(folder: Folder) -> None:
    """Remove what builds that were killed have left."""
    folder.sweep()
    for name in folder.names():
        made = _BUILD_NAME.match(name)
        status = folder.status(name)
        if made and status and is_dead(int(made[1]), status):
            folder.remove_tree(name) if stat.S_ISDIR(status.st_mode) else folder.remove(name)


def _cached_as(source: bytes, compiler: str) -> str | None:
    """Return the name of what a compiler, as it is now, makes of a source here; None when it cannot be told."""
    try:
        real = os.path.realpath(compiler)
        status = os.stat(real)  # noqa: PTH116 - beside realpath
    except OSError:
        return None
    words = (
        hashlib.sha256(source).hexdigest(), real, str(status.st_mtime_ns), str(status.st_size), sys.platform,
        platform.machine(),
    )  # fmt: skip
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
