"""Evaluate: a search of the knowledge base has to show that nothing does what is needed.

What describes itself in nearly the same words, no more and no less, is the same thing and stops the evolution. What
says half of it has to be looked at by somebody, who says why it does not do: a long description holds many a need.
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

NEAR = 0.5
"""How much one says that has to be looked at; so have the best hits of the search that say as much in their text."""
SAME, RELATED = 0.85, 0.45
"""How alike two descriptions are that no answer tells apart, and that have to be answered for. Of 466 artifacts of
public collections that share a name with another one, 253 are the same and 90 more are related; of 400 others the
nearest is the same as 8 and related to 111 (bench/evolution_gates.py)."""
WORDS_LEAST = 3
"""Words that say something: fewer tell no need from another."""
_LOOKED_AT = 3
_HITS = 10


def need(base: KnowledgeBase, entries: Sequence[Entry], one: Evolution) -> Gate:
    """Say whether something is there already that does what is needed."""
    if too_short(one.need):
        return Gate("need", INSUFFICIENT, too_short(one.need))
    found = beside(one.need, entries)
    hits = [hit for hit in base.search(Query(one.need, limit=_HITS)).hits if hit.entry.domain in DOMAINS]
    evidence = _evidence(hits, found)
    searched = f"searched {len(entries):,} artifacts"
    if found and found[0].alike >= SAME:
        return Gate("need", FAIL, _same(found[0]), evidence)
    near = [like.entry for like in found if like.covers >= NEAR]
    near += [hit.entry for hit in hits[:_LOOKED_AT] if hit.fits >= NEAR]
    near = list({entry.path: entry for entry in near}.values())
    waiting = [entry for entry in near[:_LOOKED_AT] if not is_answered(entry, one.unlike)]
    if waiting:
        return Gate("need", INSUFFICIENT, f"{searched}; {look_at(waiting)}", evidence)
    if not entries:
        return Gate("need", INSUFFICIENT, "the knowledge base is empty, so that nothing was searched", evidence)
    known = f"; {len(near[:_LOOKED_AT])} near it, each answered for" if near else "; none says half of it"
    return Gate("need", PASS, searched + known, evidence)


def too_short(need: str) -> str:
    """Return why a need cannot be searched for; empty where it can."""
    said = len(stems(need))
    if said >= WORDS_LEAST:
        return ""
    return f"the need says too little to search for: {said} words of its own, {WORDS_LEAST} at least"


def look_at(waiting: Sequence[Entry]) -> str:
    """Return what somebody has to do about artifacts that are near; those of one name are told by their places."""
    names = [entry.name for entry in waiting]
    told = ", ".join(
        called(entry) if names.count(entry.name) == 1 else f"{called(entry)} ({entry.path})" for entry in waiting
    )
    first = waiting[0]
    key = first.name if names.count(first.name) == 1 else first.path
    return f'look at {told} and say why not: --unlike "{key}=WHY"'


def capability(entries: Sequence[Entry], description: str, unlike: Mapping[str, str]) -> Gate:
    """Say whether an artifact describes itself so much alike that nobody could tell which one to take."""
    found = beside(description, entries)
    evidence = tuple(map(_like, found[:_LOOKED_AT]))
    if found and found[0].alike >= SAME:
        return Gate("capability-conflict", FAIL, _same(found[0]), evidence)
    open_ones = [like for like in found if not is_answered(like.entry, unlike)]
    related = [like.entry for like in open_ones if like.alike >= RELATED][:_LOOKED_AT]
    if related:
        return Gate("capability-conflict", INSUFFICIENT, look_at(related), evidence)
    nearest = f"the nearest, {called(found[0].entry)}, is {found[0].alike:.0%} alike" if found else "none is alike"
    return Gate("capability-conflict", PASS, nearest, evidence)


def is_answered(entry: Entry, unlike: Mapping[str, str]) -> bool:
    """Tell whether somebody said why this one does not do, by its name or its path."""
    return entry.name in unlike or entry.path in unlike


def called(entry: Entry) -> str:
    """Return what an artifact is called in a sentence."""
    return f"the {entry.domain} {entry.name}"


def _same(like: Like) -> str:
    return f"{called(like.entry)} describes itself {like.alike:.0%} alike: use it, or change it"


def _evidence(hits: Sequence[Hit], found: Sequence[Like]) -> tuple[dict[str, Any], ...]:
    by_cover = sorted(found, key=lambda like: -like.covers)[:_LOOKED_AT]
    searched = tuple({"name": hit.entry.name, "path": hit.entry.path, "fits": round(hit.fits, 3)} for hit in hits[:5])
    return (*searched, *map(_like, by_cover))


def _like(like: Like) -> dict[str, Any]:
    return {"name": like.entry.name, "path": like.entry.path, "covers": round(like.covers, 3),
            "alike": round(like.alike, 3)}  # fmt: skip
