"""What pages may ask about an environment, and the views that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.dashboard import artifacts, burnin, evals, evolution, party, view
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.dashboard.contexts import Contexts
    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window

HOURS = (1, 6, 24, 168, 720)
"""Stretches a page may show."""
_SUBJECT_MAX = 1_000
_DOMAIN_MAX = 40


class Question(NamedTuple):
    """What a page asks."""

    environment: str
    """Empty for the server's own."""
    hours: int
    subject: str
    """A hook, a session, the words of a search, the path of an artifact."""
    only: str = ""
    """The kind of artifact that is searched for; empty for all."""

    @property
    def window(self) -> Window:
        """The stretch up to now."""
        return view.last(self.hours)


def question(parameters: Mapping[str, str]) -> Question:
    """Return what the parameters of an address ask; raise `UsageError` when that cannot be asked."""
    written = parameters.get("hours", "24")
    if written not in map(str, HOURS):
        raise UsageError(f"hours cannot be {written[:20]!r}", hint=f"one of {', '.join(map(str, HOURS))}")
    subject = parameters.get("of", "")
    if len(subject) > _SUBJECT_MAX:
        raise UsageError("what is asked about has too long a name")
    only = parameters.get("only", "")
    if len(only) > _DOMAIN_MAX or (only and not only.isidentifier()):
        raise UsageError("that is no kind of artifact")
    return Question(parameters.get("env", ""), int(written), subject, only)


def of_problem(error: AgentStudioError) -> dict[str, str]:
    """Return a fault as pages are told of it."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _about(contexts: Contexts, asked: Question) -> dict[str, Any]:
    context = contexts.open(asked.environment)
    return {
        "project": context.project.path.name,
        "environment": str(contexts.open("").environment),
        "environments": list(Environment),
        "hours": HOURS,
    }


def _overview(contexts: Contexts, asked: Question) -> dict[str, Any]:
    """Return `{environments[overview, or {environment, problem} where one cannot be read]}`."""
    return {"environments": [_side(contexts, name, asked.window) for name in Environment]}


def _side(contexts: Contexts, name: str, window: Window) -> dict[str, Any]:
    try:
        return view.overview(contexts.open(name), window)
    except AgentStudioError as error:
        return {"environment": name, "problem": of_problem(error)}


def _of(show: Callable[[Context, Window], dict[str, Any]]) -> Callable[[Contexts, Question], dict[str, Any]]:
    return lambda contexts, asked: show(contexts.open(asked.environment), asked.window)


def _about_one(
    show: Callable[[Context, str, Window], dict[str, Any]],
) -> Callable[[Contexts, Question], dict[str, Any]]:
    return lambda contexts, asked: show(contexts.open(asked.environment), asked.subject, asked.window)


VIEWS: Mapping[str, Callable[[Contexts, Question], dict[str, Any]]] = {
    "about": _about,
    "overview": _overview,
    "hooks": _of(view.hooks),
    "hook": _about_one(view.hook),
    "agents": _of(view.agents),
    "errors": _of(view.errors),
    "costs": _of(view.costs),
    "sessions": _of(view.sessions),
    "session": _about_one(view.session),
    "trends": lambda contexts, asked: view.trends(contexts.open(asked.environment)),
    "alerts": lambda contexts, asked: view.alerts(contexts.open(asked.environment)),
    "burnin": lambda contexts, asked: burnin.burnin(contexts.open(asked.environment), contexts.variables),
    "evals": lambda contexts, asked: evals.evals(contexts.open(asked.environment), contexts.variables, asked.subject),
    "party": lambda contexts, asked: party.party(contexts.open(asked.environment), asked.subject),
    "evolution": lambda contexts, asked: evolution.evolution(contexts.open(asked.environment)),
    "knowledge": lambda contexts, asked: artifacts.search(contexts.open(asked.environment), asked.subject, asked.only),
    "artifact": lambda contexts, asked: artifacts.artifact(contexts.open(asked.environment), asked.subject),
}
