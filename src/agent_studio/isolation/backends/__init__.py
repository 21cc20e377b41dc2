"""What can keep a command apart on this system, strongest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent_studio.errors import AgentStudioError, ExitCode

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent_studio.isolation.policy import Policy

ADVISORY = "advisory"
INSIDE = "AGENT_STUDIO_ISOLATION"
"""The variable that names the backend to what runs inside."""


class NotIsolatedError(AgentStudioError):
    """Isolation is required, or asked for by name, and this system does not have it."""

    code = "not-isolated"
    exit_code = ExitCode.NOT_ISOLATED


class Availability(NamedTuple):
    """Whether a backend can be used here."""

    usable: bool
    reason: str
    """Why not; or what it is, where it can."""
    strength: int
    """Higher is stronger; 0 is advisory."""


class Copied(NamedTuple):
    """A folder that takes the place of the project."""

    path: Path
    shown: Sequence[Path]
    """Paths of the original that stay to be seen, read-only."""


class Wanted(NamedTuple):
    """A command as it is to run."""

    program: str
    """Path of what is executed."""
    argv: Sequence[str]
    cwd: Path
    scratch: Path | None = None
    """An empty folder for temporary files."""
    copy: Copied | None = None
    """What takes the project's place, where its source is a copy."""


class Supervisor:
    """Follows what was started; of a command without a launcher there is nothing to follow."""

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Learn that it runs; raise `OSError` when the command could not be executed."""

    def send(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Send the command a signal."""
        process.send_signal(number)

    def ended(self, process: subprocess.Popen[bytes]) -> str:
        """Leave no process behind; return why the command never ran, or nothing."""
        del process
        return ""


class Prepared(NamedTuple):
    """What is started instead of the command, so that the kernel confines it."""

    argv: Sequence[str]
    supervisor: Supervisor
    descriptors: Sequence[int] = ()
    """What is passed on besides input, output and errors."""
    variables: Sequence[tuple[str, str]] = ()
    """What is set for the command."""
    hidden: Sequence[Path] = ()
    readonly: Sequence[Path] = ()
    """What is kept indeed."""
    gaps: Sequence[str] = ()
    """What the policy asks for and this backend does not keep."""
    limits: Sequence[str] = ()
    """What the command cannot do, though the policy has nothing against it."""


class Backend(Protocol):
    """One way to confine a command."""

    NAME: str
    IS_AUTOMATIC: bool
    """Whether it is used without being asked for by name."""
    BINDS: bool
    """Whether it can put a copy in the project's place."""

    def available(self, policy: Policy | None = None) -> Availability:
        """Tell whether it works here, by trying."""

    def prepared(self, policy: Policy, wanted: Wanted) -> AbstractContextManager[Prepared]:
        """Yield what to start; raise `NotIsolatedError` when it cannot be done for this policy."""
