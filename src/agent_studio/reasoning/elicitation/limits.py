"""What runs may do: whether the feature is on, whose session a run is of, how many there may be and for how much."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.environment import flags
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context

FLAG = "advancedElicitation"
SESSION_VARIABLE = "CLAUDE_CODE_SESSION_ID"
_OWN = f"features.{FLAG}"
_SESSION_MAX = 200


class OffError(AgentStudioError):
    """The feature is off here."""

    code = "feature-off"


def session_of(given: str, variables: Mapping[str, str]) -> str:
    """Return the session that a run counts for: as given, the client's own, else the day.

    Raises `UsageError` for a name that is none.
    """
    name = given or variables.get(SESSION_VARIABLE, "") or f"day-{clock.now():%Y-%m-%d}"
    if len(name) > _SESSION_MAX or not name.isprintable() or not name.strip():
        raise UsageError("--session is no name of a session", hint=f"at most {_SESSION_MAX} printable characters")
    if redact(name) != name:  # what is kept of it would be another name: its limits would never be reached
        raise UsageError("the name of the session looks like a credential", hint="--session NAME, another one")
    return name


def require_on(context: Context, session: str) -> None:
    """Raise `OffError` with the reason and what switches it on, unless the feature is on for a session."""
    found = flags.evaluate(context.config, flags.history(context.root), FLAG, session)
    if not found.value:
        hint = f"agent-studio flags set {FLAG} --on --reason TEXT --env {context.environment}"
        if found.reason is flags.Reason.KILLED:
            hint = flags.lift_command(context.environment, FLAG)
        raise OffError(f"{FLAG} is off in {context.environment}: {found.detail}", hint=hint)


def runs_most(context: Context) -> int:
    """Return how many runs one session may have."""
    return int(context.config[f"{_OWN}.maxInvocationsPerSession"])


def methods_most(context: Context) -> int:
    """Return how many methods one run may have."""
    return int(context.config[f"{_OWN}.maxMethodsPerInvocation"])


def least_score(context: Context) -> float:
    """Return the score from which a method is chosen without being named."""
    return float(context.config[f"{_OWN}.minConfidence"])


def budget_usd(context: Context, spent: Decimal, given: Decimal | None) -> Decimal:
    """Return what a session may have spent in the end: the configured limit, or less for this run."""
    whole = Decimal(str(context.config[f"{_OWN}.costBudget"]))
    return whole if given is None else min(whole, spent + given)
