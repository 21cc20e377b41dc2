"""Feature flags: whether a unit gets a feature, why, and who changed it.

An unknown flag is an error, a killed flag is off whatever the configuration says, one in a gradual rollout is on for no
more than its stage, and every change is a record in `.agent-studio/<environment>/flags.jsonl`, which is only ever
appended to.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.change import changed_file, place_of
from agent_studio.environment.config import Config, inspect
from agent_studio.environment.flag_journal import JOURNAL, ROLLOUT, History, Kill, Rollout, default_who, history
from agent_studio.environment.schema import faults, key_for
from agent_studio.errors import AgentStudioError, ConfigurationError, UsageError, did_you_mean
from agent_studio.redaction import redact
from agent_studio.storage import journal, locks

__all__ = [
    "BUCKETS", "ROLLOUT", "Change", "Evaluation", "FlagKilledError", "History", "Kill", "Reason", "Rollout",
    "bucket_of", "changing", "default_who", "evaluate", "history", "is_inside", "kill", "lift", "lift_command",
    "place_of", "record", "require_known", "set_flag", "share_of",
]  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.detect import Environment
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.environment.sources import Layer

BUCKETS = 10_000
_LOCK = "flags.lock"


class Reason(StrEnum):
    """Why a flag has its value; OpenFeature's words where it has one."""

    STATIC = "STATIC"
    DISABLED = "DISABLED"
    SPLIT = "SPLIT"
    KILLED = "KILLED"
    NO_UNIT = "NO_UNIT"


class FlagKilledError(AgentStudioError):
    """A killed flag cannot be switched on before the kill is lifted."""

    code = "flag-killed"


@dataclass(frozen=True)
class Evaluation:
    """A flag's value for one unit."""

    flag: str
    value: bool
    reason: Reason
    detail: str
    """A sentence that names what decided, with file and line where there is one."""
    bucket: int | None
    """The unit's, 0 to 9,999; None without a unit."""


class Change(NamedTuple):
    """What a change did, or would do; no records when everything was so already."""

    records: list[dict[str, Any]]
    notes: list[str]
    """What the user should know of: why nothing changed, or what still overrides the new value."""


