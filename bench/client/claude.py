"""The real client: installed by exact version and integrity, driven with a home of its own, and ended for certain."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import npm
from bench.npm import ProgramMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

VERSIONS: Mapping[str, str] = {"2.1.330": "Agent", "2.0.76": "Task"}
"""The versions that are driven, and how each names the tool that starts a sub-agent."""
NEWEST = next(iter(VERSIONS))
_LOCKS = Path(__file__).with_name("versions")
_END_SECONDS = 10
_DUMMY_KEY = "sk-ant-api03-" + "offline-" * 4


@dataclass(frozen=True)
class Client:
    """An installed client."""

    version: str
    folder: Path
    """Holds `claude`."""
    agent_tool: str


@dataclass(frozen=True)
class Ran:
    """A finished session."""

    code: int
    """Negative: the signal that ended it."""
    out: str
    err: str
    seconds: float
    overdue: bool


def install(version: str) -> Client:
    """Install a client by its lock file, or return the one that is there.

    Raises `ProgramMissingError` when there is no npm, no registry, or the program does not run on this machine.
    """
    binary = npm.installed(_LOCKS / f"claude-{version}", _binary)
    said = npm.output([str(binary), "--version"], binary.parent)
    if not said.startswith(version):
        raise ProgramMissingError(f"the installed client does not run here: {said.strip()[-300:]}")
    return Client(version, binary.parent, VERSIONS[version])


def _binary(place: Path) -> Path | None:
    found = place / "node_modules/.bin/claude"
    return found if found.exists() else None


def variables(client: Client, home: Path, api_url: str) -> dict[str, str]:
    """Return all that the client's process gets to see: nothing of the caller's but where programs are."""
    scratch = home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.pathsep.join([str(client.folder), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "SHELL": "/bin/sh",
        "TMPDIR": str(scratch),
        "CLAUDE_CODE_TMPDIR": str(scratch),
        "ANTHROPIC_BASE_URL": api_url,
        "ANTHROPIC_API_KEY": _DUMMY_KEY,
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "HTTPS_PROXY": api_url,  # whatever else it tries to reach is refused there, and counted
        "HTTP_PROXY": api_url,
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def words(prompt: str, *more: str, allowed: str = "Bash Read Write Edit Glob Grep Task Agent") -> list[str]:
    """Return the command line of one unattended session."""
    line = ["claude", "-p", prompt, "--output-format", "stream-json", "--verbose"]
    return [*line, "--permission-mode", "acceptEdits", "--allowedTools", allowed, *more]


def run(
    command: Sequence[str],
    project: Path,
    environment: Mapping[str, str],
    *,
    limit_s: float = 60,
    end_when: Callable[[], bool] | None = None,
    end_by: signal.Signals = signal.SIGKILL,
) -> Ran:
    """Run a command that ends in the client in a process group of its own; nothing of it is left running.

    `end_when` is asked every 20 ms; once it is true the process gets `end_by`, and a moment to end by itself.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            list(command), cwd=project, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True, executable=shutil.which(command[0], path=environment["PATH"]),
        )  # fmt: skip
        try:
            overdue = not _wait(process, started + limit_s, end_when)
            if process.poll() is None and not overdue:
                process.send_signal(end_by)
                overdue = not _wait(process, time.monotonic() + _END_SECONDS, None)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_END_SECONDS)
        out.seek(0)
        err.seek(0)
        said = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
    return Ran(process.returncode, *said, time.monotonic() - started, overdue)


def _wait(process: subprocess.Popen[bytes], deadline: float, until: Callable[[], bool] | None) -> bool:
    """Wait for the end or the condition; return whether either came in time."""
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        if until and until():
            return True
        time.sleep(0.02)
    return True
