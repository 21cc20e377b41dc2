"""What git says of a checkout, and the little that we ask it to do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STAGING_ROOT, STATE
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 120
_FAULTS = ("error: ", "fatal: ")
"""How the line begins in which git says why; what follows is advice."""


class GitError(AgentStudioError):
    """Git refused, or is not there."""

    code = "git"


class Commit(NamedTuple):
    """Where a checkout is."""

    commit: str | None
    """None where there is no repository, or nothing was committed."""
    dirty: bool | None
    """Whether files differ from it, our own data aside; None where unknown."""
    author: str
    """The address of who made what is there: of the commit, or of the checkout's own user when it is dirty."""


def state(path: Path) -> Commit:
    """Return where a checkout is."""
    head = _asked(path, "rev-parse", "--verify", "--quiet", "HEAD")
    user = (_asked(path, "config", "user.email") or "").strip()
    if not head:
        return Commit(None, None, user)
    dirty = changes(path)
    author = (_asked(path, "log", "-1", "--format=%ae") or "").strip()
    return Commit(head.strip(), None if dirty is None else bool(dirty), user if dirty and user else author)


def changes(path: Path) -> list[str] | None:
    """Return the files of a checkout that differ from its commit, our own data aside; None where unknown."""
    apart = (f":(exclude){STATE}", f":(exclude){STAGING_ROOT}")
    told = _asked(path, "--no-optional-locks", "status", "--porcelain", "--", ":(top)", *apart)
    return None if told is None else [line[3:] for line in told.splitlines()]


def run(path: Path, *arguments: str) -> str:
    """Run git and return what it says; raise `GitError` with its reason when it refuses."""
    try:
        done = subprocess.run(["git", *arguments], cwd=path, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git cannot be run in {path}: {error}", hint="install git, or do without") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says no reason"]
        reason = next((one for one in said if one.startswith(_FAULTS)), said[-1])
        raise GitError(f"git {arguments[0]} in {path} failed: {reason}", hint=f"see: git -C {path} status")
    return done.stdout.decode(errors="replace")


def refuse_irreversible(path: Path) -> None:
    """Raise `GitError` for a last commit that a plain revert does not undo: a merge, or one that changes nothing."""
    parents = run(path, "rev-list", "--parents", "-n", "1", "HEAD").split()[1:]
    if len(parents) > 1:
        raise GitError(
            "the last commit is a merge, of which only one side can be reverted",
            hint="choose it: git revert --mainline 1 HEAD, then run the command without --git",
        )
    if parents and not run(path, "diff", "--name-only", parents[0], "HEAD"):
        raise GitError("the last commit changes nothing", hint="git revert COMMIT takes the one back that is meant")


def _asked(path: Path, *arguments: str) -> str | None:
    try:
        return run(path, *arguments)
    except GitError:
        return None
