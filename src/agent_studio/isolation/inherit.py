"""Which of the user's variables a run gets, as the environment's configuration says.

A value that is registered as production's reaches no other environment: a declared variable that holds one is refused,
any other is withheld.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent_studio.environment.detect import Environment
from agent_studio.errors import UsageError
from agent_studio.isolation.secrets import registered
from agent_studio.isolation.variables import CLIENT_CREDENTIALS, Filtered, without_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agent_studio.environment.context import Context

MODE_KEY, PASSED_KEY = "isolation.variables", "isolation.passed"
LISTED = "listed"


def inherited(context: Context, variables: Mapping[str, str], *, keep: Collection[str], client: bool) -> Filtered:
    """Return what the command of a run sees; `keep` names pass by the user's word, `client` says whether it is Claude.

    Raises `UsageError` when a variable that should pass has a value of production's, `IntegrityError` when that cannot
    be told.
    """
    config = context.config
    declared = {environment: set(config[f"secrets.{environment}"] or ()) for environment in Environment}
    own = declared.pop(context.environment) | set(keep)
    of_production = frozenset[str]()
    if context.environment is not Environment.PRODUCTION:
        of_production = registered.of_production(context.project, variables)
        _refuse(context, sorted(own & of_production))
    filtered = without_secrets(
        variables,
        allowed=own,
        foreign=set().union(*declared.values(), of_production),
        passed=CLIENT_CREDENTIALS if client else (),
        listed=tuple(config[PASSED_KEY] or ()) if config[MODE_KEY] == LISTED else None,
    )
    return replace(filtered, of_production=of_production.intersection(filtered.withheld))


def _refuse(context: Context, names: list[str]) -> None:
    if names:
        have = "has a value" if len(names) == 1 else "have values"
        raise UsageError(
            f"{', '.join(names)} {have} of production's: nothing was started in {context.environment}",
            hint=f"give {context.environment} a value of its own, such as a test key of the provider's",
        )
