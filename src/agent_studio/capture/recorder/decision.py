"""Puts the decision client beside the recorder: compiled, or the cold Python command where there is no compiler.

`bin/decide.cold` holds the cold command, each word ended by NUL; the client starts it when no daemon answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.roots import STATE
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.environment.roots import Project

PROGRAM = "decide"
COLD = "decide.cold"
STAMP = "decide.json"
SOURCE = Path(__file__).with_name("decide.c")
_INCLUDED = Path(__file__).with_name("common.h")
_PACKAGES = Path(__file__).resolve().parents[3]
_START = "import sys; sys.path.append({!r}); from agent_studio.guards.cold import main; main(sys.argv[1:])"
_PROBE_SECONDS = 10
_PROBE_CODE = 2
_PROBE_TEXT = b"probed"
_PROBE_COLD = ("/bin/sh", "-c", r"printf '\002\000\000\000\000\000\000\000\006probed'")


def code(source: Path) -> bytes:
    """Return what a program is made of: its source and what that includes."""
    return source.read_bytes() + _INCLUDED.read_bytes()


@dataclass(frozen=True)
class Program:
    """A compiled client, or why there is none."""

    data: bytes | None
    reason: str = ""


def install(
    project: Project, make: Callable[[], Program], put: Callable[[Folder, str, bytes], None]
) -> tuple[str, ...]:
    """Put the client in place and return the command of a decision hook; `--closed` may follow.

    `make` compiles a proved program, `put` exchanges one while it may be started.
    """
    folder = _folder(project)
    made = make()
    if made.data is not None:
        put(folder, PROGRAM, made.data)
    elif folder.status(PROGRAM):
        folder.remove(PROGRAM)
    folder.replace(COLD, _cold_line())
    stamp = {
        "sourceSha256": hashlib.sha256(code(SOURCE)).hexdigest(),
        "programSha256": None if made.data is None else hashlib.sha256(made.data).hexdigest(),
        "reason": made.reason,
    }
    folder.replace(STAMP, json.dumps(stamp, indent=2).encode() + b"\n")
    return command(project)


def command(project: Project) -> tuple[str, ...]:
    """Return what a decision hook starts, as it is in place; empty when there is nothing."""
    folder = _folder(project)
    if folder.status(PROGRAM):
        return (str(folder.path / PROGRAM),)
    return (*_cold_command(), str(folder.path.parent)) if folder.status(COLD) else ()


def current(project: Project, *, compiles: bool = False) -> bool:
    """Tell whether what is in place is of this version and installation; `compiles` asks for a compiled one."""
    folder = _folder(project)
    try:
        stamp = json.loads(folder.read(STAMP))
        program, kept = stamp["programSha256"], folder.read(COLD)
        whole = hashlib.sha256(folder.read(PROGRAM)).hexdigest() == program if program else not compiles
        made_of = hashlib.sha256(code(SOURCE)).hexdigest()
        return bool(whole and kept == _cold_line() and stamp["sourceSha256"] == made_of)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def fault(program: bytes, place: Path) -> str:
    """Start a program in a project laid out below `place`; return what went wrong, or an empty text."""
    folder = place / PROGRAM / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PROGRAM
    target.write_bytes(program)
    target.chmod(0o755)
    (folder / COLD).write_bytes(_line(_PROBE_COLD))
    try:
        done = subprocess.run(
            (str(target),), input=b"{}", capture_output=True, timeout=_PROBE_SECONDS, check=False, cwd=place,
            env={**os.environ, "AGENT_STUDIO_ENV": "staging"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    told = (done.returncode, done.stdout, done.stderr) == (_PROBE_CODE, b"", _PROBE_TEXT)
    return "" if told else f"exit code {done.returncode}"


def _cold_command() -> tuple[str, ...]:
    """Return what starts the cold process: this installation's own interpreter, so that it finds the package."""
    return sys.executable, "-I", "-c", _START.format(str(_PACKAGES))


def _cold_line() -> bytes:
    return _line(_cold_command())


def _line(words: tuple[str, ...]) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _folder(project: Project) -> Folder:
    return Folder(project.path, f"{STATE}/bin")
