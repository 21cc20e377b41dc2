"""Gradual rollouts in production: where each stands, and the halt when a limit is broken.

A stage is judged on the sessions that have the flag on since it began. FAIL kills the flag; only PASS lets it go on
without a person's word.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock, log
from agent_studio.environment import flag_rollout
from agent_studio.environment.detect import Environment
from agent_studio.environment.flags import history as flag_history
from agent_studio.environment.flags import share_of
from agent_studio.errors import BusyError
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.rollouts.limits import Limit, limit_of, limits
from agent_studio.release.rollouts.sample import Reading, Sample, Stage, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.config import Config
    from agent_studio.environment.context import Context
    from agent_studio.environment.flag_journal import History, Rollout
    from agent_studio.environment.flags import Change

WHO = "agent-studio"
"""Who halts when nobody does."""
RUNNING, HALTED, OFF = "running", "halted", "off"
INTERVAL_S = 60.0
"""How often who stays awake looks."""
_MINUTE_MS = 60_000


class Status(NamedTuple):
    """One rollout as it stands."""

    rollout: Rollout
    state: str
    """running, halted (killed), or off in the configuration."""
    sample: Sample
    limits: list[Limit]

    @property
    def verdict(self) -> str:
        """The worst of all."""
        verdicts = {one.verdict for one in self.limits}
        return FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else INSUFFICIENT


class Halted(NamedTuple):
    """A rollout that broke a limit and was stopped."""

    rollout: Rollout
    reason: str


def look(context: Context, *, only_running: bool = False) -> list[Status]:
    """Return production's rollouts with what the limits say of each; reads at most the newest 16 MiB of a journal."""
    past = flag_history(context.root)
    states = {flag: _state(context.config, past, flag) for flag in past.rollouts}
    found = [one for flag, one in past.rollouts.items() if states[flag] == RUNNING or not only_running]
    if not found:
        return []
    stages = [Stage(one.flag, _share(context.config, past, one.flag), _ms(one.since)) for one in found]
    reading = Reading(context, min(stage.since_ms for stage in stages), int(clock.now().timestamp() * 1000))
    slow_ms = limit_of(context.config, "hookExecutionTimeMs")
    gap_ms = int(float(context.config["release.policy.burnin.maxGapMinutes"]) * _MINUTE_MS)
    samples = taken(stages, reading, slow_ms=slow_ms, gap_ms=gap_ms)
    return [
        Status(one, states[one.flag], sample, limits(context.config, sample, unread=reading.unread))
        for one, sample in zip(found, samples, strict=True)
    ]


def standing(context: Context) -> list[dict[str, object]]:
    """Return `{flag, percent, state}` of production's rollouts, none elsewhere; nothing is judged."""
    if context.environment is not Environment.PRODUCTION:
        return []
    past = flag_history(context.root)
    return [
        {"flag": flag, "percent": one.percent, "state": _state(context.config, past, flag)}
        for flag, one in past.rollouts.items()
    ]


def check(context: Context) -> list[Halted]:
    """Halt production's rollouts that break a limit; nothing is read when none is under way."""
    if context.environment is not Environment.PRODUCTION:
        return []
    return halt_broken(context, look(context, only_running=True))


def halt_broken(context: Context, found: Sequence[Status]) -> list[Halted]:
    """Halt those of some rollouts that break a limit: their flags are killed, with the reason, and the log says so.

    A flag that someone else is changing is left to the next look.
    """
    halted = []
    for one in found:
        broken = [limit.reason for limit in one.limits if limit.verdict == FAIL]
        if one.state != RUNNING or not broken:
            continue
        reason = f"its gradual rollout broke a limit at {one.rollout.percent:g} % of sessions: {'; '.join(broken)}"
        with suppress(BusyError):
            if flag_rollout.halt(context.root, one.rollout, who=WHO, why=reason).records:
                told = {"flag": one.rollout.flag, "percent": one.rollout.percent, "reason": reason}
                log.error(context, "flag.halted", **told)
                halted.append(Halted(one.rollout, reason))
    return halted


class Regularly:
    """Checks at most once a minute, for who comes by more often."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._next = -math.inf

    def check(self, context: Context) -> list[Halted]:
        """Return what `check` does, or nothing when it is not time yet."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + self._interval_s
        return check(context)


def advance(
    context: Context, status: Status, *, who: str, why: str, despite: str = "", dry_run: bool = False
) -> Change:
    """Bring a rollout to its next stage and keep in the record what the limits said, and despite what it goes on."""
    about = {
        "verdict": status.verdict, "limits": [[one.name, one.verdict, one.reason] for one in status.limits],
        **({"despite": despite} if despite else {}),
    }  # fmt: skip
    return flag_rollout.advance(context.root, status.rollout, about, who=who, why=why, dry_run=dry_run)


def _state(config: Config, past: History, flag: str) -> str:
    if flag in past.kills:
        return HALTED
    return RUNNING if flag in config.flags and config[f"features.{flag}.enabled"] else OFF


def _share(config: Config, past: History, flag: str) -> float:
    return share_of(config, past, flag) if flag in config.flags else past.rollouts[flag].percent


def _ms(timestamp: str) -> int:
    """Return a time of the journal, ms since 1970; one that cannot be read is not over: nothing is judged by it."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        return int(clock.now().timestamp() * 1000)
