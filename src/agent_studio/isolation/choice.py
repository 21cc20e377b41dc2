"""Which backend keeps a run apart: the strongest that works here, or the one that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.isolation import hard_links
from agent_studio.isolation.backends import ADVISORY, NotIsolatedError, bubblewrap, landlock, runtime
from agent_studio.isolation.policy import COPY

if TYPE_CHECKING:
    from agent_studio.isolation.backends import Backend
    from agent_studio.isolation.policy import Policy

AUTO = "auto"
BACKENDS: tuple[Backend, ...] = (bubblewrap, landlock, runtime)
"""Strongest first."""
NAMES = (AUTO, *(backend.NAME for backend in BACKENDS), ADVISORY)


class SharedFilesError(NotIsolatedError):
    """What is to be protected has a second name where the run may write."""


class Choice(NamedTuple):
    """A backend, and why no stronger one."""

    name: str
    backend: Backend | None
    """None: advisory."""
    refused: tuple[tuple[str, str], ...]
    """Name and reason of those that cannot be used, strongest first."""


def check_links(policy: Policy) -> str:
    """Refuse a run in which production's files have a second name; return what else there is to say of links.

    Raises `SharedFilesError`.
    """
    links = hard_links.find(policy)
    if links.inside:
        pairs = "; ".join(f"{protected} is {place}" for protected, place in links.inside)
        raise SharedFilesError(
            f"production's files are hard-linked into what the run may write, and cannot be kept apart: {pairs}",
            hint="give each a file of its own: cp FILE FILE.copy && mv FILE.copy FILE",
        )
    if links.elsewhere:
        return (
            f"hard links outside of the project lead to protected files, such as {links.elsewhere[0]}: "
            "a run that knows them can use them"
        )
    return ""


def choose(policy: Policy, name: str = AUTO, *, required: bool = False) -> Choice:
    """Return the backend to use.

    Raises `NotIsolatedError` when the one named cannot be used, or when isolation is `required` and there is none.
    """
    refused: list[tuple[str, str]] = []
    for backend in BACKENDS:
        if name != backend.NAME and not (name == AUTO and backend.IS_AUTOMATIC):
            continue
        found = backend.available(policy)
        if policy.source == COPY and not backend.BINDS:
            found = found._replace(usable=False, reason="it cannot put a copy in the project's place")
        if found.usable:
            return Choice(backend.NAME, backend, tuple(refused))
        refused.append((backend.NAME, found.reason))
    reasons = "; ".join(f"{backend}: {reason}" for backend, reason in refused)
    if policy.source == COPY:
        raise NotIsolatedError(
            f"isolation.source is copy, which no backend can do here ({reasons or name}): nothing was started",
            hint="install bubblewrap, or choose another source: --set isolation.source=writable",
        )
    if name not in {AUTO, ADVISORY}:
        raise NotIsolatedError(
            f"isolation by {name} is not available here ({reasons}): nothing was started",
            hint="leave the choice to us: --isolation auto",
        )
    if required:
        why = reasons or "it was asked for by name"
        raise NotIsolatedError(
            f"isolation is required, but only advisory isolation is available here ({why}): nothing was started",
            hint="install bubblewrap or use Linux 6.2 or newer, or run without --require-isolation and with "
            "isolation.require set to false",
        )
    return Choice(ADVISORY, None, tuple(refused))
