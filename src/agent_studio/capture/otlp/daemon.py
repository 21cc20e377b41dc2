"""The daemon of an environment as others see it: `serve.json` says where it is, /healthz that it is there.

Both can be forged by who may write in the environment's folder. Which process it is, the kernel says: it names who
listens at the decision socket, and nothing else is ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot

FILE = "serve.json"
LOCK = "serve.lock"
TOKEN = "serve.token"  # noqa: S105 - a file's name
SOCKET = "decide.sock"
PORTS: Mapping[Environment, int] = {
    Environment.DEVELOPMENT: 4381,
    Environment.STAGING: 4382,
    Environment.PRODUCTION: 4383,
}
_ASK_SECONDS = 0.5
_STOP_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
_ANSWER_BYTES = 4_096


@dataclass(frozen=True)
class Daemon:
    """A daemon that serves an environment."""

    pid: int
    port: int
    host: str
    url: str
    """Where this machine reaches it."""
    started_at: str
    """RFC 3339 UTC."""


def write(root: EnvironmentRoot, daemon: Daemon) -> None:
    """Say where the daemon is, for its owner only."""
    record = {
        "pid": daemon.pid, "port": daemon.port, "host": daemon.host, "url": daemon.url, "startedAt": daemon.started_at
    }  # fmt: skip
    root.state.replace(FILE, json.dumps(record).encode() + b"\n")


def read(root: EnvironmentRoot) -> Daemon | None:
    """Return what `serve.json` says, or None when there is none or it is damaged; the daemon may be gone."""
    try:
        found = json.loads(root.state.read(FILE))
        return Daemon(
            int(found["pid"]), int(found["port"]), str(found["host"]), str(found["url"]), str(found["startedAt"])
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None


def running(root: EnvironmentRoot) -> Daemon | None:
    """Return the daemon that serves an environment, or None; it is asked, for half a second at most."""
    daemon = read(root)
    if daemon is None or not _is_alive(daemon.pid) or _listener(root) not in {None, daemon.pid}:
        return None
    health = _health(daemon)
    is_it = health.get("pid") == daemon.pid and health.get("environment") == root.environment
    return daemon if is_it else None


def stop(root: EnvironmentRoot) -> Daemon | None:
    """Stop the daemon and wait until it is gone; return the one that was there, or None.

    Raises `TimeoutError` when it is still there after 15 s.
    """
    daemon = running(root)
    if daemon is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(daemon.pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_SECONDS
    while _is_alive(daemon.pid) and read(root) == daemon:
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(_PAUSE_SECONDS)
    return daemon


def sweep(root: EnvironmentRoot) -> None:
    """Remove what a daemon that was killed has left; only for who holds its lock."""
    for name in (FILE, SOCKET):
        with suppress(FileNotFoundError):
            root.state.remove(name)


def _listener(root: EnvironmentRoot) -> int | None:
    """Return the process that listens at the decision socket, 0 for none or another's, None where nothing can say it.

    Neither a link nor a second name counts: those may lead to a socket of any other program.
    """
    if not hasattr(socket, "AF_UNIX") or not (hasattr(socket, "SO_PEERCRED") or sys.platform == "darwin"):
        return None
    try:
        folder = os.open(root.state.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        status = os.stat(SOCKET, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISSOCK(status.st_mode) or status.st_nlink > 1:
            return 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, _short(folder, root) as name:
            asking.settimeout(_ASK_SECONDS)
            asking.connect(name)
            return _peer(asking)
    except OSError:
        return 0
    finally:
        os.close(folder)


@contextmanager
def _short(folder: int, root: EnvironmentRoot) -> Iterator[str]:
    """Yield a name of the socket that is short enough: at most 107 bytes, and a project's path may have more."""
    if sys.platform == "linux":
        yield f"/proc/self/fd/{folder}/{SOCKET}"
        return
    with inside(root.state.path):
        yield SOCKET


def _peer(asking: socket.socket) -> int:
    if sys.platform == "darwin":
        level, option, form = 0, 2, struct.Struct("i")  # SOL_LOCAL, LOCAL_PEERPID
    else:
        level, option, form = socket.SOL_SOCKET, socket.SO_PEERCRED, struct.Struct("3i")
    return int(form.unpack(asking.getsockopt(level, option, form.size))[0])


@contextmanager
def inside(path: os.PathLike[str]) -> Iterator[None]:
    """Enter a folder for a while, for the whole process: before any thread is started."""
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchdir(folder)
        finally:
            os.close(folder)
        try:
            yield
        finally:
            os.fchdir(here)
    finally:
        os.close(here)


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    if sys.platform == "win32":  # signal 0 would be Ctrl+C there; /healthz will tell
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _health(daemon: Daemon) -> dict[str, Any]:
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415 - only when there is one to ask

    address = daemon.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = HTTPConnection(address, daemon.port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/healthz")
        found = json.loads(connection.getresponse().read(_ANSWER_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return {}
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}
