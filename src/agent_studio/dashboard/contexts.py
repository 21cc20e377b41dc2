"""The environments of one project as their files are now, for a server that outlives a change to them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from agent_studio.dashboard.live import Revision, SharedRevision
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

_FRESH_SECONDS = 2.0


class Contexts:
    """Opens an environment by name; what is two seconds old is read again."""

    def __init__(self, own: Context, variables: Mapping[str, str]) -> None:
        self._own = own
        self.variables = variables
        self._opened: dict[Environment, tuple[float, Context]] = {}
        self._revisions: dict[Environment, Revision] = {}
        self._opening = threading.Lock()

    def open(self, name: str) -> Context:
        """Return an environment, the server's own for an empty name; raise `UsageError` when there is none such.

        Its records are read from where the server's own are.
        """
        environment = self.named(name)
        with self._opening:
            until, context = self._opened.get(environment, (0.0, None))
            if context is None or time.monotonic() > until:
                choice = self._own.choice if environment is self._own.environment else Choice(environment, "dashboard")
                context = open_context(self._own.project, choice, self.variables)
                context = context._replace(shared=self._own.shared)
                self._opened[environment] = time.monotonic() + _FRESH_SECONDS, context
            return context

    def revision(self, name: str) -> Revision:
        """Return what tells of an environment's changes."""
        context = self.open(name)
        with self._opening:
            made = Revision(context.root) if context.shared is None else SharedRevision(context)
            return self._revisions.setdefault(context.environment, made)

    def named(self, name: str) -> Environment:
        """Return which environment a name means, the server's own for an empty one; raise `UsageError` for no name."""
        if not name:
            return self._own.environment
        try:
            return Environment(name)
        except ValueError:
            raise UsageError(f"no environment is named {name!r}", hint=did_you_mean(name, Environment)) from None
