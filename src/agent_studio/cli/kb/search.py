"""`kb search`: rank the artifacts that fit a question."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import filters
from agent_studio.cli.output import Result, Screen, harmless
from agent_studio.errors import ExitCode, UsageError
from agent_studio.knowledge import unanswered
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.knowledge.answers import Answer, Hit

LIMIT_MAX = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("words", nargs="*", metavar="WORDS", help="words in any order, or a whole sentence")
    parser.add_argument("--query", default="", metavar="TEXT", help="the same as the words")
    filters.configure(parser)
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="hits at most (default: 10)")
    parser.add_argument("--explain", action="store_true", help="show what each score is made of")
    parser.add_argument(
        "--batch", action="store_true", help='answer JSON lines of stdin: {"id", "query"} or a text; one object a line'
    )
    parser.add_argument("--include-test", action="store_true", help="also search generated test artifacts")
    parser.add_argument("--no-semantic", action="store_true", help="rank by words only")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Search; exit code 1 when nothing fits."""
    asked = Query(
        " ".join(filter(None, [*args.words, args.query])), limit=_limit(args.limit), explain=args.explain,
        include_test=args.include_test, semantic=not args.no_semantic, **filters.given(args),
    )  # fmt: skip
    if args.batch:
        from agent_studio.cli.kb import batch  # noqa: PLC0415 - only for many questions

        if asked.text:
            raise UsageError("--batch reads its questions from stdin", hint='echo \'{"query": "..."}\' | ...')
        return batch.run(asked, session)
    if not asked.text.strip():
        raise UsageError("nothing to search for", hint='agent-studio kb search "review a migration"')
    with knowledge(session.context) as base:
        answer = base.search(asked)
        wider = base.best_without_filters(answer)
    unanswered.keep(session.context, answer, "cli")
    problems = filters.noted(base)
    data = {**told(answer), "withoutFilters": wider}
    code = ExitCode.DONE if answer.hits else ExitCode.FAILED
    return Result(data, lambda screen: _render(screen, answer, wider), code, problems)


def _limit(given: int) -> int:
    if not 1 <= given <= LIMIT_MAX:
        raise UsageError(f"--limit {given} is not from 1 to {LIMIT_MAX}")
    return given


def told(answer: Answer) -> dict[str, Any]:
    """Return an answer for programs."""
    return {
        "query": answer.query.text,
        "hits": [_told(hit, explain=answer.query.explain) for hit in answer.hits],
        "fits": round(answer.fits, 3),
        "didYouMean": answer.did_you_mean,
        "repaired": dict(answer.repaired),
    }


def _told(hit: Hit, *, explain: bool) -> dict[str, Any]:
    said = {
        **filters.told(hit.entry), "score": round(hit.score, 4), "fits": round(hit.fits, 3), "snippet": hit.snippet,
        "copies": list(hit.copies),
    }  # fmt: skip
    if explain:
        said["explanation"] = [part._asdict() for part in hit.explanation]
    return said


def _render(screen: Screen, answer: Answer, wider: str | None) -> None:
    if not answer.hits:
        near = f" Did you mean {answer.did_you_mean!r}?" if answer.did_you_mean else ""
        without = f" Without the filters {wider!r} fits best." if wider else ""
        screen.line(harmless(f"Nothing fits {answer.query.text!r}.{near}{without}"))
        return
    if answer.repaired:
        screen.line(harmless(f"Searched for: {answer.did_you_mean}"))
    screen.columns(
        ("score", "domain", "name", "what it is for"),
        [
            (f"{hit.score:.1f}", hit.entry.domain, hit.entry.name, ": ".join(filter(None, (where, hit.snippet))))
            for hit, where in zip(answer.hits, _told_apart(answer.hits), strict=True)
        ],
        numbers=("score",),
    )
    if answer.query.explain:
        for hit in answer.hits:
            parts = ", ".join(f"{part.name} {part.said} {part.points:+.2f}" for part in hit.explanation)
            screen.line(harmless(f"{hit.entry.name}: {parts}"))


def _told_apart(hits: Sequence[Hit]) -> list[str]:
    """Return where each hit lies, in a word, if another one of its kind has the same name; else nothing."""
    groups = defaultdict(list)
    for hit in hits:
        groups[hit.entry.domain, hit.entry.name].append(hit.entry.path)
    wheres: dict[str, str] = {}
    for paths in groups.values():
        if len(paths) > 1:
            wheres |= {path: f"in {part}" for path, part in zip(paths, differing(paths), strict=True)}
    return [wheres.get(hit.entry.path, "") for hit in hits]


def differing(paths: Sequence[str]) -> list[str]:
    """Return of each path what the others do not have; of one that has no more than the others, the folder it is in."""
    split = [path.split("/") for path in paths]
    shortest = min(map(len, split))
    start = next((at for at in range(shortest) if len({parts[at] for parts in split}) > 1), shortest)
    end = next((at for at in range(shortest - start) if len({parts[-1 - at] for parts in split}) > 1), shortest - start)
    return ["/".join(parts[start : len(parts) - end]) or parts[max(start - 1, 0)] for parts in split]
