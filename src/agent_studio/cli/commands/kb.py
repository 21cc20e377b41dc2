"""Build and search the knowledge base: the project's skills, agents, commands, workflows, hooks and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, Screen, working
from agent_studio.environment.roots import INDEX_FILE
from agent_studio.errors import ConfigurationError, ExitCode, IntegrityError
from agent_studio.isolation.secrets import baseline
from agent_studio.knowledge import index
from agent_studio.knowledge.search import Hit, search, suggest
from agent_studio.staging.seed import build_index

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs of `kb`."""
    verbs = parser.add_subparsers(dest="subverb", required=True, metavar="VERB")
    verbs.add_parser(
        "build", help="read every artifact again and replace the index",
        description="Read every artifact again and replace the index; usage counts are kept.",
    )  # fmt: skip
    find = verbs.add_parser(
        "search", help="rank the artifacts that fit a query",
        description="Rank the artifacts that fit a query. Exit code 1 when none does.",
    )  # fmt: skip
    find.add_argument("words", nargs="*", metavar="QUERY", help="words in any order")
    find.add_argument("--query", default="", help="the same as the words")
    find.add_argument("--limit", type=int, default=10, help="hits at most (default: 10)")
    find.add_argument("--include-test", action="store_true", help="also search generated test artifacts")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    return _build(session) if args.subverb == "build" else _search(args, session)


def _build(session: Session) -> Result:
    root = session.context.root
    try:
        previous = index.load(root)
    except (FileNotFoundError, IntegrityError):
        previous = []
    accepted = baseline.load(session.project)
    with working("Reading artifacts"):
        built = build_index(root, session.context.config, previous)
    data = index.encode(built.rows)
    root.folder("knowledge").make()
    root.folder("knowledge").replace(INDEX_FILE, data)
    test_rows = sum(row["domain"] == index.TEST_DOMAIN for row in built.rows)
    problems = [
        *(
            Problem("secret", f"{hit.path} holds a credential ({hit.kind}); it was kept out of the index")
            for hit in accepted.unanswered(built.secrets)
        ),
        *(Problem("skipped", f"{path} was not indexed: {reason}") for path, reason in built.skipped),
    ]
    real = len(built.rows) - test_rows
    text = f"Indexed {real} artifacts and {test_rows} test artifacts ({len(data)} bytes)"
    figures: dict[str, Any] = {"artifacts": real, "testArtifacts": test_rows, "bytes": len(data)}
    return Result(figures, lambda screen: screen.mark("ok", text), ExitCode.DONE, problems)


def _search(args: argparse.Namespace, session: Session) -> Result:
    query = " ".join([*args.words, args.query]).strip()
    try:
        rows = index.load(session.context.root)
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
