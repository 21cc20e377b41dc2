"""The requirement `no-regression`: the candidate's agents are no worse at the project's tasks than what is live.

It counts only where the policy asks for it (`release.policy.evals.required`). What evals found comes as evidence with
its figures, and the policy in force decides over them: which tags, how large a loss, how many attempts, whether results
of other tools count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND = "no-regression"
ABOUT = "evals against what is live"
COMMAND = "agent-studio eval compare"
_KEY = "evals."


class Rules(NamedTuple):
    """What the policy asks of evals."""

    required: bool
    tags: tuple[str, ...]
    """All tasks where empty."""
    margin: float
    """Loss of pass rate that is let through."""
    attempts: int
    """Pairs of attempts at the least."""
    imported: bool
    """Whether results of other tools count."""

    def told(self) -> str:
        """Return it in words."""
        tags = f"tasks tagged {' or '.join(self.tags)}" if self.tags else "all tasks"
        counts = "" if self.imported else "; imported results do not count"
        return f"evals: no loss of more than {self.margin:.0%} in {tags}, {self.attempts} pairs at least{counts}"


def rules(values: Mapping[str, Any]) -> Rules:
    """Return what a policy asks for; one from before there were evals asks for nothing."""
    return Rules(
        bool(values.get(f"{_KEY}required")), tuple(values.get(f"{_KEY}tags") or ()),
        float(values.get(f"{_KEY}margin") or 0), int(values.get(f"{_KEY}attempts") or 0),
        bool(values.get(f"{_KEY}imported")),
    )  # fmt: skip


def judged(asked: Rules, data: Mapping[str, Any], live: str) -> tuple[str, str]:
    """Return verdict and reason of evidence under a policy; `live` is the release in production, empty for none."""
    told = str(data.get("reason") or "")
    if data.get("against") != live:
        return INSUFFICIENT, f"it compares with {str(data.get('against'))[:12]}, and {live[:12]} is live"
    if data.get("imported") and not asked.imported:
        return INSUFFICIENT, f"imported from {data['imported']}, which the policy does not count"
    if set(data.get("tags") or ()) != set(asked.tags):
        own = " or ".join(data.get("tags") or ()) or "all"
        return INSUFFICIENT, f"it is about {own} tasks, the policy asks about {' or '.join(asked.tags) or 'all'}"
    if data.get("shown") == FAIL:
        return FAIL, told
    if int(data.get("pairs") or 0) < asked.attempts:
        return INSUFFICIENT, f"{data.get('pairs')} pairs of attempts, the policy asks for {asked.attempts}"
    low = data.get("low")
    return (PASS if isinstance(low, int | float) and low >= -asked.margin else INSUFFICIENT), told
