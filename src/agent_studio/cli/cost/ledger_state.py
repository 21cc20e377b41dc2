"""What people should know of the ledger when they read figures from it."""

from __future__ import annotations

from agent_studio.cli.output import Problem


def ledger_problems(*, moved: bool, damaged: int) -> list[Problem]:
    """Return problems for a ledger that somebody else cut or rewrote, and for lines that are no usage."""
    found = []
    if moved:
        found.append(Problem(
            "ledger-rewritten", "the ledger was cut or rewritten by somebody else: less may be counted than was spent",
            "agent-studio cost verify; cost import takes in again what transcripts still tell",
        ))  # fmt: skip
    if damaged:
        found.append(
            Problem("ledger-damaged", f"{damaged} lines of the ledger are no usage", "agent-studio cost verify")
        )
    return found
