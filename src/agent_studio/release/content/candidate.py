"""The candidate: one hash over the bytes that would go live, that of their manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release.content import manifest
from agent_studio.release.content.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.environment.roots import Project


class Candidate(NamedTuple):
    """What would go live."""

    sha256: str
    """The manifest's hash: the candidate's name."""
    files: int
    """How many files there are."""
    manifest: bytes
    led_out: tuple[str, ...] = ()
    """Links that lead out of the project: what they point to is not part of it."""
    left_out: tuple[tuple[str, str], ...] = ()
    """What else stands among definitions and is none: path and reason."""


def candidate(project: Project, put: Callable[[bytes], str] | None = None) -> Candidate:
    """Read the working checkout's definitions and hash them; `put` keeps the bytes of each and returns their hash.

    Raises `UsageError` for a name that a manifest cannot carry, `StorageError` for a file that cannot be read.
    """
    content = Tree(project.definitions.resolve(), project.path).read(put)
    rendered = manifest.render(content.entries)
    return Candidate(
        manifest.name_of(rendered), len(content.entries), rendered, tuple(content.led_out),
        tuple(sorted(content.left_out.items())),
    )  # fmt: skip


def files(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the path in the manifest and the real place of every file that a candidate is made of."""
    return Tree(project.definitions.resolve(), project.path).places()
