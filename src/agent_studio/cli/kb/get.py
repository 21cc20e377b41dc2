"""`kb get`: one artifact, as much of it as is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import filters
from agent_studio.cli.output import Result, Screen, harmless
from agent_studio.errors import ExitCode, UsageError, nearest
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.answers import Entry
    from agent_studio.knowledge.base import KnowledgeBase

_SIMILAR = 5
_SIMILAR_WORDS = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME|PATH", help="a name, plugin:name, alias or path from the project's root")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--headings", action="store_true", help="also its headings")
    part.add_argument("--section", metavar="TITLE", help="also the text below one heading, or its number")
    part.add_argument("--body", action="store_true", help="also its whole text")
    parser.add_argument("--similar", action="store_true", help="also what resembles it most")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Get; exit code 1 and an empty list when there is no such artifact."""
    with knowledge(session.context) as base:
        found = base.get(args.name)
        data: dict[str, Any] = {
            "artifacts": [filters.told(entry) for entry in found],
            "didYouMean": None if found else nearest(args.name, base.names()),
        }
        if found and (args.headings or args.section is not None or args.body):
            data |= _text(session.project, _only(found, args.name), args)
        if found and args.similar:
            data["similar"] = _similar(base, found[0])
    problems = filters.noted(base)
    code = ExitCode.DONE if found else ExitCode.FAILED
    return Result(data, lambda screen: _render(screen, data, args.name), code, problems)


def _only(found: Sequence[Entry], name: str) -> Entry:
    """Return the one whose text is asked for; copies of one text are one."""
    if len({entry.sha256 for entry in found}) > 1:
        paths = ", ".join(entry.path for entry in found)
        raise UsageError(f"{len(found)} artifacts are called {name!r}", hint=f"name one by its path: {paths}")
    return found[0]


def _text(project: Project, entry: Entry, args: argparse.Namespace) -> dict[str, Any]:
    from agent_studio.knowledge import reading, sections  # noqa: PLC0415 - only when the text is asked for
    from agent_studio.redaction import redact  # noqa: PLC0415 - as above

    text = redact(reading.text(project, entry))
    if args.body:
        return {"body": text}
    listed = sections.sections(text)
    if args.headings:
        return {"headings": [{"level": one.level, "title": one.title} for one in listed]}
    if one := sections.section(listed, args.section):
        return {"section": {"title": one.title, "text": text[one.start : one.end]}}
    near = nearest(args.section, [one.title for one in listed])
    hint = f'did you mean "{near}"?' if near else "--headings lists them"
    raise UsageError(f"{entry.path} has no section {args.section!r}", hint=hint)


def _similar(base: KnowledgeBase, entry: Entry) -> list[dict[str, Any]]:
    words = f"{entry.name} {entry.description}".split()[:_SIMILAR_WORDS]
    hits = base.search(Query(" ".join(words), limit=_SIMILAR + 1, semantic=False)).hits
    others = [hit for hit in hits if hit.entry.path != entry.path][:_SIMILAR]
    return [
        {"name": hit.entry.name, "path": hit.entry.path, "domain": hit.entry.domain, "score": round(hit.score, 4),
         "isCopy": hit.entry.sha256 == entry.sha256}
        for hit in others
    ]  # fmt: skip


def _render(screen: Screen, data: dict[str, Any], name: str) -> None:
    if not data["artifacts"]:
        near = data["didYouMean"]
        screen.line(harmless(f"There is no {name!r}." + (f" Did you mean {near!r}?" if near else "")))
    for artifact in data["artifacts"]:
        _render_head(screen, artifact)
    for heading in data.get("headings", ()):
        screen.line(harmless(f"{'  ' * (heading['level'] - 1)}{'#' * heading['level']} {heading['title']}"))
    text = data.get("body") or data.get("section", {}).get("text", "")
    for line in text.splitlines():
        screen.line(harmless(line.replace("\t", "    ")))
    if "similar" in data:
        screen.line("Similar:" if data["similar"] else "Nothing resembles it.")
    for one in data.get("similar", ()):
        note = " (the same text)" if one["isCopy"] else ""
        screen.line(harmless(f"  {one['name']} ({one['domain']}), {one['path']}{note}"))


def _render_head(screen: Screen, artifact: dict[str, Any]) -> None:
    marks = [mark for mark in ("deprecated", "hidden") if artifact[mark]]
    used = f"{artifact['usageCount']:,} times, last {artifact['lastUsed'] or 'unknown'}"
    facts = {
        "File": f"{artifact['path']} ({artifact['sizeBytes']:,} bytes, {artifact['source']})",
        "For": artifact["description"],
        "Use cases": ", ".join(artifact["useCases"]),
        "Tools": ", ".join(artifact["tools"]),
        "Tags": ", ".join(artifact["tags"]),
        "Alias": artifact["alias"],
        "Used": used if artifact["usageCount"] else "",
    }
    kind = ", ".join([artifact["domain"], f"complexity {artifact['complexity']}", *marks])
    screen.line(harmless(f"{artifact['name']} ({kind})"))
    for fact, value in facts.items():
        if value:
            screen.line(harmless(f"  {fact:<10} {value}"))
    screen.line()
