"""`burnin report`: where the burn-in stands, kept as evidence for the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.burnin.status import CODES, render
from agent_studio.cli.output import Problem, Result, working
from agent_studio.release.burnin import progress, report
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.burnin.report import Report

_MARKS = {"PASS": "ok", "FAIL": "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""
    del parser


def run(args: argparse.Namespace, session: Session) -> Result:
    """Keep the evidence; the worst verdict is the exit code."""
    del args
    with working("reading the journals"):
        found = report.report(open_sides(session.project, session.variables, session.overrides))
    evidence = [
        {"kind": one.kind, "verdict": one.verdict, "reason": one.reason, "recorded": one.recorded}
        for one in found.findings
    ]
    problems = [] if found.is_kept else [_changed()]
    data = {**progress.data_of(found.burnin), "evidence": evidence}
    return Result(data, lambda screen: _render(screen, found), CODES[found.verdict], problems)


def _changed() -> Problem:
    return Problem(
        "changed", "a definition changed while the burn-in was worked out, so no evidence was kept",
        "agent-studio burnin start",
    )  # fmt: skip


def _render(screen: Screen, found: Report) -> None:
    render(screen, found.burnin)
    screen.line(f"\nEvidence on {found.burnin.candidate[:12]}:")
    for one in found.findings:
        kept = "recorded" if one.recorded else "as on record" if found.is_kept else "not kept"
        screen.mark(_MARKS.get(one.verdict, "none"), f"{one.kind} {one.verdict} ({kept}): {one.reason}")
