"""Whether the client asks where the configuration wants something decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.capture.wiring.settings import FILES, read
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import ConfigurationError
from agent_studio.guards.handlers import asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context

_DECIDING = ":decide"


def findings(context: Context) -> Iterator[Finding]:
    """Yield what is wanted and not wired; nothing where all is, or where nothing is wanted."""
    wanted = asked(context)
    if not wanted:
        return
    wired: set[str] = set()
    for name in FILES:
        try:
            ours = read(context.project, name).ours()
        except ConfigurationError:
            return  # told by the findings of the wiring itself
        wired |= {event for event, hooks in ours.items() if any(_DECIDING in str(hook) for hook in hooks)}
    if wanted <= wired:
        yield Finding("guards", Severity.OK, f"asked before {', '.join(sorted(wanted))}")
    else:
        missing = ", ".join(sorted(wanted - wired))
        yield Finding(
            "guards", Severity.WARNING, f"the configuration wants a say at {missing}, but Claude Code does not ask",
            "agent-studio hooks install",
        )  # fmt: skip
