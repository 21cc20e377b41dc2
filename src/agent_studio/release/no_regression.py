"""The requirement `no-regression`: the candidate's agents are no worse at the project's tasks than what is live.

It counts only where the policy asks for it (`release.policy.evals.required`). What evals found comes as evidence with
its figures, and the policy in force decides over them: which tags, how large a loss, how many attempts, whether results
of other tools count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND = "no-regression"
ABOUT = "evals against what is live"
COMMAND = "agent-studio eval compare"
_KEY = "evals."
_LISTED = 6


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
    backend: tuple[str, ...] = ("claude",)
    """Words of the backend whose attempts count; those of any other are a rehearsal."""

    def told(self) -> str:
        """Return it in words."""
        tags = f"tasks tagged {' or '.join(self.tags)}" if self.tags else "all tasks"
        counts = "" if self.imported else "; imported results do not count"
        least = f"{self.attempts} pairs at least, by {' '.join(self.backend)}"
        return f"evals: no loss of more than {self.margin:.0%} in {tags}, {least}{counts}"


class Standing(NamedTuple):
    """What is there now, that evidence is held against."""

    suite: Mapping[str, str] = {}
    """Hash of each task that the policy asks about, by id."""
    since: Sequence[str] = ()
    """Runs that have come further than evidence knows."""
    damage: Sequence[str] = ()
    """What is not as it was when evidence was made."""
    fault: str = ""
    """Why the tasks cannot be read."""


_NOTHING = Standing()


def rules(values: Mapping[str, Any]) -> Rules:
    """Return what a policy asks for; one from before there were evals asks for nothing."""
    return Rules(
        bool(values.get(f"{_KEY}required")), tuple(values.get(f"{_KEY}tags") or ()),
        float(values.get(f"{_KEY}margin") or 0), int(values.get(f"{_KEY}attempts") or 0),
        bool(values.get(f"{_KEY}imported")), tuple(values.get(f"{_KEY}backend") or ("claude",)),
    )  # fmt: skip


def is_rehearsed(asked: Rules, data: Mapping[str, Any]) -> bool:
    """Tell whether evidence is of attempts that another backend made than the one that counts."""
    return not data.get("imported") and tuple(data.get("words") or (str(data.get("backend")),)) != asked.backend


def judged(asked: Rules, data: Mapping[str, Any], live: str, now: Standing = _NOTHING) -> tuple[str, str]:
    """Return verdict and reason of evidence under a policy; `live` is the release in production, empty for none."""
    told = str(data.get("reason") or "")
    if data.get("against") != live:
        return INSUFFICIENT, f"it compares with {str(data.get('against'))[:12]}, and {live[:12]} is live"
    if data.get("imported") and not asked.imported:
        return INSUFFICIENT, f"imported from {data['imported']}, which the policy does not count"
    if is_rehearsed(asked, data):
        return INSUFFICIENT, f"a rehearsal with {data.get('backend')}, the policy counts {' '.join(asked.backend)}"
    if set(data.get("tags") or ()) != set(asked.tags):
        own = " or ".join(data.get("tags") or ()) or "all"
        return INSUFFICIENT, f"it is about {own} tasks, the policy asks about {' or '.join(asked.tags) or 'all'}"
    if not data.get("imported") and (other := _otherwise(data, now)):
        return INSUFFICIENT, other
    if data.get("shown") == FAIL:
        return FAIL, told
    if int(data.get("pairs") or 0) < asked.attempts:
        return INSUFFICIENT, f"{data.get('pairs')} pairs of attempts, the policy asks for {asked.attempts}"
    return (PASS if _is_within(asked.margin, data) else INSUFFICIENT), told


def _otherwise(data: Mapping[str, Any], now: Standing) -> str:
    """Return why evidence is not about what is there now, empty when it is."""
    if now.fault:
        return f"the tasks cannot be read: {now.fault}"
    held = data.get("suite") or {}
    changed = sorted(name for name in held.keys() & now.suite.keys() if held[name] != now.suite[name])
    parts = [("changed", changed), ("new", sorted(now.suite.keys() - held.keys())),
             ("gone", sorted(held.keys() - now.suite.keys()))]  # fmt: skip
    if told := "; ".join(f"{word} {_listed(names)}" for word, names in parts if names):
        return f"the tasks are not those that it was made with: {told}; {COMMAND} tries those that are there now"
    if now.since:
        return f"more was tried since: {COMMAND} --resume {now.since[-1]} judges it all"
    return ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _is_within(margin: float, data: Mapping[str, Any]) -> bool:
    """Tell whether a larger loss than a margin is refuted: as it was found for its own margin, else by the interval."""
    shown, own, low = data.get("shown"), data.get("margin"), data.get("low")
    if isinstance(own, int | float) and own == margin:
        return bool(shown == PASS)
    # what could not be judged at all, for its attempts show nothing, has an interval nevertheless
    return not data.get("why") and isinstance(low, int | float) and low >= -margin
