"""Evaluate: a search of the knowledge base has to show that nothing does what is needed.

What says nearly all of the need is an answer to it, and stops the evolution; what says half of it has to be looked at
by somebody, who says why it does not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.evolution.gate import FAIL, INSUFFICIENT, PASS, Gate
from agent_studio.evolution.gates.likeness import DOMAINS, beside, stems
from agent_studio.knowledge.answers import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.evolution.gates.likeness import Like
    from agent_studio.evolution.state import Evolution
    from agent_studio.knowledge.answers import Entry, Hit
    from agent_studio.knowledge.base import KnowledgeBase

COVERS = 0.85
"""How much of a need an artifact says that does what is needed."""
NEAR = 0.5
"""How much one says that has to be looked at; so have the best hits of the search that say as much in their text."""
ALIKE, RELATED = 0.7, 0.45
"""The same of two descriptions. Of 466 artifacts of public collections that share a name with another one, 269 are
alike and 74 more are related; of 400 others the nearest is alike to 15 and related to 95 (bench/evolution_gates.py)."""
WORDS_LEAST = 3
"""Words that say something: fewer tell no need from another."""
_LOOKED_AT = 3
_HITS = 10


def need(base: KnowledgeBase, entries: Sequence[Entry], one: Evolution) -> Gate:
    """Say whether something is there already that does what is needed."""
    said = stems(one.need)
    if len(said) < WORDS_LEAST:
        reason = f"the need says too little to search for: {len(said)} words of its own, {WORDS_LEAST} at least"
        return Gate("need", INSUFFICIENT, reason)
    found = beside(one.need, entries)
    hits = [hit for hit in base.search(Query(one.need, limit=_HITS)).hits if hit.entry.domain in DOMAINS]
    evidence = _evidence(hits, found)
    searched = f"searched {len(entries):,} artifacts"
    covering = [like for like in found if like.covers >= COVERS and not _answered(like.entry, one.unlike)]
    if covering:
        best = max(covering, key=lambda like: like.covers)
        reason = f"{_called(best.entry)} says {best.covers:.0%} of it already: use it, or change it"
        return Gate("need", FAIL, reason, evidence)
    near = [like.entry for like in sorted(found, key=lambda like: -like.covers) if like.covers >= NEAR]
    near += [hit.entry for hit in hits[:_LOOKED_AT] if hit.fits >= NEAR]
    near = list({entry.path: entry for entry in near}.values())
    waiting = [entry for entry in near[:_LOOKED_AT] if not _answered(entry, one.unlike)]
    if waiting:
        return Gate("need", INSUFFICIENT, f"{searched}; {look_at(waiting)}", evidence)
    known = f"; {len(near[:_LOOKED_AT])} near it, each answered for" if near else "; none says half of it"
    return Gate("need", PASS, searched + known, evidence)


def look_at(waiting: Sequence[Entry]) -> str:
    """Return what somebody has to do about artifacts that are near."""
    names = ", ".join(map(_called, waiting))
    return f'look at {names} and say why not: --unlike "{waiting[0].name}=WHY"'


def capability(entries: Sequence[Entry], description: str, unlike: Mapping[str, str]) -> Gate:
    """Say whether an artifact describes itself so much alike that nobody could tell which one to take."""
    found = [like for like in beside(description, entries) if not _answered(like.entry, unlike)]
    alike = found[0] if found else None
    evidence = tuple(_like(like) for like in found[:_LOOKED_AT])
    if alike is None or alike.alike < RELATED:
        nearest = f"the nearest, {_called(alike.entry)}, is {alike.alike:.0%} alike" if alike else "none is alike"
        return Gate("capability-conflict", PASS, nearest, evidence)
    if alike.alike >= ALIKE:
        reason = f"{_called(alike.entry)} describes itself {alike.alike:.0%} alike: use it, or change it"
        return Gate("capability-conflict", FAIL, reason, evidence)
    related = [like.entry for like in found if like.alike >= RELATED][:_LOOKED_AT]
    return Gate("capability-conflict", INSUFFICIENT, look_at(related), evidence)


def _answered(entry: Entry, unlike: Mapping[str, str]) -> bool:
    return entry.name in unlike or entry.path in unlike


def _called(entry: Entry) -> str:
    return f"the {entry.domain} {entry.name}"


def _evidence(hits: Sequence[Hit], found: Sequence[Like]) -> tuple[dict[str, Any], ...]:
    by_cover = sorted(found, key=lambda like: -like.covers)[:_LOOKED_AT]
    searched = tuple({"name": hit.entry.name, "path": hit.entry.path, "fits": round(hit.fits, 3)} for hit in hits[:5])
    return (*searched, *map(_like, by_cover))


def _like(like: Like) -> dict[str, Any]:
    return {"name": like.entry.name, "path": like.entry.path, "covers": round(like.covers, 3),
            "alike": round(like.alike, 3)}  # fmt: skip
