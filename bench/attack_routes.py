"""Further routes for the attack program: the system calls of bench/attacks.c. Loaded inside the boundary, too."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.isolation.routes.attempt import Attempt


def _called(name: str, attempt: Attempt) -> bytes:
    """Let the program in C try one of its routes."""
    words = (attempt.given["program"], name, attempt.file, attempt.scratch, str(attempt.outside["pid"]))
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.returncode, "refused")
    return done.stdout


def _table(*names: str) -> dict[str, Callable[[Attempt], bytes]]:
    return {f"C: {name}": partial(_called, name) for name in names}


READING = _table("read", "openat2", "splice", "io_uring-read", "open_tree", "user-open_tree", "setns", "user-setns")
CHANGING = _table(
    "write", "io_uring-write", "io_uring-unlink", "unlink", "rename", "link", "fchmodat2", "truncate", "fallocate"
)
ROUTES = {**READING, **CHANGING}