def bucket_of(flag: str, unit: str) -> int:
    """Return which of the 10,000 buckets a unit falls into for a flag."""
    digest = hashlib.sha256(f"{flag}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def is_inside(flag: str, unit: str, percent: float) -> bool:
    """Tell whether a unit is among so many per cent: who is stays so while they grow."""
    return bucket_of(flag, unit) < round(percent * (BUCKETS / 100), 6)  # 0.07 * 100 is a little over 7


def share_of(config: Config, past: History, flag: str) -> float:
    """Return for how many per cent of units a flag is on at most: the smaller of configuration's and rollout's."""
    percent = float(config[f"features.{flag}.rolloutPercentage"])
    rollout = past.rollouts.get(flag)
    return min(percent, rollout.percent) if rollout else percent


def evaluate(config: Config, past: History, flag: str, unit: str | None = None) -> Evaluation:
    """Decide a flag for a unit; raise `UsageError` naming the nearest flag when unknown."""
    require_known(config, flag)
    switch = config.explain(f"features.{flag}.enabled")[-1]
    percent, bucket = share_of(config, past, flag), bucket_of(flag, unit) if unit else None
    rollout = _rollout(config, past, flag)
    if kill := past.kills.get(flag):
        value, reason, detail = False, Reason.KILLED, str(kill)
    elif not switch.value:
        value, reason, detail = False, Reason.DISABLED, f"off {_by(switch)}"
    elif percent >= 100:  # noqa: PLR2004 - all of them
        value, reason, detail = True, Reason.STATIC, f"on {_by(switch)}"
    elif percent <= 0:
        value, reason, detail = False, Reason.STATIC, f"on {_by(switch)}, but with {rollout}"
    elif bucket is None or unit is None:
        value, reason, detail = False, Reason.NO_UNIT, f"off without a unit, for it has {rollout}"
    else:
        value, reason = is_inside(flag, unit, percent), Reason.SPLIT
        detail = f"bucket {bucket} of {BUCKETS} is {'inside' if value else 'outside'} {rollout}"
    return Evaluation(flag, value, reason, detail, bucket)


def _rollout(config: Config, past: History, flag: str) -> str:
    """Return what holds a flag's share down, in words."""
    share = config.explain(f"features.{flag}.rolloutPercentage")[-1]
    gradual = past.rollouts.get(flag)
    if gradual and gradual.percent < share.value:
        return str(gradual)
    return f"a rollout of {share.value:g} % {_by(share)}"


def _by(layer: Layer) -> str:
    return f"{'in' if layer.file else 'by'} {place_of(layer)}"


def require_known(config: Config, flag: str) -> None:
    """Raise `UsageError` naming the nearest flag unless the flag is known."""
    if flag not in config.flags:
        raise UsageError(f"unknown flag {flag!r}", hint=did_you_mean(flag, config.flags))


def kill(context: Context, flag: str, *, who: str, why: str, dry_run: bool = False) -> Change:
    """Switch a flag off for everyone at once, over all configuration, until it is lifted."""
    require_known(context.config, flag)
    with changing(context.root, who, why, dry_run=dry_run) as past:
        if standing := past.kills.get(flag):
            return Change([], [f"{flag} is already {standing}"])
        return _append(
            context,
            record(context.root, flag, "kill", before=_configured(context, flag), after=False, who=who, why=why),
            dry_run,
        )


def lift(context: Context, flag: str, *, who: str, why: str, dry_run: bool = False) -> Change:
    """Undo a kill: the configuration decides again, and a gradual rollout is where it was, its stage begun anew."""
    if flag not in history(context.root).kills:  # a flag may be gone from the configuration and still be killed
        require_known(context.config, flag)
    with changing(context.root, who, why, dry_run=dry_run) as past:
        if flag not in past.kills:
            return Change([], [f"{flag} is not killed"])
        after = _configured(context, flag)
        line = record(context.root, flag, "lift", before=False, after=after, who=who, why=why)
        rollout = past.rollouts.get(flag)
        notes = (
            [f"its gradual rollout is at {rollout.percent:g} % again, and that stage begins anew"] if rollout else []
        )
        return _append(context, line, dry_run)._replace(notes=notes)


def set_flag(
    context: Context,
    flag: str,
    *,
    enabled: bool | None = None,
    rollout: float | None = None,
    who: str,
    why: str,
    dry_run: bool = False,
) -> Change:
    """Write a flag's keys to the environment's own configuration file.

    Raises `FlagKilledError` when a killed flag would be switched on, `ConfigurationError` for a value over its limit.
    """
    whole = int(rollout) if rollout is not None and float(rollout).is_integer() else rollout
    asked = {"enabled": enabled, "rolloutPercentage": whole}
    wanted = {f"features.{flag}.{name}": value for name, value in asked.items() if value is not None}
    require_known(context.config, flag)
    for key, value in wanted.items():
        _refuse_fault(key, value)
    with changing(context.root, who, why, dry_run=dry_run) as past:
        if enabled and (standing := past.kills.get(flag)):
            hint = f"lift it first: {lift_command(context.environment, flag)}"
            raise FlagKilledError(f"{flag} was {standing}", hint=hint)
        written, _ = inspect(context.project, context.environment, {})
        records = [
            record(context.root, flag, "set", key=key, before=written[key], after=value, who=who, why=why)
            for key, value in wanted.items()
            if written[key] != value
        ]
        notes = [_already(written, key) for key, value in wanted.items() if written[key] == value]
        notes += [f"{flag} stays off: {standing}" for standing in [past.kills.get(flag)] if standing]
        notes += [f"{flag} has {rollout}" for rollout in [past.rollouts.get(flag)] if rollout]
        notes += [note for key in wanted if (note := _overridden(context.config, key))]
        if records and not dry_run:
            with changed_file(context, {one["key"]: one["after"] for one in records}):
                journal.append(context.root.state, JOURNAL, records)
        return Change(records, notes)


def _already(config: Config, key: str) -> str:
    layer = config.explain(key)[-1]
    return f"{key} is already {json.dumps(layer.value)} ({place_of(layer)})"


def _overridden(config: Config, key: str) -> str:
    layer = config.explain(key)[-1]
    if layer.source not in {"environment variable", "--set"}:
        return ""
    return f"{layer.note} sets {key} to {json.dumps(layer.value)} here, over every file"


def _refuse_fault(key: str, value: Any) -> None:
    owned = key_for(key)
    if owned and (fault := next(faults(owned, value), "")):
        raise ConfigurationError(f"{key} {fault}", hint=owned.doc)


@contextmanager
def changing(root: EnvironmentRoot, who: str, why: str, *, dry_run: bool = False) -> Iterator[History]:
    """Hold the lock while flags change and hand in what the journal says; a dry run leaves no trace.

    Raises `UsageError` where it is not said who and why, `BusyError` while someone else changes flags.
    """
    for option, text in (("--reason", why), ("--by", who)):
        if not _clean(text):
            raise UsageError(f"{option} is empty", hint="every change of a flag says who made it and why")
    if dry_run:
        yield history(root)
        return
    root.state.make()
    with locks.exclusive(root.state, _LOCK, doing="changing flags"):
        yield history(root)


def _clean(text: str) -> str:
    """Return a person's words as one printable line without secrets."""
    return redact("".join(character for character in " ".join(text.split()) if character.isprintable()))


def record(
    root: EnvironmentRoot,
    flag: str,
    action: str,
    *,
    key: str | None = None,
    before: Any,
    after: Any,
    who: str,
    why: str,
) -> dict[str, Any]:
    """Return the line of the journal for a change."""
    return {
        "timestamp": clock.timestamp(clock.now()),
        "environment": str(root.environment),
        "flag": flag,
        "action": action,
        "key": key,
        "before": before,
        "after": after,
        "who": _clean(who),
        "why": _clean(why),
    }


def _configured(context: Context, flag: str) -> bool | None:
    """Return whether the configuration has a flag on, or None for one that it no longer knows."""
    return bool(context.config[f"features.{flag}.enabled"]) if flag in context.config.flags else None


def _append(context: Context, line: dict[str, Any], dry_run: bool) -> Change:  # noqa: FBT001 - named at every call
    if not dry_run:
        journal.append(context.root.state, JOURNAL, [line])
    return Change([line], [])


def lift_command(environment: Environment, flag: str) -> str:
    """Return the command that lifts a kill."""
    return f"agent-studio flags kill {flag} --lift --reason TEXT --env {environment}"
