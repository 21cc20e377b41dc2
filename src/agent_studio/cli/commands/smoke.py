"""Prove in a second that an environment works: named, timed checks that leave no trace in its data.

What is found of staging is kept as evidence on the working checkout's candidate.
Exit code 0 when all pass, 1 when one fails, 3 when a required check could not run.
Also for pytest: pytest --pyargs agent_studio.staging.smoke
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.cli import evidence, files
from agent_studio.cli.output import Result, Screen
from agent_studio.release import checked
from agent_studio.release.production import whose
from agent_studio.release.production.sides import SOURCE
from agent_studio.staging.smoke import SmokeReport, junit, run_smoke
from agent_studio.staging.subject import Subject

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.release.checked import Kept

_MARKS = {"PASS": "ok", "FAIL": "bad", "SKIPPED": "none"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `smoke`."""
    parser.add_argument("--junit", metavar="FILE", help="also write the outcomes as JUnit XML")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Run the checks on the chosen environment."""
    if session.choice.environment is SOURCE:
        whose.refuse_production(session.project)
    if args.junit is not None:
        files.refuse(args.junit, files.JUNIT, files.definitions_of(session))
    context = session.sound_context
    watch = checked.watching(context)
    report = run_smoke(Subject(session.project, session.choice, session.variables, session.overrides))
    environment = str(session.choice.environment)
    if context:
        wrong = [outcome.name for outcome in report.outcomes if outcome.verdict != "PASS"]
        log.info(context, "smoke.finished", passed=report.count("PASS"), notPassed=wrong)
    if args.junit is not None:
        files.write(args.junit, junit(report, environment), files.definitions_of(session))
    kept = watch.keep(checked.of_smoke(report)) if watch else None
    problems = evidence.problems(kept)
    data = {**_data(report), "evidence": evidence.data(kept)}
    return Result(data, lambda screen: _render(screen, report, environment, kept), report.code, problems)


def _data(report: SmokeReport) -> dict[str, object]:
    checks = [
        {"name": one.name, "verdict": one.verdict, "durationMs": one.duration_ms, "message": one.message}
        for one in report.outcomes
    ]
    counts = {"passed": "PASS", "failed": "FAIL", "skipped": "SKIPPED"}
    return {"checks": checks, **{name: report.count(verdict) for name, verdict in counts.items()}}


def _render(screen: Screen, report: SmokeReport, environment: str, kept: Kept | None) -> None:
    screen.line(f"Smoke tests of {environment}\n")
    width = max(len(outcome.name) for outcome in report.outcomes)
    for outcome in report.outcomes:
        text = f"{outcome.name:<{width}}  {outcome.duration_ms:7.1f} ms  {outcome.message}"
        screen.mark(_MARKS[outcome.verdict], text)
    seconds = sum(outcome.duration_ms for outcome in report.outcomes) / 1000
    if any(outcome.name == "directories-exist" and outcome.verdict == "FAIL" for outcome in report.outcomes):
        screen.line(f"\nNot initialised? agent-studio init --env {environment}")
    screen.line(
        f"\n{report.count('PASS')} passed, {report.count('FAIL')} failed, "
        f"{report.count('SKIPPED')} skipped in {seconds:.2f} s"
    )
    evidence.show(screen, kept)
