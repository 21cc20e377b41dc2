"""Candidates that were made: their bytes are in the store, and `.agent-studio/candidates/<hash>.json` says of whom."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, IntegrityError, StorageError, UnsafePathError, UsageError
from agent_studio.isolation.secrets import baseline, scan
from agent_studio.redaction import spans
from agent_studio.release.content import git, manifest, tree
from agent_studio.release.content.candidate import Candidate, candidate, files
from agent_studio.release.content.store import Store
from agent_studio.release.production import history
from agent_studio.storage.folder import Folder
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project

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
    authors: tuple[str, ...]
    """The addresses of all who made it what it is since the live release; none where nobody knows."""
    time: str
    left_out: tuple[tuple[str, str], ...] = ()
    """What stands among the definitions and is none, with the reason; known only where it was made just now."""

    @property
    def author(self) -> str:
        """All authors in one text, empty where nobody knows."""
        return ", ".join(self.authors)


def create(project: Project) -> Made:
    """Put the working checkout's definitions into the store and note who made them.

    A note stays as long as it is true: the definitions are those of its commit, and nobody else has had a hand in them.

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
    commit, dirty, authors = _by(project)
    noted = Made(
        found.sha256, found.files, size_bytes, commit, dirty, authors, clock.timestamp(clock.now()), found.left_out
    )
    if held is not None and _is_true(project, held, noted):
        return held._replace(left_out=found.left_out)
    kept = {name: value for name, value in noted._asdict().items() if name not in Made._field_defaults}
    folder = Folder(project.path, FOLDER)
    folder.make()
    folder.replace(f"{found.sha256}.json", json.dumps({"schema": SCHEMA, **kept}).encode() + b"\n")
    return noted


def _by(project: Project) -> tuple[str | None, bool | None, tuple[str, ...]]:
    """Return commit, whether definitions differ from it, and who made them since what is live: who works here, too."""
    at, places = git.state(project.path), _places(project)
    if at.commit is None:
        return None, None, tuple(filter(None, [git.user(project.path)]))
    told = git.changes(project.path, *places)
    dirty = None if told is None else bool(told)
    try:
        since = history.read(project).promoted_commit
    except IntegrityError:
        since = None  # the gate says so
    if since and not git.is_known(project.path, since):
        authors = git.authors(project.path, "HEAD", places)  # it was rewritten, or not fetched: whoever may be one
    else:
        authors = git.authors(project.path, f"{since}..HEAD", places) if since else []
    authors = authors or git.authors(project.path, "-1", places)
    return at.commit, dirty, tuple(sorted({*authors, *([git.user(project.path)] if dirty else [])} - {""}))


def _places(project: Project) -> list[str]:
    """Return where definitions lie, as git is asked about them."""
    folder = project.definitions.resolve()
    return [str(project.path / "CLAUDE.md"), *(str(folder / name) for name in (*tree.FOLDERS, *tree.FILES))]


def _is_true(project: Project, held: Made, now: Made) -> bool:
    if (held.dirty, held.authors) != (now.dirty, now.authors):
        return False
    if held.commit == now.commit:
        return True
    commits = held.commit and now.commit and not now.dirty
    return bool(commits and git.is_same(project.path, str(held.commit), _places(project)))


def _inspected(project: Project) -> tuple[Candidate, int]:
    """Read the checkout without keeping anything, and refuse what must not be in a release.

    Bytes that were made a candidate before are not looked through for credentials again.
    """
    findings: dict[str, bytes] = {}
    size_bytes = 0

    def look(data: bytes) -> str:
        nonlocal size_bytes
        size_bytes += len(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if _texts_with_secrets(data):
            findings[sha256] = data
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
    if places := _blocking(project, found, findings):
        raise SecretError(
            f"definitions hold credentials: {_listed(places)}",
            hint="take them out and revoke them, or answer for one: agent-studio scan --accept PATH:LINE --reason TEXT",
        )
    return found, size_bytes


def _is_stored(project: Project, found: Candidate) -> bool:
    """Tell whether manifest and bytes of a candidate are in the store already."""
    store = Store(project)
    return store.has(found.sha256) and all(map(store.has, manifest.objects([manifest.parse(found.manifest)])))


def _blocking(project: Project, found: Candidate, findings: Mapping[str, bytes]) -> list[str]:
    """Return where credentials are that `scan` blocks too, and that nobody has answered for in the baseline."""
    if not findings:
        return []
    accepted, real = baseline.load(project), dict(files(project))
    hits: dict[str, None] = {}
    for path, entry in manifest.parse(found.manifest).items():
        place = Path(os.path.realpath(real.get(path, path)))
        shown = place.relative_to(project.path).as_posix() if place.is_relative_to(project.path) else path
        for text in _texts_with_secrets(findings.get(entry.sha256, b"")):
            told = scan.in_text(scan.Source("candidate", shown, str(place)), text, accepted)
            hits.update({f"{one.path}:{one.line} ({one.kind})": None for one in told if one.blocks})
    return list(hits)


def _texts_with_secrets(data: bytes) -> list[str]:
    """Return the texts in which something blocks; a file with NULs may be text of two bytes a character."""
    encodings = ("utf-8", "utf-16-le", "utf-16-be") if b"\0" in data else ("utf-8",)
    texts = [data.decode(encoding, "replace") for encoding in encodings]
    return [text for text in texts if any(one.blocks for one in spans(text))]


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
        refuse_newer(value, SCHEMA, f"{folder.path / sha256}.json")
        author = value.get("author")  # the field that an earlier version wrote
        value = {"authors": author.split(", ") if author else [], **value}
        named = {name: value[name] for name in Made._fields if name not in Made._field_defaults}
        return Made(**{**named, "authors": tuple(named["authors"])})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{folder.path / sha256}.json is damaged", hint="remove it and make the candidate again"
        ) from None
