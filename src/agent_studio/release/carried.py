"""Feature flags that a promotion carries over: what staging's files have on, or off, becomes production's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.config import file_name, inspect, load
from agent_studio.environment.detect import Environment
from agent_studio.environment.edit import set_value
from agent_studio.environment.flag_journal import history
from agent_studio.errors import ConfigurationError
from agent_studio.release.content import manifest
from agent_studio.release.content.manifest import Entry
from agent_studio.release.content.store import Store
from agent_studio.release.policy import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context

FILE = file_name(Environment.PRODUCTION)
_HEADER = "# What production has otherwise than config.yaml.\n"


class Carried(NamedTuple):
    """A candidate with its flags."""

    entries: Mapping[str, Entry]
    flags: Mapping[str, bool]
    """Those that the candidate's configuration of production has otherwise, as production will have them."""
    old: bytes
    """The candidate's own configuration of production."""
    new: bytes
    left: Mapping[str, bool] = {}
    """Those that would be carried over, if what reads flags read them from the target."""


def carried(staging: Context, entries: Mapping[str, Entry], candidate: str, *, is_read: bool = True) -> Carried:
    """Return a candidate's files with staging's flags in production's configuration; the new bytes are in the store.

    Only what files say counts, not variables or `--set`; a flag that is killed in staging is carried over as off. None
    is where the target's configuration `is_read` by nobody.
    Raises `ConfigurationError` where the configuration cannot be read or cannot take a flag.
    """
    store = Store(staging.project)
    stored = Stored(store, entries, candidate)
    old = stored.read_definition(FILE) if FILE in entries else b""
    production = load(stored, Environment.PRODUCTION, {})
    if not production["release.promoteFlags"]:
        return Carried(entries, {}, old, old)
    proven, problems = inspect(staging.project, Environment.STAGING, {})
    if problems:
        raise problems[0]
    killed = history(staging.root).kills
    states = {flag: bool(proven[f"features.{flag}.enabled"]) and flag not in killed for flag in proven.flags}
    flags = {
        flag: state
        for flag, state in states.items()
        if flag not in production.flags or bool(production[f"features.{flag}.enabled"]) != state
    }
    if not flags or not is_read:
        return Carried(entries, {}, old, old, flags)
    new = _written(old, flags)
    mode = entries[FILE].mode if FILE in entries else manifest.PLAIN
    merged = {**entries, FILE: Entry(mode, store.put(new))}
    result = load(Stored(store, merged, candidate), Environment.PRODUCTION, {})
    for flag, state in flags.items():
        if bool(result[f"features.{flag}.enabled"]) != state:
            raise ConfigurationError(f"features.{flag}.enabled cannot be set in {FILE}", hint="write it by hand")
    return Carried(merged, flags, old, new)


def _written(old: bytes, flags: Mapping[str, bool]) -> bytes:
    text = old.decode() if old else _HEADER
    for flag, state in sorted(flags.items()):
        text = set_value(text, f"features.{flag}.enabled", state, file=FILE)
    return text.encode()
