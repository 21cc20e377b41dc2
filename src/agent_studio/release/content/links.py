"""Links inside a tree of definitions: each counts as what it leads to, until a release has other bytes for its path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release.content.manifest import folders_above

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_MOST = 40
"""Links that a system follows on the way to one file."""


class Link(NamedTuple):
    """A link that a file was read through."""

    place: str
    """Where it lies, free of other links."""
    real: str
    """Where it leads to in the end."""
    text: str
    """What it says."""


def outermost(path: str, links: Collection[str]) -> str:
    """Return the first link on the way to a path of a manifest, or an empty text."""
    return next((one for one in (*reversed(folders_above(path)), path) if one in links), "")


def replaced(links: Mapping[str, Link], changed: Iterable[str], place_of: Callable[[str], str]) -> set[str]:
    """Return the links that cannot stay while some files change.

    That is every link at or above such a file, and every one that leads to such a file, or there by way of a link that
    goes: it would show other bytes than before. `place_of` says where a file lies that no link leads to.
    """
    gone = set()
    touched: set[str] = set()
    for path in changed:
        if found := outermost(path, links):
            gone.add(found)
        else:
            touched.update(_with_folders(place_of(path)))
    touched.update(links[path].place for path in gone)
    ways = {path: {link.real, *_passed(link.place)} for path, link in links.items()}
    while more := {outermost(path, links) for path, way in ways.items() if not touched.isdisjoint(way)} - gone:
        gone |= more
        touched.update(links[path].place for path in more)
    return gone


def _with_folders(place: str) -> Iterator[str]:
    while place and place != os.path.dirname(place):  # noqa: PTH120 - there may be many
        yield place
        place = os.path.dirname(place)  # noqa: PTH120


def _passed(place: str) -> Iterator[str]:
    """Yield the other links on the way from a link to what it leads to."""
    at, ahead, met = os.path.dirname(place), [os.path.basename(place)], 0  # noqa: PTH119, PTH120 - text of links
    while ahead and met <= _MOST:
        name = ahead.pop()
        there = os.path.normpath(f"{at}/{name}")
        if name in {"", "."}:
            continue
        if not os.path.islink(there):  # noqa: PTH114
            at = there
            continue
        met += 1
        if there != place:
            yield there
        text = os.readlink(there)  # noqa: PTH115
        at = "/" if os.path.isabs(text) else at  # noqa: PTH117
        ahead.extend(reversed(text.split("/")))
