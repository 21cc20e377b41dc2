"""`kb eval`: how well search answers a project's own judged questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, Screen, harmless, working
from agent_studio.errors import ConfigurationError, ExitCode, UsageError
from agent_studio.knowledge import judging
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.knowledge.base import KnowledgeBase
    from agent_studio.knowledge.judging import Judged, Measured

_EXAMPLE = (
    {"query": "code-reviewer", "relevant": ["code-reviewer"], "type": "name"},
    {"query": "speed up a slow page", "relevant": {".claude/agents/performance-engineer.md": 2}, "type": "need"},
    {"query": "recipe for banana bread", "relevant": [], "type": "off topic"},
)
_FIGURES = ("ndcg10", "recall5", "mrr", "hit1", "silent")
_MISSES_SHOWN = 20
_WORSE = 0.01


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", nargs="?", metavar="FILE", help='JSON lines: {"query", "relevant", "type"}')
    parser.add_argument("--example", action="store_true", help="print three lines to start a FILE with")
    parser.add_argument(
        "--min-ndcg", type=float, metavar="X", help="exit 1 when the mean over types is below X (0 to 1)"
    )
    parser.add_argument("--against", metavar="EARLIER", help="compare with what --json printed before")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ask each question and compare."""
    if args.example:
        lines = [json.dumps(line) for line in _EXAMPLE]
        return Result({"lines": lines}, lambda screen: screen.block("\n".join(lines)))
    if args.file is None:
        raise UsageError("which questions?", hint="start a file with: agent-studio kb eval --example > questions.jsonl")
    if args.min_ndcg is not None and not 0 <= args.min_ndcg <= 1:
        raise UsageError(f"--min-ndcg {args.min_ndcg} is not from 0 to 1")
    judged = judging.read(_text(args.file).split("\n"), args.file)  # other ends of lines may stand in a JSON text
    before = judging.earlier(_text(args.against), args.against) if args.against else None
    with knowledge(session.context) as base, working("Asking") as tell:
        measured = []
        for number, one in enumerate(judged):
            tell(number, len(judged))
            measured.append(judging.measure(one, base.search(Query(one.query)), _exists(base)))
    data = _data(measured, before)
    problems = [
        Problem(
            "unknown", f"{args.file}:{one.judged.line}: no artifact is {', '.join(one.unknown)}", "kb list shows all"
        )
        for one in measured
        if one.unknown
    ]
    least = args.min_ndcg
    reached = data["types"].get("macro", {}).get("ndcg10", 0.0)
    failed = least is not None and reached < least
    if failed:
        problems.append(Problem("below", f"nDCG@10 is {reached:.3f}, below {least}", "the misses say where"))
    return Result(data, lambda screen: _render(screen, data), ExitCode.FAILED if failed else ExitCode.DONE, problems)


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"{file} cannot be read: {reason}", hint="name a file of JSON lines") from error


def _exists(base: KnowledgeBase) -> Any:
    def exists(key: str) -> bool:
        return bool(base.get(key)) or bool(base.get(f".claude/{key}"))

    return exists


def _data(measured: list[Measured], before: Mapping[str, Any] | None) -> dict[str, Any]:
    table = {
        name: {key: round(value, 4) for key, value in row.items()} for name, row in judging.summed(measured).items()
    }
    questions = [
        {"line": one.judged.line, "query": one.judged.query, "type": one.judged.type, "ndcg10": round(one.ndcg10, 4),
         "first": one.first or None}
        for one in measured
    ]  # fmt: skip
    misses = [_miss(one.judged, one.first) for one in measured if not one.ndcg10]
    data: dict[str, Any] = {"types": table, "questions": questions, "misses": misses}
    if before is not None:
        data["against"] = _compared(data, before)
    return data


def _miss(judged: Judged, first: str) -> dict[str, Any]:
    return {"line": judged.line, "query": judged.query, "wanted": list(judged.relevant), "first": first or None}


def _compared(data: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change of every figure, and the questions that went worse."""
    changes = {
        name: {
            key: round(value - before["types"][name].get(key, 0.0), 4) for key, value in row.items() if key in _FIGURES
        }
        for name, row in data["types"].items()
        if name in before["types"]
    }
    known = {one["query"]: one["ndcg10"] for one in before["questions"]}
    worse = [
        {"query": one["query"], "before": known[one["query"]], "now": one["ndcg10"]}
        for one in data["questions"]
        if one["ndcg10"] < known.get(one["query"], 0.0) - _WORSE
    ]
    return {"changes": changes, "worse": worse}


def _render(screen: Screen, data: dict[str, Any]) -> None:
    changes = data.get("against", {}).get("changes", {})
    rows = [
        (name, int(row["questions"]), *(_figure(row.get(key), changes.get(name, {}).get(key)) for key in _FIGURES))
        for name, row in data["types"].items()
    ]
    headings = ("type", "questions", "nDCG@10", "recall@5", "MRR", "hit@1", "silent")
    screen.table(headings, rows, numbers=headings[1:])
    for one in data["misses"][:_MISSES_SHOWN]:
        got = f"first: {one['first']}" if one["first"] else "nothing fits"
        wanted = f"wanted {', '.join(one['wanted'])}" if one["wanted"] else "wanted nothing"
        screen.mark("bad", harmless(f"{one['query']} ({wanted}; {got})"))
    if len(data["misses"]) > _MISSES_SHOWN:
        screen.line(f"... and {len(data['misses']) - _MISSES_SHOWN} more: --json has all")
    for one in data.get("against", {}).get("worse", ()):
        screen.mark("note", harmless(f"worse: {one['query']} ({one['before']:.2f} before, {one['now']:.2f} now)"))


def _figure(value: float | None, change: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" + (f" ({change:+.3f})" if change is not None else "")
