"""What a promotion has to meet: `release.policy` and the signers of the newest production release that was signed.

A candidate cannot make its own way easier: its policy and its signers count only once it is live, and what somebody
wrote into production by hand never counts. Before the first release there is nobody else to ask, and the candidate's
own are taken; gate and sign-off say so.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.config import load
from agent_studio.environment.detect import Environment
from agent_studio.environment.schema import BY_NAME
from agent_studio.release.content.store import Store
from agent_studio.release.production import history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.config import Config
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.release.content.manifest import Entry

SIGNERS = "allowed_signers"
_SECTION = "release.policy."
_EVIDENCE_DAYS = "evidenceDays"


class Policy(NamedTuple):
    """The rules in force."""

    values: Mapping[str, Any]
    """By key below `release.policy`."""
    signers: bytes
    """Lines as in `ssh-keygen(1)`, ALLOWED SIGNERS; empty when there are none."""
    of: str
    """The release that they come from; the candidate itself before the first release."""
    bootstrap: bool
    """Whether the candidate speaks for itself, for want of a release."""

    @property
    def evidence_days(self) -> float:
        """How many days evidence counts; a release from before there was such a rule has the default."""
        return float(self.values.get(_EVIDENCE_DAYS, BY_NAME[_SECTION + _EVIDENCE_DAYS].default))

    @property
    def sha256(self) -> str:
        """One hash over the rules and the signers."""
        rules = json.dumps(self.values, sort_keys=True, separators=(",", ":"), default=list).encode()
        return hashlib.sha256(rules + b"\n" + self.signers).hexdigest()


class Stored(NamedTuple):
    """The definitions of a release, read from the store as a project's are read from its folder."""

    store: Store
    files: Mapping[str, Entry]
    release: str

    def shown(self, name: str) -> str:
        """Return how a file is named in messages."""
        return f"{name} of release {self.release[:12]}"

    def read_definition(self, name: str) -> bytes:
        """Return a file's bytes; raise `FileNotFoundError` when the release has none."""
        entry = self.files.get(name)
        if entry is None:
            raise FileNotFoundError(name)
        return self.store.read(entry.sha256)


def in_force(project: Project, candidate: str) -> Policy:
    """Return the rules for promoting a candidate that is in the store.

    Raises `ConfigurationError` for a release whose configuration cannot be read, `IntegrityError` for a damaged store.
    """
    governing = history.read(project).governing
    return own(project, candidate if governing is None else governing.release, bootstrap=governing is None)


def own(project: Project, of: str, *, bootstrap: bool = False) -> Policy:
    """Return the rules that a candidate or release brings, which hold once it is live; raises as `in_force` does."""
    stored = Stored(Store(project), Store(project).manifest(of), of)
    values = load(stored, Environment.PRODUCTION, {}).values()
    rules = {name.removeprefix(_SECTION): value for name, value in values.items() if name.startswith(_SECTION)}
    signers = stored.read_definition(SIGNERS) if SIGNERS in stored.files else b""
    return Policy(rules, signers, of, bootstrap)


def evidence_days(context: Context) -> float:
    """Return how many days evidence on the working checkout counts; raises as `in_force` does."""
    return evidence_days_of(context.project, context.config)


def evidence_days_of(project: Project, config: Config) -> float:
    """Return the same, given the project and its configuration."""
    governing = history.read(project).governing
    if governing is None:
        return float(config[_SECTION + _EVIDENCE_DAYS])
    return in_force(project, governing.release).evidence_days
