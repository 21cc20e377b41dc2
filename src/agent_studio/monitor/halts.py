"""The verdict on gradual rollouts that were halted: their flags are killed, and somebody has to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.flag_journal import history
from agent_studio.monitor.verdict import BREACH, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context

FLAG_ROLLOUT = "flagRollout"


def verdicts(context: Context) -> Iterator[Verdict]:
    """Yield a breach for each flag that is killed in its rollout; once that is lifted, or has ended, there is none."""
    past = history(context.root)
    for flag, one in past.rollouts.items():
        if kill := past.kills.get(flag):
            message = f"halted at {one.percent:g} % of sessions, {kill}"
            yield Verdict(
                FLAG_ROLLOUT, flag, BREACH, "HIGH", 1.0, None, None, 0.0, "flags", 1, 0, message, clear=False
            )  # fmt: skip
