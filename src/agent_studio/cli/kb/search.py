"""`kb search`: rank the artifacts that fit a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result, Screen
from agent_studio.errors import ConfigurationError, ExitCode
from agent_studio.knowledge import table
from agent_studio.knowledge.search import Hit, search, suggest

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("words", nargs="*", metavar="QUERY", help="words in any order")
    parser.add_argument("--query", default="", help="the same as the words")
    parser.add_argument("--limit", type=int, default=10, help="hits at most (default: 10)")
    parser.add_argument("--include-test", action="store_true", help="also search generated test artifacts")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Search; exit code 1 when nothing fits."""
    query = " ".join([*args.words, args.query]).strip()
    try:
        rows = table.load(session.context.root)
    except FileNotFoundError:
        environment = session.choice.environment
        raise ConfigurationError(
            f"{environment} has no knowledge base yet", hint=f"create it: agent-studio init --env {environment}"
        ) from None
    hits = search(rows, query, limit=max(1, args.limit), include_test=args.include_test)
    near = None if hits else suggest(rows, query)
    data = {"query": query, "hits": [_hit(hit) for hit in hits], "didYouMean": near}
    return Result(data, lambda screen: _render(screen, query, hits, near), ExitCode.DONE if hits else ExitCode.FAILED)


def _hit(hit: Hit) -> dict[str, Any]:
    row = {name: hit.row[name] for name in ("name", "path", "domain", "description")}
    return {**row, "score": hit.score, "snippet": hit.snippet}


def _render(screen: Screen, query: str, hits: list[Hit], near: str | None) -> None:
    if not hits:
        screen.line(f"Nothing fits {query!r}." + (f" Did you mean {near!r}?" if near else ""))
        return
    screen.table(
        ("score", "domain", "name", "what it is for"),
        [(f"{hit.score:.1f}", hit.row["domain"], hit.row["name"], hit.snippet) for hit in hits],
    )
