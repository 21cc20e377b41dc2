"""The findings that somebody has accepted, `.claude/secrets-baseline.json`: why, by whom, and until when.

A finding is known by an HMAC-SHA-256, under the file's own salt, of its kind, its path and its value: what is accepted
in one file is not accepted in another. The value is never kept. From the day it expires a finding counts again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from agent_studio import clock
from agent_studio.errors import ConfigurationError
from agent_studio.isolation.secrets.rules import BLOCK, severity

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from agent_studio.environment.roots import Project

FILE = "secrets-baseline.json"
SCHEMA = "agent-studio/secrets-baseline/1"
LONGEST_DAYS = 366
"""How long a finding may be accepted at most."""
_SALT_BYTES = 16
_FIELDS = ("fingerprint", "kind", "path", "reason", "by", "accepted", "expires")


class Placed(Protocol):
    """A credential that was found, without its value."""

    @property
    def path(self) -> str:
        """The file's path from the project."""

    @property
    def kind(self) -> str:
        """The kind of what was found."""


Held = TypeVar("Held", bound=Placed)


class Accepted(NamedTuple):
    """One finding that somebody answers for."""

    fingerprint: str
    kind: str
    path: str
    reason: str
    by: str
    accepted: str
    """The day, `2026-01-31`."""
    expires: str
    """The first day on which it counts again."""

    @property
    def is_expired(self) -> bool:
        """Whether it counts again."""
        return clock.now().date().isoformat() >= self.expires


class Baseline(NamedTuple):
    """What the file holds."""

    salt: str
    """Empty while there is no file."""
    entries: dict[str, Accepted]

    def fingerprint(self, kind: str, path: str, value: str) -> str | None:
        """Return what a finding is known by, or None while there is no file and so no salt."""
        if not self.salt:
            return None
        told = f"{kind}\0{path}\0{value}".encode("utf-8", "surrogateescape")
        return hmac.new(bytes.fromhex(self.salt), told, hashlib.sha256).hexdigest()[:32]

    def unanswered(self, found: Iterable[Held]) -> list[Held]:
        """Return what would block and nobody answers for, by path and kind: the values are gone."""
        known = {(one.path, one.kind) for one in self.entries.values() if not one.is_expired}
        return [one for one in found if severity(one.kind) == BLOCK and (one.path, one.kind) not in known]


def load(project: Project) -> Baseline:
    """Return a project's baseline, empty where there is none; raise `ConfigurationError` for a damaged file."""
    try:
        data = project.read_definition(FILE)
    except FileNotFoundError:
        return Baseline("", {})
    try:
        whole = json.loads(data)
        bytes.fromhex(whole["salt"])
        entries = [Accepted(*(_text(entry[name]) for name in _FIELDS)) for entry in whole["accepted"]]
        for entry in entries:
            date.fromisoformat(entry.expires)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{project.shown(FILE)} is damaged: {type(error).__name__} {error}", hint="restore it from git"
        ) from error
    return Baseline(str(whole["salt"]), {entry.fingerprint: entry for entry in entries})


def salted(baseline: Baseline) -> Baseline:
    """Return the baseline with a salt, a new one where there is none yet."""
    return baseline if baseline.salt else baseline._replace(salt=secrets.token_hex(_SALT_BYTES))


def accept(project: Project, baseline: Baseline, entries: Iterable[Accepted]) -> None:
    """Write the baseline with some more entries, newer ones in the place of older ones."""
    _write(project, baseline._replace(entries={**baseline.entries, **{one.fingerprint: one for one in entries}}))


def prune(project: Project, baseline: Baseline, found: Container[str | None]) -> list[Accepted]:
    """Drop and return the entries that have expired or whose finding is gone."""
    gone = [one for one in baseline.entries.values() if one.is_expired or one.fingerprint not in found]
    if gone:
        dropped = {one.fingerprint for one in gone}
        kept = {name: one for name, one in baseline.entries.items() if name not in dropped}
        _write(project, baseline._replace(entries=kept))
    return gone


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a field is no text")
    return value


def _write(project: Project, baseline: Baseline) -> None:
    listed = sorted(baseline.entries.values(), key=lambda one: (one.path, one.kind, one.fingerprint))
    whole = {"schema": SCHEMA, "salt": baseline.salt, "accepted": [one._asdict() for one in listed]}
    text = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
    project.folder.replace(project.shown(FILE), text.encode("utf-8", "backslashreplace"))
