"""What pages show of the knowledge base: search, and one artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.knowledge import reading
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge
from agent_studio.knowledge.index import FILE
from agent_studio.knowledge.sections import sections
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.knowledge.answers import Answer, Entry, Hit
    from agent_studio.knowledge.base import KnowledgeBase

_HITS = 30
_MOST_USED = 10
_TEXT_MAX = 200_000
_NAMESAKES = 20


def search(context: Context, words: str, domain: str) -> dict[str, Any]:
    """Return what fits some words, or the artifacts used most where there are none.

    `{query, artifacts (how many there are, or null without an index), domains{domain: n}, hits[{name, path, domain,
    description, source, deprecated, hidden, uses, lastUsed, score, fits, snippet[[text, is a match]], copies[],
    why[{name, points, said}]}], used[the same without score], didYouMean, repaired[[word, searched as]], notes[]}`.
    """
    if context.root.state.status(FILE) is None:
        return {"query": words, "artifacts": None, "hits": [], "didYouMean": None}
    with knowledge(context) as base:
        stats = base.stats()
        query = Query(words, limit=_HITS, domain=domain or None, explain=True)
        found = base.search(query) if words.strip() else None
        shown = _answer(found) if found else _used(base, domain)
        return {
            "query": words,
            "artifacts": stats["artifacts"],
            "domains": stats["domain"],
            **shown,
            "notes": [note.message for note in base.notes],
        }


def artifact(context: Context, path: str) -> dict[str, Any]:
    """Return one artifact by its path, or by its name.

    `{artifact (as a hit, with complexity, tools, tags, useCases, alias, sizeBytes, or null), namesakes[{path, domain}],
    headings[{level, title}], text (redacted; null where it cannot be read), isCut, problem}`.
    """
    nothing: dict[str, Any] = {
        "artifact": None,
        "namesakes": [],
        "headings": [],
        "text": None,
        "isCut": False,
        "problem": "",
    }
    if context.root.state.status(FILE) is None:  # to look builds nothing
        return nothing
    with knowledge(context) as base:
        found = base.get(path)
        if not found:
            return nothing
        entry = found[0]
        named = base.get(entry.name)
    others = [{"path": one.path, "domain": one.domain} for one in named if one.path != entry.path]
    try:
        text, problem = redact(reading.text(context.project, entry)), ""
    except reading.FAULTS as error:
        text, problem = None, error.message
    return {
        "artifact": {
            **_entry(entry), "complexity": entry.complexity, "tools": entry.tools, "tags": entry.tags,
            "useCases": entry.use_cases, "alias": entry.alias, "sizeBytes": entry.size_bytes,
        },
        "namesakes": others[:_NAMESAKES],
        "headings": [{"level": one.level, "title": one.title} for one in sections(text or "")],
        "text": text if text is None else text[:_TEXT_MAX],
        "isCut": len(text or "") > _TEXT_MAX,
        "problem": problem,
    }  # fmt: skip


def _answer(found: Answer) -> dict[str, Any]:
    return {
        "hits": [_hit(hit) for hit in found.hits],
        "used": [],
        "didYouMean": found.did_you_mean,
        "repaired": found.repaired,
    }


def _used(base: KnowledgeBase, domain: str) -> dict[str, Any]:
    listed = base.list(domain=domain or None, sort="usage", limit=_MOST_USED)
    used = [_entry(entry) for entry in listed if entry.usage_count]
    return {"hits": [], "used": used, "didYouMean": None, "repaired": []}


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        **_entry(hit.entry),
        "score": round(hit.score, 2),
        "fits": round(hit.fits, 3),
        "snippet": _pieces(hit.snippet, hit.marks),
        "copies": hit.copies,
        "why": [part._asdict() for part in hit.explanation],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name, "path": entry.path, "domain": entry.domain, "description": entry.description,
        "source": entry.source, "deprecated": entry.deprecated, "hidden": entry.hidden, "uses": entry.usage_count,
        "lastUsed": entry.last_used or None,
    }  # fmt: skip


def _pieces(text: str, marks: tuple[tuple[int, int], ...]) -> list[tuple[str, bool]]:
    """Return a text in pieces, each with whether it is a match: positions count differently in a browser."""
    found, at = [], 0
    for start, end in sorted(marks):
        if start >= at:
            found += [(text[at:start], False), (text[start:end], True)]
            at = end
    return [piece for piece in [*found, (text[at:], False)] if piece[0]]
