"""How much of what each method finds is taken: counted from decisions, never estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.reasoning.elicitation import store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Acceptance(NamedTuple):
    """What became of a method's findings in all runs."""

    runs: int = 0
    findings: int = 0
    offered: int = 0
    kept: int = 0
    unsound: int = 0
    advice: int = 0
    applied: int = 0
    rejected: int = 0

    @property
    def share(self) -> float | None:
        """Share of the decided findings that were applied, 0 to 1; None where none was decided."""
        decided = self.applied + self.rejected
        return self.applied / decided if decided else None


def acceptance(past: Iterable[Mapping[str, Any]]) -> dict[str, Acceptance]:
    """Return what became of each method's findings, by its id, from the journal of all runs."""
    counts: dict[str, dict[str, int]] = {}
    for one in past:
        kind = one["kind"]
        if kind == store.BEGAN:
            _add(counts, dict.fromkeys(one["methods"], 1), "runs")
        elif kind in {store.APPLIED, store.REJECTED}:
            _add(counts, one["methods"], kind)
        elif kind == store.ENDED:
            for method, states in one["methods"].items():
                _add(counts, {method: sum(states.values())}, "findings")
                for state, count in states.items():
                    _add(counts, {method: count}, state)
    return {method: Acceptance(**own) for method, own in counts.items()}


def _add(counts: dict[str, dict[str, int]], methods: Mapping[str, int], key: str) -> None:
    for method, count in methods.items():
        own = counts.setdefault(method, {})
        own[key] = own.get(key, 0) + count
