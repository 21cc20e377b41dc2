"""`eval import`: results of Inspect or promptfoo, as evidence that says whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import shared
from agent_studio.cli.output import Problem, Result
from agent_studio.errors import UsageError
from agent_studio.evals.making import importing
from agent_studio.evals.runs import begin
from agent_studio.evals.runs.header import NONE
from agent_studio.evals.verdicts import betting, keeping
from agent_studio.release import no_regression, policy

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the candidate's result, then the other side's")
    parser.add_argument("--format", required=True, choices=importing.FORMATS, help="whose results they are")
    parser.add_argument(
        "--columns", nargs=2, metavar="NAME", help="promptfoo: the candidate's and the other's, of one file"
    )
    parser.add_argument("--candidate", metavar="HASH", help="what the first is a result of (default: the checkout's)")
    parser.add_argument("--against", default=begin.LIVE, metavar="HASH", help="what the other is of (default: live)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Pair the results and keep them as evidence, labelled as imported."""
    context = shared.context_of(session)
    datas = [_read(name) for name in args.files]
    own, other = _sides(args, datas)
    counts = importing.paired(own, other)
    candidate = begin.resolved(context.project, args.candidate)
    against = begin.resolved(context.project, args.against)
    if against in (candidate, NONE):
        raise UsageError("evidence is about a candidate and another release", hint="name both: --candidate, --against")
    asked = no_regression.rules(policy.in_force(context.project, candidate).values)
    share = asked.margin or float(context.config["evals.margin"])
    source = importing.source(args.format, own, other)
    kept = keeping.keep_imported(context, candidate, against, counts, asked, share, source)
    data: dict[str, Any] = {
        "candidate": candidate, "against": against, "imported": args.format, "pairs": counts._asdict(),
        "difference": counts.difference, "verdict": betting.verdict(counts, share), "counts": asked.imported,
        "leftOut": importing.left_out(own, other), "evidence": None if kept.evidence is None else kept.evidence.file,
    }  # fmt: skip
    problems = [Problem("no-evidence", kept.why, kept.hint, is_note=True)] if kept.why else []
    return Result(data, lambda screen: _render(screen, data), shared.CODES[data["verdict"]], problems)


def _sides(args: argparse.Namespace, datas: list[bytes]) -> tuple[importing.Results, importing.Results]:
    if args.columns and len(datas) == 1 and args.format == importing.PROMPTFOO:
        own, other = (importing.read(datas[0], args.format, args.files[0], name) for name in args.columns)
        return own, other
    if len(datas) != 2 or args.columns:  # noqa: PLR2004 - two sides
        raise UsageError("two results are compared", hint="FILE FILE, or for promptfoo one FILE and --columns A B")
    own, other = (importing.read(data, args.format, name) for data, name in zip(datas, args.files, strict=True))
    return own, other


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", hint="name a file that is there") from None


def _render(screen: Screen, data: dict[str, Any]) -> None:
    screen.line(
        f"imported from {data['imported']}: {data['verdict']}, {data['pairs']['won']} won, {data['pairs']['lost']} "
        f"lost, {data['pairs']['same']} alike"
    )
    if data["leftOut"]:
        screen.told("note", f"{data['leftOut']} results are left out: an error of the tool or of a service ended them")
    if not data["counts"]:
        screen.told("note", "the policy does not count imported results: release.policy.evals.imported")
