"""`eval compare`: the same tasks with two sets of definitions, interleaved, and which does better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.eval import running, shared
from agent_studio.cli.output import Problem, Result
from agent_studio.errors import UsageError
from agent_studio.evals.runs import begin
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs.together import Runs
from agent_studio.evals.tasks import loading
from agent_studio.evals.verdicts import comparison
from agent_studio.release import no_regression

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.evidence import Evidence


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    shared.add_selection(parser)
    parser.add_argument(
        "--against", metavar="HASH",
        help="the other side: live (default), the first digits of a candidate or release, or none for no definitions",
    )  # fmt: skip
    shared.add_running(parser)
    shared.add_files(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Try the tasks with both, say which does better, and keep it as evidence for the gate."""
    if run := next(filter(headers.is_run, args.tasks), None):
        raise UsageError(
            f"{run} is a run, and runs are not compared with each other: attempts are made in turn, so that what "
            "changes with time falls on both sides alike",
            hint="agent-studio eval compare --candidate HASH --against HASH",
        )
    shared.refuse_files(args, session)
    context = shared.context_of(session)
    share = shared.margin(args, context)
    done = running.done(args, session, context, args.against or begin.LIVE, has_two_sides=True)
    runs = Runs(begin.folder_of(context))
    data = comparison.data(runs.together(done.header.id, later=True), share)
    tasks = loading.load(context.project, context.config)
    evidence, why, hint = shared.kept(context, runs, done.header, tasks)
    data["evidence"] = _data(evidence)
    shared.write_files(args, session, data)
    problems = shared.notes(done)
    if why:
        problems.append(Problem("no-evidence", why, hint, is_note=True))
    return Result(data, lambda screen: _render(screen, data, evidence), shared.CODES[data["verdict"]], problems)


def _data(evidence: Evidence | None) -> dict[str, Any] | None:
    return None if evidence is None else {
        "kind": evidence.kind, "verdict": evidence.verdict, "reason": evidence.data["reason"], "file": evidence.file
    }  # fmt: skip


def _render(screen: Screen, data: dict[str, Any], evidence: Evidence | None) -> None:
    shared.render(screen, data)
    if evidence is not None:
        screen.line()
        mark = {"PASS": "ok", "FAIL": "bad"}.get(evidence.verdict, "none")
        screen.told(mark, f"{no_regression.KIND}: {evidence.verdict}, {evidence.data['reason']}")
