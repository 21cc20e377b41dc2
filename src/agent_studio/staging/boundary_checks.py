"""The smoke check of the boundary that `run` draws: a few of the routes of `doctor isolation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.isolation import claims, probe, proof
from agent_studio.isolation.backends import ADVISORY, INSIDE
from agent_studio.isolation.choice import choose
from agent_studio.staging.subject import Failed, Skipped

if TYPE_CHECKING:
    from agent_studio.staging.subject import Subject


def isolation_holds(subject: Subject) -> str:
    """A random value planted in another environment's data cannot be reached or changed from inside of a run."""
    if subject.variables.get(INSIDE, ADVISORY) != ADVISORY:
        raise Skipped("inside of a run: nothing can be planted outside from here")
    context = subject.context
    wanted = proof.boundary(context, subject.variables)
    chosen = choose(wanted, str(context.config["isolation.backend"]))
    if chosen.backend is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in chosen.refused) or "it is configured so"
        raise Skipped(f"isolation is advisory here ({reasons})")
    found = proof.prove(context, wanted, chosen, subject.variables, brief=True)
    if found.broken:
        first = found.broken[0]
        raise Failed(
            f"{found.backend}: {first.name} reaches {first.target}: {first.detail} (agent-studio doctor isolation)"
        )
    if found.separation == "none":
        raise Skipped("another environment has its data in the same folders: there is nothing to keep apart")
    if found.verdict != claims.PASS:
        left = found.count(probe.NOT_TRIED) or "all"
        raise Skipped(f"{found.backend}: {left} of {len(found.routes)} routes could not be tried")
    return f"{found.backend}: {found.count(probe.BLOCKED)} ways to other environments refused by the kernel"
