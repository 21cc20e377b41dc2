"""Which command runs a project's own tests, and running it to its end in a process group of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_GRACE_S = 3.0
_CHUNK_BYTES = 1 << 16
_LOOKED_FOR = "package.json scripts.test, pytest settings or tests/test_*.py, Makefile target test, go.mod, Cargo.toml"


@dataclass(frozen=True)
class Chosen:
    """The command that runs a project's tests, and why it is this one."""

    command: tuple[str, ...]
    source: str


def choose(project: Path, given: Sequence[str], configured: str | None, configured_by: str) -> Chosen:
    """Return the command given after `--`, else the configured one, else what the project's files call for."""
    if given:
        return Chosen(tuple(given), "given after --")
    if configured and configured.strip():
        return Chosen(_words(configured, configured_by), f"test.command ({configured_by})")
    for detect in (_javascript, _pytest, _make, _go, _cargo):
        if chosen := detect(project):
            return chosen
    raise UsageError(
        f"no test command found in {project}; looked for: {_LOOKED_FOR}",
        hint="set test.command in .claude/config.yaml, or name it: agent-studio test -- CMD",
    )


def is_own(chosen: Chosen, project: Path, configured: str | None, configured_by: str) -> bool:
    """Tell whether a command is the one that the configuration, or else the project's files, call for."""
    try:
        return chosen.command == choose(project, (), configured, configured_by).command
    except UsageError:
        return False


def _words(text: str, place: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text.replace("\\", "\\\\") if os.name == "nt" else text))
    except ValueError as error:
        raise UsageError(f"{place}: test.command cannot be split into words: {error}", hint=f"it is: {text}") from None


def _text(place: Path) -> str:
    try:
        return place.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _javascript(project: Path) -> Chosen | None:
    try:
        package = json.loads(_text(project / "package.json") or "{}")
        script = package["scripts"]["test"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(script, str) or not script.strip() or "no test specified" in script:
        return None
    locks = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"))
    manager = next((tool for lock, tool in locks if (project / lock).is_file()), "npm")
    return Chosen((manager, "test"), "package.json (scripts.test)")


def _pytest(project: Path) -> Chosen | None:
    reason = _pytest_reason(project)
    if not reason:
        return None
    for place in (".venv/bin/python", ".venv/Scripts/python.exe"):
        if (project / place).is_file() and any((project / ".venv").glob("[Ll]ib/**/site-packages/pytest")):
            return Chosen((str(project / place), "-m", "pytest"), reason)
    if shutil.which("pytest"):
        return Chosen(("pytest",), reason)
    if importlib.util.find_spec("pytest"):
        return Chosen((sys.executable, "-m", "pytest"), reason)
    raise UsageError(
        f"the project calls for {reason}, but pytest is not installed",
        hint="install it in the project's .venv, or name the command: agent-studio test -- CMD",
    )


def _pytest_reason(project: Path) -> str:
    if (project / "pytest.ini").is_file():
        return "pytest (pytest.ini)"
    try:
        tool = tomllib.loads(_text(project / "pyproject.toml")).get("tool", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        tool = {}
    if isinstance(tool, dict) and "pytest" in tool:
        return "pytest (pyproject.toml)"
    if re.search(r"^\[tool:pytest\]", _text(project / "setup.cfg"), re.MULTILINE):
        return "pytest (setup.cfg)"
    tests = project / "tests"
    return "pytest (tests/)" if any(any(tests.rglob(name)) for name in ("conftest.py", "test_*.py")) else ""


def _make(project: Path) -> Chosen | None:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if re.search(r"^(?:[^\s:#=]+[ ]+)*test(?:[ ]+[^\s:#=]+)*[ ]*::?(?!=)", _text(project / name), re.MULTILINE):
            return Chosen(("make", "test"), f"{name} (target test)")
    return None


def _go(project: Path) -> Chosen | None:
    return Chosen(("go", "test", "-json", "./..."), "go.mod") if (project / "go.mod").is_file() else None


def _cargo(project: Path) -> Chosen | None:
    return Chosen(("cargo", "test"), "Cargo.toml") if (project / "Cargo.toml").is_file() else None


def startable(project: Path, command: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return the command with its program found; raise `UsageError` when there is none to start."""
    program = command[0]
    if os.path.dirname(program):  # noqa: PTH120 - "./tests" has a folder, Path("./tests").parent does not say so
        found = shutil.which(project / program)
    else:
        found = shutil.which(program, path=variables.get("PATH"))
    if not found:
        raise UsageError(
            f"cannot start {program!r}: it is not there, or not executable",
            hint="install it, or name another command: agent-studio test -- CMD",
        )
    return [str(found), *command[1:]]


def run(command: Sequence[str], folder: Path, variables: Mapping[str, str], take: Callable[[bytes], None]) -> int:
    """Run a command to its end, handing on its merged output as it comes; return its code, negative for a signal.

    What still holds its output afterwards is ended too. An interrupt, and whatever `take` raises, ends
    the group and goes on to the caller.
    """
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0, start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
    except OSError as error:
        raise UsageError(
            f"cannot start {command[0]!r}: {error.strerror or error}",
            hint="a script needs a first line such as #!/bin/sh",
        ) from None
    faults: list[BaseException] = []
    reader = Thread(target=_drain, args=(process, take, faults), daemon=True)
    reader.start()
    try:
        code = process.wait()
        reader.join(_GRACE_S)
        if reader.is_alive():  # something it started still holds the output
            _end(process, force=True)
            reader.join(_GRACE_S)
    except BaseException:
        _end(process, force=False)
        reader.join(_GRACE_S)
        raise
    if faults:
        raise faults[0]
    return code


def _drain(process: subprocess.Popen[bytes], take: Callable[[bytes], None], faults: list[BaseException]) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        while chunk := process.stdout.read(_CHUNK_BYTES):
            take(chunk)
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
        faults.append(error)
        _end(process, force=True)
    finally:
        process.stdout.close()


def _end(process: subprocess.Popen[bytes], *, force: bool) -> None:
    """End a process and its group: asked first, unless forced, then killed."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if not force:
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
