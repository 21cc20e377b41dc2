"""Verify: a draft whose body is that of an artifact which is there is a copy, whatever it is called.

Runs of words are compared, so that neither a new name nor other line breaks make another body of one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.evolution.gate import FAIL, INSUFFICIENT, PASS, Gate
from agent_studio.evolution.gates.likeness import DOMAINS
from agent_studio.evolution.gates.need import is_answered, look_at
from agent_studio.knowledge import front_matter
from agent_studio.knowledge.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.answers import Entry

SAME, PARTLY = 0.85, 0.4
"""How much of the longer body is in both: a copy; how much of either one: something somebody has to look at."""
_RUN = 4
"""Words in a run."""
_WORD = re.compile(r"\w+")

Run = tuple[str, ...]


def runs(text: str) -> frozenset[Run]:
    """Return every run of words of a text; of one that is shorter than a run the whole."""
    words = _WORD.findall(text.casefold())
    return frozenset(zip(*(words[at:] for at in range(_RUN)), strict=False)) or frozenset([tuple(words)])


def copied(project: Project, entries: Iterable[Entry], body: str, unlike: Mapping[str, str]) -> Gate:
    """Say whether the body is that of something which is there; no answer lifts what is nearly all the same."""
    own = runs(body)
    near = []
    for entry in entries:
        if entry.domain not in DOMAINS or not (shared := own & (theirs := runs(_body(project, entry)))):
            continue
        whole, part = (len(shared) / length(len(own), len(theirs)) for length in (max, min))
        if whole >= SAME:
            reason = f"{whole:.0%} of it is the {entry.domain} {entry.name}: use it, or change it"
            return Gate("copy", FAIL, reason, ({"name": entry.name, "path": entry.path, "same": round(whole, 3)},))
        if part >= PARTLY and len(shared) >= _RUN and not is_answered(entry, unlike):
            near.append((part, entry))
    if near:
        waiting = [entry for _, entry in sorted(near, key=lambda one: (-one[0], one[1].path))[:3]]
        return Gate("copy", INSUFFICIENT, f"much of it stands elsewhere: {look_at(waiting)}")
    return Gate("copy", PASS, "its body is its own")


def _body(project: Project, entry: Entry) -> str:
    try:
        return front_matter.read(decode(project.folder.read(entry.path))[0]).body
    except (AgentStudioError, OSError):
        return ""  # a file that is gone, or that nobody may read, was copied by nobody
