"""Gradual rollouts: a flag that goes live for 10, then 50, then 100 per cent of sessions.

Each step is a line of the flag journal, durable before anything builds on it. Nobody who is in falls out while the
share grows, for the buckets of a smaller share are among those of a larger one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from agent_studio.environment.flag_journal import JOURNAL, ROLLOUT
from agent_studio.environment.flags import Change, FlagKilledError, changing, lift_command, record
from agent_studio.errors import BusyError
from agent_studio.storage import journal
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.flag_journal import History, Rollout
    from agent_studio.environment.roots import EnvironmentRoot

STAGES = (10, 50, 100)
"""Per cent of sessions; the last is the end of a rollout."""


def next_stage(percent: float) -> int:
    """Return the stage after a share."""
    return next(stage for stage in STAGES if stage > percent)


def put(root: EnvironmentRoot, stages: Mapping[str, int | float | None], *, who: str, why: str, release: str) -> Change:
    """Put flags at a stage whatever they were at: per cent of sessions, None for the end of a rollout.

    A flag that the configuration does not know yet may be among them. Raises `BusyError` while someone changes flags.
    """
    with changing(root, who, why) as past:
        lines = [_line(root, past, flag, percent, who, why, release) for flag, percent in stages.items()]
        _append(root, lines)
        return Change(lines, [])


def advance(
    root: EnvironmentRoot, standing: Rollout, about: Mapping[str, Any], *, who: str, why: str, dry_run: bool = False
) -> Change:
    """Bring a rollout to its next stage; `about` is kept in the record.

    Raises `BusyError` when it is no longer as it was looked at, `FlagKilledError` when it is halted.
    """
    with changing(root, who, why, dry_run=dry_run) as past:
        if past.rollouts.get(standing.flag) != standing:
            raise BusyError(
                f"the rollout of {standing.flag} was moved by someone else meanwhile",
                hint="look again: agent-studio flags rollout --env production",
            )
        if kill := past.kills.get(standing.flag):
            hint = f"lift it first: {lift_command(root.environment, standing.flag)}"
            raise FlagKilledError(f"{standing.flag} is {kill}", hint=hint)
        percent = next_stage(standing.percent)
        line = {**_line(root, past, standing.flag, percent, who, why, standing.release), **about}
        if not dry_run:
            _append(root, [line])
        return Change([line], [])


def halt(root: EnvironmentRoot, standing: Rollout, *, who: str, why: str, dry_run: bool = False) -> Change:
    """Kill a flag that is in a rollout; nothing happens when it is killed already, or no longer where it was."""
    with changing(root, who, why, dry_run=dry_run) as past:
        if kill := past.kills.get(standing.flag):
            return Change([], [f"{standing.flag} is already {kill}"])
        if past.rollouts.get(standing.flag) != standing:
            return Change([], [f"the rollout of {standing.flag} was moved by someone else meanwhile"])
        line = record(root, standing.flag, "kill", before=True, after=False, who=who, why=why)
        if not dry_run:
            _append(root, [line])
        return Change([line], [])


def _line(
    root: EnvironmentRoot, past: History, flag: str, percent: float | None, who: str, why: str, release: str
) -> dict[str, Any]:
    standing = past.rollouts.get(flag)
    before = standing.percent if standing else None
    return {**record(root, flag, ROLLOUT, before=before, after=percent, who=who, why=why), "release": release}


def _append(root: EnvironmentRoot, lines: Sequence[Mapping[str, Any]]) -> None:
    """Append durably: a stage that power failure takes back would leave a flag on for all."""
    journal.append(root.state, JOURNAL, lines)
    descriptor = root.state.open(JOURNAL, os.O_RDWR)
    try:
        with disk_faults(root.state.path / JOURNAL):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    root.state.sync()
