"""`kb search`: rank the artifacts that fit a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import filters
from agent_studio.cli.output import Problem, Result, Screen, harmless
from agent_studio.errors import ExitCode, UsageError
from agent_studio.knowledge import unanswered
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse

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
    unanswered.keep(session.context, answer, "cli")
    problems = [Problem(*note) for note in base.notes]
    data = told(answer)
    code = ExitCode.DONE if answer.hits else ExitCode.FAILED
    return Result(data, lambda screen: _render(screen, answer), code, problems)


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


def _render(screen: Screen, answer: Answer) -> None:
    if not answer.hits:
        near = f" Did you mean {answer.did_you_mean!r}?" if answer.did_you_mean else ""
        screen.line(harmless(f"Nothing fits {answer.query.text!r}.{near}"))
        return
    if answer.repaired:
        screen.line(harmless(f"Searched for: {answer.did_you_mean}"))
    screen.columns(
        ("score", "domain", "name", "what it is for"),
        [(f"{hit.score:.1f}", hit.entry.domain, hit.entry.name, hit.snippet) for hit in answer.hits],
        numbers=("score",),
    )
    if answer.query.explain:
        for hit in answer.hits:
            parts = ", ".join(f"{part.name} {part.said} {part.points:+.2f}" for part in hit.explanation)
            screen.line(harmless(f"{hit.entry.name}: {parts}"))
