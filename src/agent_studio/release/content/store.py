"""The content store: the bytes of every candidate and release, each once, in `.agent-studio/objects/`.

Manifests are objects of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import STATE
from agent_studio.errors import IntegrityError
from agent_studio.release.content import manifest
from agent_studio.storage.contents import ContentStore
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import Project


class Fault(NamedTuple):
    """An object that is not what it is named."""

    sha256: str
    reason: str


class Store(ContentStore):
    """The objects of one project."""

    if_missing = "restore .agent-studio/objects/ from a copy of it"
    if_damaged = "restore it from a copy, or make the candidate again: that writes it anew"

    def __init__(self, project: Project) -> None:
        super().__init__(Folder(project.path, STATE))

    def manifest(self, sha256: str) -> dict[str, manifest.Entry]:
        """Return the files of a candidate or release; raise `IntegrityError` as `read` does."""
        return manifest.parse(self.read(sha256), f"manifest {sha256[:12]}")

    def faults(self) -> Iterator[Fault]:
        """Read every object again and yield those that are not what they are named."""
        for sha256 in self.names():
            try:
                self.read(sha256)
            except IntegrityError as error:
                yield Fault(sha256, error.message)
