"""The burn-in by the records of all machines, kept as evidence for the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import working
from agent_studio.errors import UsageError
from agent_studio.release.burnin import report
from agent_studio.release.content import candidate as working_checkout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.release.production.sides import Sides


def kept(sides: Sides, candidate: str, variables: Mapping[str, str]) -> Mapping[str, Any]:
    """Keep where the burn-in stands as evidence, and return what it is of, see `report.source_of`.

    Raises `UsageError` for a candidate that the working checkout is not: its burn-in is nobody's here.
    """
    from agent_studio.fleet import source  # noqa: PLC0415 - only for those who ask for it

    if working_checkout.candidate(sides.project).sha256 != candidate:
        raise UsageError(
            f"--from fleet is about the working checkout, and that is not {candidate[:12]}",
            hint="leave --candidate out, or check that candidate out",
        )
    with source.opened(sides.staging, variables) as shared, working("asking the fleet"):
        found = report.report(sides.reading(shared))
    return found.source
