"""`kb stats`: how much there is of what, and how old the index is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import filters
from agent_studio.cli.output import Result, Screen
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; there are none."""


def run(args: argparse.Namespace, session: Session) -> Result:  # noqa: ARG001 - every sub-verb has this form
    """Count."""
    with knowledge(session.context) as base:
        data = base.stats()
    return Result(data, lambda screen: _render(screen, data), problems=filters.noted(base))


def _render(screen: Screen, data: dict[str, Any]) -> None:
    facts = {
        "Artifacts": f"{data['artifacts']:,} ({data['bytes']:,} bytes)",
        "By kind": _counted(data["domain"]),
        "By source": _counted(data["source"]),
        "By complexity": _counted(data["complexity"]),
        "Same content": f"{data['copies']:,} copies of others",
        "Same name": f"{data['sameName']:,} names are used more than once",
        "Deprecated": f"{data['deprecated']:,}",
        "Not offered": f"{data['hidden']:,} are hidden from the model",
        "Not indexed": f"{data['skipped']:,} files" + ("; agent-studio kb doctor" if data["skipped"] else ""),
        "Used": f"{data['usedArtifacts']:,} artifacts, {data['uses']:,} times",
        "Index": f"{data['indexBytes']:,} bytes, last changed {data['indexChanged'] or 'never'}",
    }
    if data["semantic"]:
        facts["By meaning"] = f"{data['semantic']['vectors']:,} vectors, {data['semantic']['bytes']:,} bytes"
    for name, value in facts.items():
        screen.line(f"{name:<13}  {value}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"
