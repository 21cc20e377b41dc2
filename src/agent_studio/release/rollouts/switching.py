"""What releases do to gradual rollouts: a promotion begins one, and whatever is live next carries it on or ends it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.environment import flag_rollout
from agent_studio.environment.config import inspect, load
from agent_studio.environment.detect import Environment
from agent_studio.environment.flag_journal import history as flag_history
from agent_studio.environment.roots import SHARED_ROOT, EnvironmentRoot
from agent_studio.errors import AgentStudioError, BusyError
from agent_studio.release.content.store import Store
from agent_studio.release.policy import Stored
from agent_studio.release.production import history
from agent_studio.release.production.sides import data_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_studio.environment.config import Config
    from agent_studio.environment.flags import Change
    from agent_studio.environment.roots import Project
    from agent_studio.release.content.manifest import Entry
    from agent_studio.release.content.tree import Tree
    from agent_studio.release.production.sides import Sides

WHO = "agent-studio"
"""Who carries a rollout on, or ends it, when nobody does."""
_PATIENCE_S, _PAUSE_S = 5.0, 0.05


def turned_on(sides: Sides, release: Mapping[str, Entry], candidate: str) -> list[str]:
    """Return the flags that a release in the store has on in production, and what is live has not.

    None are for a folder of definitions alone, whose configuration nobody reads.
    Raises `ConfigurationError` for a release whose configuration cannot be read.
    """
    if sides.target.tree.around is None:
        return []
    before = _configuration(sides.production)
    after = load(Stored(Store(sides.project), release, candidate), Environment.PRODUCTION, {})
    return [flag for flag in after.flags if _is_on(after, flag) and not _is_on(before, flag)]


def begin(sides: Sides, flags: Sequence[str], *, gradually: bool, who: str, release: str) -> None:
    """Note before a promotion how far the flags that it turns on go: the first stage, or all.

    The caller holds `switch.alone`. Raises `BusyError` while someone changes flags.
    """
    root = _journal(sides.production)
    stages: dict[str, int | None] = dict.fromkeys(flags, flag_rollout.STAGES[0])
    why = f"promotion of release {release[:12]}"
    if not gradually:  # what an earlier promotion left, which never came to its end
        stages = dict.fromkeys((flag for flag in flags if flag in flag_history(root).rollouts), None)
        why += ", not gradually"
    if stages:
        _patiently(lambda: flag_rollout.put(root, stages, who=who, why=why, release=release))


def follow(project: Project, tree: Tree) -> None:
    """Let rollouts follow what is live now: one whose flag it has off ends, another's stage begins anew.

    The caller holds `switch.alone`. What cannot be read or written leaves them where they are, which is no further.
    """
    production = data_project(project, tree)
    root = _journal(production)
    with suppress(AgentStudioError):
        rollouts = flag_history(root).rollouts
        if not rollouts:
            return
        current, live = history.read(project).current, _configuration(production)
        release = "" if current is None else current.release
        stages: dict[str, float | None] = {}
        for flag, one in rollouts.items():
            if not _is_on(live, flag):
                stages[flag] = None
            elif one.release != release:
                stages[flag] = one.percent
        why = f"release {release[:12]} is live" if release else "no release is live"
        if stages:
            _patiently(lambda: flag_rollout.put(root, stages, who=WHO, why=why, release=release))


def _configuration(production: Project) -> Config:
    """Return what files say of production, as far as they can be read."""
    config, _ = inspect(production, Environment.PRODUCTION, {})
    return config


def _is_on(config: Config, flag: str) -> bool:
    return flag in config.flags and bool(config[f"features.{flag}.enabled"])


def _journal(production: Project) -> EnvironmentRoot:
    """Return what the flag journal is found by, whatever production's configuration is like."""
    return EnvironmentRoot(production, Environment.PRODUCTION, SHARED_ROOT, {})


def _patiently(act: Callable[[], Change]) -> Change:
    """Act, and again for a few seconds while someone else changes flags."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return act()
        except BusyError:
            if time.monotonic() > until:
                raise
        time.sleep(_PAUSE_S)
