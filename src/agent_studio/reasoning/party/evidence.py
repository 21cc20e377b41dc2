"""Quotations of models held against the files they name: verified where the words stand there, else not."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_studio.environment.roots import Project
    from agent_studio.reasoning.party.positions import Evidence

_FILE_MAX = 4 << 20
_NOT_ITS_OWN = frozenset((".agent-studio", ".git"))
"""Folders of a project that are no work of its people: what they hold proves nothing."""
_QUOTE_LEAST = 8
"""Characters of a quotation that can prove anything."""


def checked(evidence: Sequence[Evidence], read: Callable[[str], str | None]) -> tuple[Evidence, ...]:
    """Return the evidence with what was found; `read` returns a file's text, or None where there is none."""
    texts: dict[str, str | None] = {}
    for one in evidence:
        if one.path not in texts:
            texts[one.path] = read(one.path)
    return tuple(_checked(one, texts[one.path]) for one in evidence)


def reader(project: Project, shown: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return what reads a file for `checked`: what the seats were shown by that name, else the project's own file."""
    files = Folder(project.path, shared=True, any_form=True)

    def read(path: str) -> str | None:
        if path in shown:
            return shown[path]
        if _NOT_ITS_OWN.intersection(PurePosixPath(path).parts):
            return None
        try:
            status = files.status(path.removeprefix("./"))
            if status is None or status.st_size > _FILE_MAX:
                return None
            return files.read(path.removeprefix("./")).decode("utf-8", "replace")
        except (AgentStudioError, OSError):  # a way out of the project, a folder, a file that may not be read
            return None

    return read


def _checked(one: Evidence, text: str | None) -> Evidence:
    quote = " ".join(one.quote.split())
    if text is None or len(quote) < _QUOTE_LEAST:
        return one._replace(verified=False)
    words, starts = _flat(text)
    places = []
    at = words.find(quote)
    while at >= 0:
        places.append(_line_at(starts, at))
        at = words.find(quote, at + 1)
    if not places:
        return one._replace(verified=False)
    said = one.line
    return one._replace(
        verified=True, line=places[0] if said is None else min(places, key=lambda line: abs(line - said))
    )


def _flat(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text with single spaces, and where in it each line begins."""
    parts: list[str] = []
    starts: list[tuple[int, int]] = []
    size = 0
    for number, line in enumerate(text.split("\n"), start=1):  # as editors count: a form feed ends no line
        if words := " ".join(line.split()):
            starts.append((size, number))
            parts.append(words)
            size += len(words) + 1
    return " ".join(parts), starts


def _line_at(starts: Sequence[tuple[int, int]], at: int) -> int:
    return starts[bisect_right(starts, (at, 1 << 62)) - 1][1]
