"""What `doctor` says of models: which can be asked now, why others cannot, and whether the chosen one can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import AgentStudioError
from agent_studio.reasoning.models.choice import open_model, usable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.models.model import Choice

_CODE = "models"
_SHOWN = 3


def checks(context: Context) -> Iterator[Finding]:
    """Yield findings."""
    try:
        choices = usable(context)
    except AgentStudioError as error:
        yield Finding(_CODE, Severity.ERROR, error.message, error.hint)
        return
    ready = [_named(choice) for choice in choices if choice.usable]
    rest = "; ".join(f"{choice.name}: {choice.why}" for choice in choices if not choice.usable)
    if ready:
        more = f" (not usable: {rest})" if rest else ""
        yield Finding(_CODE, Severity.OK, f"usable now: {', '.join(ready)}{more}")
    else:
        yield Finding(_CODE, Severity.INFO, f"no model can be asked: {rest}", "one of them is enough: docs/models.md")
    chosen = context.config["models.default"]
    if chosen:
        yield _default(context, chosen)


def _named(choice: Choice) -> str:
    if not choice.models:
        return choice.name
    more = f" and {len(choice.models) - _SHOWN} more" if len(choice.models) > _SHOWN else ""
    return f"{choice.name} ({', '.join(choice.models[:_SHOWN])}{more})"


def _default(context: Context, chosen: str) -> Finding:
    try:
        open_model(context, chosen)
    except AgentStudioError as error:
        return Finding(_CODE, Severity.WARNING, f"models.default: {error.message}", error.hint)
    return Finding(_CODE, Severity.OK, f"models.default is {chosen}")
