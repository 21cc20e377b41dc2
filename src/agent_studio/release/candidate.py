"""The candidate: one hash over the bytes that would go live.

The manifest has a line `<mode> SP <sha256> SP <path>` for every file, mode 100644 or 100755, paths from the
definitions folder in Unicode form C and sorted by their bytes; the project's own `CLAUDE.md` is
`@project/CLAUDE.md`. The candidate is the SHA-256 of the manifest. Data is never part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STAGING_ROOT, STATE
from agent_studio.errors import StorageError, UsageError
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import Project

FOLDERS = ("agents", "skills", "commands", "workflows", "hooks", "rules", "teams", "output-styles")
FILES = ("CLAUDE.md", "settings.json", "config.yaml", "config.production.yaml", "allowed_signers")
PROJECT_FILE = "CLAUDE.md"
_LOCAL_FILES = ("settings.local.json", "config.staging.yaml", "config.development.yaml")
_LEFT_BEHIND = {".git", "__pycache__", ".DS_Store"}
"""Names that tools leave in a folder; no definition is read from them."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Candidate:
    """What would go live."""

    sha256: str
    """The manifest's hash: the candidate's name."""
    files: int
    """How many files there are."""
    manifest: bytes


def candidate(project: Project) -> Candidate:
    """Read the working checkout's definitions and hash them.

    Raises `UsageError` for a name that a manifest cannot carry, `StorageError` for a file that cannot be read.
    """
    lines: dict[bytes, bytes] = {}
    for path, place in _Walk(project).files():
        shown = _manifest_path(path)
        if shown in lines:
            raise UsageError(f"two definitions are named {path!r} up to Unicode form", hint="rename one of them")
        mode, digest = _read(place)
        lines[shown] = b"%s %s %s\n" % (mode.encode(), digest.encode(), shown)
    manifest = b"".join(lines[path] for path in sorted(lines))
    return Candidate(hashlib.sha256(manifest).hexdigest(), len(lines), manifest)


def files(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the path in the manifest and the real place of every file that a candidate is made of."""
    return _Walk(project).files()


class _Walk:
    """Finds the files of a candidate; links are followed as far as the project reaches and data begins."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._definitions = Path(os.path.realpath(project.definitions))
        self._inside = (Path(os.path.realpath(project.path)), self._definitions)
        roots = [
            root
            for environment in (Environment.STAGING, Environment.PRODUCTION)
            for root in other_roots(project, environment)
        ]
        outside = {STATE, STAGING_ROOT, ".git"} | {place for root in roots for place in root.kinds.values()}
        self._outside = {Path(os.path.realpath(project.path / place)) for place in outside}
        self._outside |= {Path(os.path.realpath(self._definitions / name)) for name in _LOCAL_FILES}
        self._outside_paths = {str(place) for place in self._outside}

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield every file's path in the manifest and where its bytes are."""
        for name in (*FOLDERS, *FILES):
            yield from self._at(name, str(self._definitions / name), (), folder=name in FOLDERS)
        yield from self._at(f"@project/{PROJECT_FILE}", str(self._project.path / PROJECT_FILE), (), folder=False)

    def _at(self, path: str, place: str, above: tuple[str, ...], *, folder: bool | None) -> Iterator[tuple[str, str]]:
        """Yield what is at a place that may be a link: `folder` says what belongs there, None that either does.

        `above` holds the real folders on the way here, in which a link back would go round for ever.
        """
        real = os.path.realpath(place)
        with disk_faults(Path(place)):
            try:
                mode = os.lstat(real).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return
        if not self._belongs(Path(real)) or real in above:
            return
        if stat.S_ISREG(mode) and not folder:
            yield path, real
        elif stat.S_ISDIR(mode) and folder is not False:
            yield from self._in(path, real, (*above, real))

    def _in(self, path: str, real: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Yield what is in a real folder; what is no link lies where its folder lies and needs no second look."""
        with disk_faults(Path(real)), os.scandir(real) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            inner = f"{path}/{entry.name}"
            if entry.is_symlink():
                yield from self._at(inner, entry.path, above, folder=None)
            elif entry.name in _LEFT_BEHIND or entry.path in self._outside_paths:
                continue
            elif entry.is_dir():
                yield from self._in(inner, entry.path, (*above, entry.path))
            elif entry.is_file():
                yield inner, entry.path

    def _belongs(self, real: Path) -> bool:
        around = {real, *real.parents}
        return (
            real.name not in _LEFT_BEHIND
            and any(folder in around for folder in self._inside)
            and self._outside.isdisjoint(around)
        )


def _manifest_path(path: str) -> bytes:
    normal = unicodedata.normalize("NFC", path)
    try:
        encoded = normal.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of definition {path!r} is not valid UTF-8", hint="rename it") from None
    if any(character < " " or character == "\x7f" for character in normal):
        raise UsageError(f"the name of definition {path!r} has a control character", hint="rename it")
    return encoded


def _read(place: str) -> tuple[str, str]:
    """Return a file's mode as git writes it and the hash of its bytes."""
    digest = hashlib.sha256()
    try:
        with disk_faults(Path(place)), open(place, "rb", buffering=0) as file:  # noqa: PTH123 - there may be many
            mode = "100755" if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else "100644"
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        raise StorageError(f"{place} went away while it was read", hint="run the command again") from None
    return mode, digest.hexdigest()
