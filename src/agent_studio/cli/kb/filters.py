"""The filters that `kb search` and `kb list` share, and how an artifact is told to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem
from agent_studio.knowledge.answers import COMPLEXITIES, DOMAINS

if TYPE_CHECKING:
    import argparse

    from agent_studio.knowledge.answers import Entry
    from agent_studio.knowledge.base import KnowledgeBase


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--domain", choices=DOMAINS, help="only artifacts of one kind")
    parser.add_argument("--tags", default="", metavar="A,B", help="only what has all of these tags")
    parser.add_argument("--complexity", type=str.upper, choices=COMPLEXITIES, help="only one complexity")
    parser.add_argument("--tools", default="", metavar="A,B", help="only what uses all of these tools")
    parser.add_argument("--source", metavar="NAME", help="only from project, user or plugin:NAME")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--deprecated", action="store_true", default=None, help="only what is deprecated")
    which.add_argument("--no-deprecated", action="store_false", dest="deprecated", help="nothing that is deprecated")


def given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the filters by the names that `Query` and `catalogue.entries` give them."""
    return {
        "domain": args.domain,
        "tags": _listed(args.tags),
        "complexity": args.complexity,
        "tools": _listed(args.tools),
        "deprecated": args.deprecated,
        "source": args.source,
    }


def told(entry: Entry) -> dict[str, Any]:
    """Return an artifact for programs."""
    return {
        "name": entry.name,
        "path": entry.path,
        "domain": entry.domain,
        "description": entry.description,
        "complexity": entry.complexity,
        "useCases": _parts(entry.use_cases),
        "tools": _parts(entry.tools),
        "tags": _parts(entry.tags),
        "deprecated": entry.deprecated,
        "alias": entry.alias,
        "source": entry.source,
        "hidden": entry.hidden,
        "sizeBytes": entry.size_bytes,
        "usageCount": entry.usage_count,
        "lastUsed": entry.last_used or None,
    }


def noted(base: KnowledgeBase) -> list[Problem]:
    """Return what is to be told beside an answer; none of it is why nothing was found."""
    return [Problem(*note, is_note=True) for note in base.notes]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _parts(joined: str) -> list[str]:
    return list(filter(None, joined.split(";")))
