"""Hard links from production into what a run may write: one file under two names cannot be kept apart by path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.isolation.policy import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.isolation.policy import Policy

LISTED = 5
"""Links that are named at most."""
_Identity = tuple[int, int]


class Links(NamedTuple):
    """What production shares by hard links."""

    inside: tuple[tuple[Path, Path], ...]
    """A protected file and its name where the run may write; a few of them."""
    elsewhere: tuple[Path, ...]
    """Protected files with a further name that was not found; a few of them."""


def find(policy: Policy) -> Links:
    """Compare the files of what is protected in the projects with those of what is writable there.

    Only files with more than one name are looked at, and nothing else is walked where there is none.
    """
    rules = policy.rules()
    protected: dict[_Identity, Path] = {}
    names: dict[_Identity, int] = {}
    for path in _of_projects(policy, (Access.HIDDEN, Access.READ)):
        for place, status in _linked(path, rules):
            identity = (status.st_dev, status.st_ino)
            protected.setdefault(identity, place)
            names[identity] = names.get(identity, status.st_nlink) - 1
    open_ended = {identity for identity, left in names.items() if left > 0}
    if not open_ended:
        return Links((), ())
    inside = []
    for path in _writable(policy):
        for place, status in _linked(path, rules):
            identity = (status.st_dev, status.st_ino)
            if identity in open_ended:
                inside.append((protected[identity], place))
                if len(inside) == LISTED:
                    return Links(tuple(inside), ())
    found = {path for path, _ in inside}
    rest = [protected[identity] for identity in open_ended if protected[identity] not in found]
    return Links(tuple(inside), tuple(sorted(rest)[:LISTED]))


def _of_projects(policy: Policy, kinds: tuple[Access, ...]) -> list[Path]:
    return [
        path
        for path, access in policy.rules().items()
        if access in kinds and any(path.is_relative_to(project) for project in policy.projects)
    ]


def _writable(policy: Policy) -> list[Path]:
    found = _of_projects(policy, (Access.WRITE,))
    return found if policy.access(policy.project) is not Access.WRITE else [policy.project, *found]


def _linked(path: Path, rules: dict[Path, Access]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files at or below a path that have more than one name, leaving out what has a rule of its own."""
    folders = [str(path)]
    if not path.is_dir():
        folders = []
        status = path.lstat()
        if status.st_nlink > 1:
            yield path, status
    known = {str(place) for place in rules}
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            if entry.path in known:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1:
                    yield Path(entry.path), status
