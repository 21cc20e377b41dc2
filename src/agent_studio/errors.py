"""Faults that people can mend, and the exit codes every command shares.

A fault is raised where it is found, carries its own hint, and is reported once, at the edge (`cli.main`).
A verdict (a check that failed) is a result, not a fault.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LISTED = 12
"""Names listed at most when none is near."""


class ExitCode(IntEnum):
    """What the process tells its caller; one table for all commands."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INSUFFICIENT = 3
    NOT_SIGNED = 4
    BUSY = 5
    RECOVERY = 6
    NOT_ISOLATED = 7
    INTEGRITY = 8
    BUG = 70
    INTERRUPTED = 130


class AgentStudioError(Exception):
    """Base of all faults: a message (what, where) and a hint (what would be right, which command mends it)."""

    code = "error"
    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AgentStudioError):
    """The command line or the chosen environment cannot be acted on."""

    code = "usage"
    exit_code = ExitCode.USAGE


class ConfigurationError(AgentStudioError):
    """A configuration file, variable or `--set` value is wrong."""

    code = "configuration"
    exit_code = ExitCode.USAGE


class UnsafePathError(AgentStudioError):
    """A path would leave its root, or passes through something that could."""

    code = "unsafe-path"
    exit_code = ExitCode.USAGE


class StorageError(AgentStudioError):
    """The file system refused: full, read-only, no permission."""

    code = "storage"


class BusyError(AgentStudioError):
    """Another process holds the lock."""

    code = "busy"
    exit_code = ExitCode.BUSY


class IntegrityError(AgentStudioError):
    """Recorded data no longer agrees with itself."""

    code = "integrity"
    exit_code = ExitCode.INTEGRITY


def nearest(word: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the candidate most like `word`, compared without case, or None."""
    import difflib  # noqa: PLC0415 - only needed once something is wrong

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean "x"?`, or the list of what is valid when nothing is near."""
    names = list(candidates)
    if match := nearest(word, names):
        return f'did you mean "{match}"?'
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"valid: {', '.join(names[:_LISTED])}{more}"
