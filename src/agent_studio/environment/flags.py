"""Feature flags: whether a unit gets a feature, why, and who changed it.

An unknown flag is an error, a killed flag is off whatever the configuration says, and every change is a record in
`.agent-studio/<environment>/flags.jsonl`, which is only ever appended to.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.change import changed_file, place_of
from agent_studio.environment.config import Config, inspect
from agent_studio.environment.flag_journal import JOURNAL, History, Kill, default_who, history
from agent_studio.environment.schema import faults, key_for
from agent_studio.errors import AgentStudioError, ConfigurationError, UsageError, did_you_mean
from agent_studio.redaction import redact
from agent_studio.storage import journal, locks

__all__ = [
    "BUCKETS", "Change", "Evaluation", "FlagKilledError", "History", "Kill", "Reason", "bucket_of", "default_who",
    "evaluate", "history", "kill", "lift", "lift_command", "place_of", "require_known", "set_flag",
]  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
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


@dataclass(frozen=True)
class Change:
    """What a change did, or would do; no records when everything was so already."""

    records: list[dict[str, Any]]
    notes: list[str]
    """What the user should know of: why nothing changed, or what still overrides the new value."""


def bucket_of(flag: str, unit: str) -> int:
    """Return which of the 10,000 buckets a unit falls into for a flag."""
    digest = hashlib.sha256(f"{flag}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def evaluate(config: Config, killed: Mapping[str, Kill], flag: str, unit: str | None = None) -> Evaluation:
    """Decide a flag for a unit; raise `UsageError` naming the nearest flag when unknown."""
    require_known(config, flag)
    switch = config.explain(f"features.{flag}.enabled")[-1]
    share = config.explain(f"features.{flag}.rolloutPercentage")[-1]
    percent, bucket = share.value, bucket_of(flag, unit) if unit else None
    rollout = f"a rollout of {percent:g} % {_by(share)}"
    if kill := killed.get(flag):
        value, reason, detail = False, Reason.KILLED, str(kill)
    elif not switch.value:
        value, reason, detail = False, Reason.DISABLED, f"off {_by(switch)}"
    elif percent >= 100:  # noqa: PLR2004 - all of them
        value, reason, detail = True, Reason.STATIC, f"on {_by(switch)}"
    elif percent <= 0:
        value, reason, detail = False, Reason.STATIC, f"on {_by(switch)}, but with {rollout}"
    elif bucket is None:
        value, reason, detail = False, Reason.NO_UNIT, f"off without a unit, for it has {rollout}"
    else:
        limit = round(percent * (BUCKETS / 100), 6)  # 0.07 * 100 is a little over 7
        value, reason = bucket < limit, Reason.SPLIT
        detail = f"bucket {bucket} of {BUCKETS} is {'inside' if value else 'outside'} {rollout}"
    return Evaluation(flag, value, reason, detail, bucket)


def _by(layer: Layer) -> str:
    return f"{'in' if layer.file else 'by'} {place_of(layer)}"


def require_known(config: Config, flag: str) -> None:
    """Raise `UsageError` naming the nearest flag unless the flag is known."""
    if flag not in config.flags:
        raise UsageError(f"unknown flag {flag!r}", hint=did_you_mean(flag, config.flags))


def kill(context: Context, flag: str, *, who: str, why: str, dry_run: bool = False) -> Change:
    """Switch a flag off for everyone at once, over all configuration, until it is lifted."""
    require_known(context.config, flag)
    with _changing(context, who, why, dry_run=dry_run) as past:
        if standing := past.kills.get(flag):
            return Change([], [f"{flag} is already {standing}"])
        return _append(
            context,
            _record(context, flag, "kill", before=_configured(context, flag), after=False, who=who, why=why),
            dry_run,
        )


def lift(context: Context, flag: str, *, who: str, why: str, dry_run: bool = False) -> Change:
    """Undo a kill: the configuration decides again."""
    if flag not in history(context.root).kills:  # a flag may be gone from the configuration and still be killed
        require_known(context.config, flag)
    with _changing(context, who, why, dry_run=dry_run) as past:
        if flag not in past.kills:
            return Change([], [f"{flag} is not killed"])
        after = _configured(context, flag)
        return _append(context, _record(context, flag, "lift", before=False, after=after, who=who, why=why), dry_run)


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
    with _changing(context, who, why, dry_run=dry_run) as past:
        if enabled and (standing := past.kills.get(flag)):
            raise FlagKilledError(f"{flag} was {standing}", hint=f"lift it first: {lift_command(context.config, flag)}")
        written, _ = inspect(context.project, context.environment, {})
        records = [
            _record(context, flag, "set", key=key, before=written[key], after=value, who=who, why=why)
            for key, value in wanted.items()
            if written[key] != value
        ]
        notes = [_already(written, key) for key, value in wanted.items() if written[key] == value]
        notes += [f"{flag} stays off: {standing}" for standing in [past.kills.get(flag)] if standing]
        notes += [note for key in wanted if (note := _overridden(context.config, key))]
        if records and not dry_run:
            with changed_file(context, {record["key"]: record["after"] for record in records}):
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
def _changing(context: Context, who: str, why: str, *, dry_run: bool) -> Iterator[History]:
    """Hold the lock while flags change and hand in what the journal says; a dry run leaves no trace."""
    for option, text in (("--reason", why), ("--by", who)):
        if not _clean(text):
            raise UsageError(f"{option} is empty", hint="every change of a flag says who made it and why")
    if dry_run:
        yield history(context.root)
        return
    context.root.state.make()
    with locks.exclusive(context.root.state, _LOCK, doing="changing flags"):
        yield history(context.root)


def _clean(text: str) -> str:
    """Return a person's words as one printable line without secrets."""
    return redact("".join(character for character in " ".join(text.split()) if character.isprintable()))


def _record(
    context: Context, flag: str, action: str, *, key: str | None = None, before: Any, after: Any, who: str, why: str
) -> dict[str, Any]:
    return {
        "timestamp": clock.timestamp(clock.now()),
        "environment": str(context.environment),
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


def _append(context: Context, record: dict[str, Any], dry_run: bool) -> Change:  # noqa: FBT001 - named at every call
    if not dry_run:
        journal.append(context.root.state, JOURNAL, [record])
    return Change([record], [])


def lift_command(config: Config, flag: str) -> str:
    """Return the command that lifts a kill."""
    return f"agent-studio flags kill {flag} --lift --reason TEXT --env {config.environment}"
