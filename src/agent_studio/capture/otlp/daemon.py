"""The daemon of an environment as others see it: `serve.json` says where it is, /healthz that it is there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    if daemon is None or not _is_alive(daemon.pid):
        return None
    return daemon if _health(daemon).get("pid") == daemon.pid else None


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
