"""What a gate says: one of three verdicts, why, and what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

PASS, FAIL, INSUFFICIENT = "PASS", "FAIL", "INSUFFICIENT"


class Gate(NamedTuple):
    """One check of one phase."""

    name: str
    verdict: str
    """PASS, FAIL or INSUFFICIENT: what could not be shown is never a pass."""
    reason: str
    evidence: tuple[dict[str, Any], ...] = ()
    """What it saw, as JSON has it."""

    def as_json(self) -> dict[str, Any]:
        """Return it as it is written and shown."""
        return {**self._asdict(), "evidence": list(self.evidence)}


def counted(number: int, what: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def verdict(gates: Iterable[Gate]) -> str:
    """Return what several gates come to: FAIL before INSUFFICIENT before PASS; none at all is INSUFFICIENT."""
    found = [one.verdict for one in gates]
    if FAIL in found:
        return FAIL
    return INSUFFICIENT if INSUFFICIENT in found or not found else PASS
