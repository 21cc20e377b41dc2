"""A model that is asked may not ask models through us again: what would multiply calls, and with them the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "AGENT_STUDIO_ASKING"
"""Set for every program that answers for us."""


def refuse_nested(variables: Mapping[str, str]) -> None:
    """Raise `UsageError` inside a program that answers for us."""
    if variables.get(VARIABLE):
        raise UsageError(
            "this runs inside a model that is being asked: models are not asked from there",
            hint=f"start it outside; {VARIABLE} says where this is",
        )
