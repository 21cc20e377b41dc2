"""The process that holds one confined command: it ends when the command does, or when nobody waits for it any more.

It is told what to start in one line of JSON on its standard input, which stays open as long as the run goes on. Once
that is closed, by a limit, by a cancelled run or by the death of whoever started it, nothing of the command is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent_studio.isolation.choice import BACKENDS
from agent_studio.isolation.launch import NOT_FOUND, Launch, start
from agent_studio.isolation.policy import Policy

_SET_CHILD_SUBREAPER = 36
_GRACE_S = 2.0
NOT_PREPARED = 125
"""Exit code where the command could not be confined: something that was to be shown to it has gone meanwhile."""
_BROKEN = "bubblewrap failed"


def main() -> int:
    """Start what the first line says, and wait for it or for the end of the input."""
    own = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with os.fdopen(own, "rb", closefd=False) as told:  # it stays open: who watches takes a closed one for the end
        spec = json.loads(told.readline())
    _adopt()
    threading.Thread(target=_watch, args=(own,), daemon=True).start()
    finished = start(_launch(spec))
    if finished.fault:
        os.write(2, f"agent-studio: {finished.fault}\n".encode("utf-8", "replace"))
    _end_all()
    is_ours = finished.fault and (finished.prepared is None or _BROKEN in finished.fault)
    return NOT_PREPARED if is_ours and finished.code != NOT_FOUND else finished.code


def _launch(spec: dict[str, Any]) -> Launch:
    backend = next((one for one in BACKENDS if spec["backend"] == one.NAME), None)
    cwd = Path(spec["cwd"])
    hidden, readonly, writable = (tuple(map(Path, spec[name])) for name in ("hidden", "readonly", "writable"))
    project = Path(spec["project"])
    policy = Policy(hidden, readonly, writable, "writable", project, "kept", (project,))
    return Launch(
        spec["argv"], spec["variables"], cwd, spec["environment"], backend, policy, scratch=Path(spec["scratch"])
    )


def _watch(descriptor: int) -> None:
    """End the command when the input ends: by asking first, then for certain."""
    with suppress(OSError):
        while os.read(descriptor, 1 << 10):
            pass
    with suppress(OSError):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    _end_all()
    os._exit(1)


def _adopt() -> None:
    """Become the parent of whatever loses its own, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_all() -> None:
    while left := _children():
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _children() -> list[int]:
    """Return our children that still run, of every thread."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text("ascii").split())
    return found


if __name__ == "__main__":
    sys.exit(main())
