"""The client vendor's sandbox, `srt` of `@anthropic-ai/sandbox-runtime`: Seatbelt on macOS, bubblewrap on Linux.

Chosen by itself on macOS alone; elsewhere bubblewrap is used without it. It has rules of its own that cannot be
switched off: the network is an allow-list of domains, and in its rules for writing a denial always wins, so a folder
that holds something writable is denied entry by entry.
Settings: https://github.com/anthropic-experimental/sandbox-runtime
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.isolation.backends import Availability, NotIsolatedError, Prepared, Supervisor
from agent_studio.isolation.policy import Access
from agent_studio.isolation.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.isolation.backends import Wanted
    from agent_studio.isolation.policy import Policy

NAME = "sandbox-runtime"
STRENGTH = 1
BINDS = False
IS_AUTOMATIC = sys.platform == "darwin"
_PROGRAM = "srt"
_TRIAL_SECONDS = 30
_SOCKET = "decide.sock"


def available(policy: Policy | None = None) -> Availability:  # noqa: ARG001 - as every backend
    """Tell whether it works here: a command is really confined once a process."""
    reason = _fault()
    return Availability(not reason, reason or "the client vendor's sandbox", STRENGTH)


@cache
def _fault() -> str:
    found = shutil.which(_PROGRAM)
    if sys.platform == "linux" and os.getuid() == 0:
        return "srt leaves the kernel's settings in /proc/sys to root"
    if found is None:
        return "srt is not installed (npm install -g @anthropic-ai/sandbox-runtime)"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "settings.json")
        file.write_text(json.dumps(_settings({})), "utf-8")
        try:
            done = subprocess.run(
                [found, "--settings", str(file), "--", "true"],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"srt cannot be run: {error}"
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return "" if done.returncode == 0 else (said[0] if said else f"srt ended with {done.returncode}")


@contextmanager
def prepared(policy: Policy, wanted: Wanted) -> Iterator[Prepared]:
    """Yield srt's command line; its settings lie in the folder for temporary files while it runs."""
    if wanted.scratch is None:
        raise NotIsolatedError("sandbox-runtime needs a folder for its settings: nothing was started")
    file = wanted.scratch / "sandbox-runtime.json"
    file.write_text(json.dumps(settings(policy)), "utf-8")
    argv = [str(shutil.which(_PROGRAM)), "--settings", str(file), "--", wanted.program, *wanted.argv[1:]]
    gaps = [f"what is created in {folder} can be changed" for folder in _opened(Tree(policy.rules()))]
    allowed = ", ".join(policy.domains) or "none"
    yield Prepared(
        argv, Supervisor(), (), (), policy.hidden, policy.readonly, gaps,
        [f"the network reaches only these domains: {allowed}"],
    )  # fmt: skip


def settings(policy: Policy) -> dict[str, Any]:
    """Return a policy in the form that srt reads."""
    tree = Tree(policy.rules())
    seen = [path for path in (*policy.readonly, *policy.writable) if tree.access(path.parent) is Access.HIDDEN]
    files = {
        "denyRead": policy.hidden,
        "allowRead": seen,
        "allowWrite": (Path("/"), *policy.writable),
        "denyWrite": sorted({path for rule in (*policy.hidden, *policy.readonly) for path in _closed(tree, rule)}),
    }
    return _settings(files, policy.domains, [policy.state / _SOCKET])


def _settings(
    files: Mapping[str, Sequence[Path]], domains: Sequence[str] = (), sockets: Sequence[Path] = ()
) -> dict[str, Any]:
    return {
        "network": {
            "allowedDomains": list(domains),
            "deniedDomains": [],
            "allowLocalBinding": True,
            "allowUnixSockets": [str(path) for path in sockets],
            "allowAllUnixSockets": sys.platform != "darwin",  # there they cannot be told apart by path
        },
        "filesystem": {
            name: [str(path) for path in files.get(name, ())]
            for name in ("denyRead", "allowRead", "allowWrite", "denyWrite")
        },
    }


def _closed(tree: Tree, path: Path) -> Iterator[Path]:
    """Yield what has to be denied so that nothing of a path can be written but what may be."""
    if not any(tree.rules[inner] is Access.WRITE for inner in tree.below(path)):
        yield path
        return
    for entry in tree.entries(path):
        if entry.rule is None and not entry.is_link:
            yield from _closed(tree, entry.path)


def _opened(tree: Tree) -> list[Path]:
    """Return the folders in which something may be written, and so something new be created."""
    return [
        path
        for path, access in sorted(tree.rules.items())
        if access is not Access.WRITE and any(tree.rules[inner] is Access.WRITE for inner in tree.below(path))
    ]
