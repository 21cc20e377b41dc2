"""Candidates that were made: their bytes are in the store, and `.agent-studio/candidates/<hash>.json` says of whom."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, IntegrityError, StorageError, UnsafePathError, UsageError
from agent_studio.redaction import find_secrets
from agent_studio.release import git, manifest
from agent_studio.release.candidate import Candidate, candidate
from agent_studio.release.store import Store
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.redaction import Finding

FOLDER = f"{STATE}/candidates"
SCHEMA = "agent-studio/candidate/1"
_LISTED = 5
_SHORTEST = 6


class SecretError(AgentStudioError):
    """A definition holds what looks like a live credential."""

    code = "secret"


class Made(NamedTuple):
    """A candidate that is in the store."""

    candidate: str
    files: int
    size_bytes: int
    commit: str | None
    """Of git, or None."""
    dirty: bool | None
    author: str
    """The address of who made it, or empty."""
    time: str
    left_out: tuple[tuple[str, str], ...] = ()
    """What stands among the definitions and is none, with the reason; known only where it was made just now."""


def create(project: Project) -> Made:
    """Put the working checkout's definitions into the store and note who made them; the first note of a hash stays.

    Raises `SecretError` for a credential in a definition and `UnsafePathError` for a link that leads out, with
    nothing stored.
    """
    found, size_bytes = _inspected(project)
    held = _read(project, found.sha256)
    if not _is_stored(project, found):
        store = Store(project)
        with store.bulk():
            stored = candidate(project, store.put)
            if stored.sha256 != found.sha256:
                raise StorageError("definitions changed while they were read", hint="run the command again")
            store.put(stored.manifest)
    if held is not None:
        return held._replace(left_out=found.left_out)
    at = git.state(project.path)
    noted = Made(
        found.sha256, found.files, size_bytes, at.commit, at.dirty, at.author, clock.timestamp(clock.now()),
        found.left_out,
    )  # fmt: skip
    kept = {name: value for name, value in noted._asdict().items() if name not in Made._field_defaults}
    folder = Folder(project.path, FOLDER)
    folder.make()
    folder.replace(f"{found.sha256}.json", json.dumps({"schema": SCHEMA, **kept}).encode() + b"\n")
    return noted


def _inspected(project: Project) -> tuple[Candidate, int]:
    """Read the checkout without keeping anything, and refuse what must not be in a release.

    Bytes that were made a candidate before are not looked through for credentials again.
    """
    findings: dict[str, list[Finding]] = {}
    size_bytes = 0

    def look(data: bytes) -> str:
        nonlocal size_bytes
        size_bytes += len(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if found := _secrets(data):
            findings[sha256] = found
        return sha256

    found = candidate(project)
    if found.led_out:
        raise UnsafePathError(
            f"links lead out of the definitions: {_listed(list(found.led_out))}",
            hint="copy what they point to, or remove them: a release holds only what is inside",
        )
    held = _read(project, found.sha256)
    if held is not None and _is_stored(project, found):
        return found, held.size_bytes
    found = candidate(project, look)
    if findings:
        entries = manifest.parse(found.manifest)
        places = [
            f"{path}:{one.line} ({one.kind})"
            for path, entry in entries.items()
            for one in findings.get(entry.sha256, ())
        ]
        raise SecretError(
            f"definitions hold credentials: {_listed(places)}",
            hint="take them out, and replace them where they are used",
        )
    return found, size_bytes


def _is_stored(project: Project, found: Candidate) -> bool:
    """Tell whether manifest and bytes of a candidate are in the store already."""
    store = Store(project)
    return store.has(found.sha256) and all(map(store.has, manifest.objects([manifest.parse(found.manifest)])))


def _secrets(data: bytes) -> list[Finding]:
    """Return what looks like a live credential in any bytes; a file with NULs may be text of two bytes a character."""
    encodings = ("utf-8", "utf-16-le", "utf-16-be") if b"\0" in data else ("utf-8",)
    found = [one for encoding in encodings for one in find_secrets(data.decode(encoding, "replace"))]
    return list(dict.fromkeys(found))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def of(project: Project, sha256: str) -> Made:
    """Return what was noted of a candidate; raise `UsageError` when it was never made."""
    held = _read(project, sha256)
    if held is None:
        raise UsageError(f"candidate {sha256[:12]} was not made", hint="agent-studio candidate create")
    return held


def named(project: Project, prefix: str | None) -> str:
    """Return the hash that begins so, or the working checkout's own; raise `UsageError` for none or several."""
    if prefix is None:
        return candidate(project).sha256
    known = made(project)
    fit = [name for name in known if name.startswith(prefix)]
    if len(prefix) < _SHORTEST or len(fit) != 1:
        listed = ", ".join(name[:12] for name in known) or "none was made"
        raise UsageError(
            f"{prefix!r} names {'several candidates' if len(fit) > 1 else 'no candidate'}",
            hint=f"give at least {_SHORTEST} digits of one: {listed}",
        )
    return fit[0]


def made(project: Project) -> list[str]:
    """Return the hashes of all candidates that were made."""
    folder = Folder(project.path, FOLDER)
    names = folder.names() if folder.has_folder() else []
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def _read(project: Project, sha256: str) -> Made | None:
    folder = Folder(project.path, FOLDER)
    try:
        value: Mapping[str, Any] = json.loads(folder.read(f"{sha256}.json"))
        return Made(**{name: value[name] for name in Made._fields if name not in Made._field_defaults})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{folder.path / sha256}.json is damaged", hint="remove it and make the candidate again"
        ) from None
