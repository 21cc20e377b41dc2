"""What git says of a checkout, and the little that we ask it to do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STAGING_ROOT, STATE
from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def state(path: Path) -> Commit:
    """Return where a checkout is."""
    head = _asked(path, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return Commit(None, None)
    dirty = changes(path)
    return Commit(head.strip(), None if dirty is None else bool(dirty))


def changes(path: Path, *places: str) -> list[str] | None:
    """Return the files of a checkout that differ from its commit, our own data aside; None where unknown."""
    apart = (f":(exclude){STATE}", f":(exclude){STAGING_ROOT}")
    told = _asked(path, "--no-optional-locks", "status", "--porcelain", "--", *(places or (":(top)",)), *apart)
    return None if told is None else [line[3:] for line in told.splitlines()]


def user(path: Path) -> str:
    """Return the address of who works in a checkout, empty where git knows none."""
    return (_asked(path, "config", "user.email") or "").strip()


def authors(path: Path, span: str, places: Sequence[str]) -> list[str]:
    """Return the addresses of who wrote the commits of a span that touched some places; none where git cannot tell."""
    told = _asked(path, "log", "--format=%ae", span, "--", *places) or ""
    return sorted({line.strip() for line in told.splitlines()} - {""})


def is_known(path: Path, commit: str) -> bool:
    """Tell whether a commit is in the repository."""
    return _asked(path, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def is_same(path: Path, commit: str, places: Sequence[str]) -> bool:
    """Tell whether some places are in the checkout's commit what they were in another one."""
    return _asked(path, "diff", "--quiet", commit, "HEAD", "--", *places) is not None


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
