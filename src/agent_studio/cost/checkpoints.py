"""Where the ledger ended, and when: anchors beside it, signed, by which a cut or rewritten ledger is found.

A chain shows that nothing in it was altered, not that nothing is missing at its end. Whoever holds a checkpoint, a
colleague or a commit, can tell.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from agent_studio import clock
from agent_studio.cost import segments
from agent_studio.environment.roots import STATE
from agent_studio.errors import UsageError
from agent_studio.storage import journal, signatures
from agent_studio.storage.signatures import SignerMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.storage.chain import Head

FILE = "checkpoints.jsonl"
SIGNERS = "checkpoint_signers"
KEY = "checkpoint_ed25519"
NAMESPACE = "checkpoint@agent-studio"
_DIGITS = re.compile(r"[0-9a-f]{64}")
_HARMLESS = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Checkpoint:
    """The end of a ledger at one moment."""

    seq: int
    size: int
    """Bytes of all its files up to there."""
    hash: str
    time: str
    sig: str | None
    """SSH signature over the other fields; None where nothing could sign."""

    @property
    def signed(self) -> bytes:
        """What the signature covers: sorted compact JSON."""
        return _signed(self.seq, self.size, self.hash, self.time)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as they are written."""
        return {"seq": self.seq, "size": self.size, "hash": self.hash, "time": self.time, "sig": self.sig}


@dataclass(frozen=True)
class Reading:
    """The checkpoints of an environment."""

    found: list[Checkpoint]
    damaged_lines: int


def read(root: EnvironmentRoot) -> Reading:
    """Return every checkpoint, as written; a line that is none is counted."""
    written = journal.read(root.state, FILE)
    found = [_parsed(record) for record in written.records]
    good = [one for one in found if one is not None]
    return Reading(good, written.damaged_lines + len(found) - len(good))


def kept(place: Path) -> list[Checkpoint]:
    """Return the checkpoints that were kept elsewhere, in a file like ours; raise `UsageError` for another one."""
    try:
        lines = place.read_bytes().splitlines()
        found = [_parsed(json.loads(line)) for line in lines if line.strip()]
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}", hint="name a copy of checkpoints.jsonl") from None
    except (ValueError, RecursionError):
        found = [None]
    good = [one for one in found if one is not None]
    if not good or len(good) < len(found):
        raise UsageError(f"{place} holds something else than checkpoints", hint="name a copy of checkpoints.jsonl")
    return good


def write(root: EnvironmentRoot, head: Head, *, anew: bool = False) -> Checkpoint:
    """Append where the ledger ended, signed where that is possible; not what the last one says, unless `anew`."""
    if not anew and (before := read(root).found) and (before[-1].seq, before[-1].hash) == (head.seq, head.hash):
        return before[-1]
    size, time = _size(root, head.seq), clock.timestamp(clock.now())
    root.state.make()
    try:
        key = signatures.machine_key(KEY, os.environ)
        signature = signatures.sign(_signed(head.seq, size, head.hash, time), key, NAMESPACE)
        _allow(root.project, signatures.public_key(key))
    except SignerMissingError:
        signature = None
    done = Checkpoint(head.seq, size, head.hash, time, signature)
    journal.append(root.state, FILE, [done.to_json()])
    return done


def fault(checkpoint: Checkpoint, project: Project) -> str | None:
    """Say what is wrong with a checkpoint's signature; None for a good one and for one without."""
    if checkpoint.sig is None:
        return None
    try:
        signers = project.folder.read(f"{STATE}/{SIGNERS}")
    except FileNotFoundError:
        return f"{STATE}/{SIGNERS} is missing: nobody can tell who signed"
    try:
        who = signatures.verify(checkpoint.signed, checkpoint.sig, signers, NAMESPACE)
    except SignerMissingError as error:
        return error.message
    return None if who else f"its signature is not that of anyone in {STATE}/{SIGNERS}, or not of these figures"


def _parsed(record: dict[str, Any]) -> Checkpoint | None:
    try:
        made = msgspec.convert(record, Checkpoint, strict=True)
    except msgspec.ValidationError:
        return None
    return made if made.seq >= 0 and made.size >= 0 and _DIGITS.fullmatch(made.hash) else None


def _signed(seq: int, size: int, digest: str, time: str) -> bytes:
    fields = {"seq": seq, "size": size, "hash": digest, "time": time}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _size(root: EnvironmentRoot, seq: int) -> int:
    """Return the bytes up to a record, which is the last of its file or of the ledger."""
    return sum(one.size for one in segments.segments(root) if one.first_seq <= seq)


def _allow(project: Project, key: str) -> None:
    """Add this machine's public key to those whose checkpoints count."""
    folder = project.folder
    try:
        known = folder.read(f"{STATE}/{SIGNERS}").decode(errors="replace")
    except FileNotFoundError:
        known = ""
    if key not in known:
        line = f'{_principal()} namespaces="{NAMESPACE}" {key}\n'
        folder.replace(f"{STATE}/{SIGNERS}", (known + line).encode())


def _principal() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(getattr(os, "getuid", lambda: "user")())
    return f"{_HARMLESS.sub('-', user)}@{_HARMLESS.sub('-', platform.node() or 'host')}"
