"""Whether the client asks where the configuration wants something decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.capture.wiring.events import CLOSED
from agent_studio.capture.wiring.settings import FILES, read
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import ConfigurationError
from agent_studio.guards.handlers import asked, fails_closed
from agent_studio.guards.probe import denies, forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context

_DECIDING, _CLOSED = ":decide", "--closed"


def findings(context: Context) -> Iterator[Finding]:
    """Yield what is wanted and not wired; nothing where all is, or where nothing is wanted."""
    wanted = asked(context)
    if not wanted:
        return
    wired: set[str] = set()
    closed: set[str] = set()
    for name in FILES:
        try:
            ours = read(context.project, name).ours()
        except ConfigurationError:
            return  # told by the findings of the wiring itself
        deciding = {event: [str(hook) for hook in hooks if _DECIDING in str(hook)] for event, hooks in ours.items()}
        wired |= {event for event, hooks in deciding.items() if hooks}
        closed |= {event for event, hooks in deciding.items() if any(_CLOSED in hook for hook in hooks)}
    if wanted <= wired and fails_closed(context) and not set(CLOSED) <= closed:
        yield Finding(
            "guards", Severity.WARNING, "Claude Code asks, but goes on when nobody can decide: it was wired before the "
            "guard was wanted", "agent-studio hooks install",
        )  # fmt: skip
    elif wanted <= wired:
        yield Finding("guards", Severity.OK, f"asked before {', '.join(sorted(wanted))}")
        if fails_closed(context):
            yield _proved(context)
    else:
        missing = ", ".join(sorted(wanted - wired))
        yield Finding(
            "guards", Severity.WARNING, f"the configuration wants a say at {missing}, but Claude Code does not ask",
            "agent-studio hooks install",
        )  # fmt: skip


def _proved(context: Context) -> Finding:
    fault = denies(context)
    if fault:
        return Finding("guard-probe", Severity.ERROR, f"the guard does not hold: {fault}", "agent-studio hooks install")
    return Finding(
        "guard-probe", Severity.OK, f"a write of {forbidden(context)[0]} was stopped, a harmless one was not"
    )
