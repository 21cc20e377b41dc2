"""Find what is wrong on this machine and the command that mends each.

Looks at: the environment not detected, configuration not loaded, directories missing, tests failing, a feature
not working, drift between environments, access rights, NODE_ENV, files of the original Agent Studio, releases that
are interrupted, damaged or unproven, and records that wait for the shared engine.
Exit code 1 when anything is a warning or worse.

`doctor isolation` plants a random value in other environments' data and tries to reach it from inside `run` by every
route that it knows; the result is kept as evidence. Exit code: 0 nothing reaches, 1 something does, 3 isolation is
advisory, 7 it is required and not available.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.capture.recorder import build
from agent_studio.capture.wiring import status as wiring
from agent_studio.cli.doctor import isolation
from agent_studio.cli.output import Result, Screen
from agent_studio.cost import findings as cost_findings
from agent_studio.environment import checks as environment_checks
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import ConfigurationError, ExitCode, UsageError
from agent_studio.evolution import findings as evolution_findings
from agent_studio.fleet import status as fleet_status
from agent_studio.guards import wired
from agent_studio.isolation import choice
from agent_studio.monitor import notify, retention
from agent_studio.reasoning.models import findings as model_findings
from agent_studio.reasoning.party import findings as team_findings
from agent_studio.release import condition
from agent_studio.release.backups import repairing
from agent_studio.staging import diagnosis
from agent_studio.staging.init import Options, initialise

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context

_MARKS = {Severity.OK: "ok", Severity.INFO: "note", Severity.WARNING: "bad", Severity.ERROR: "bad"}
_BAD = {Severity.WARNING, Severity.ERROR}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    parser.add_argument(
        "subverb", nargs="?", choices=("isolation",), metavar="isolation", help="prove what run keeps apart"
    )
    parser.add_argument("--fix", action="store_true", help="mend what initialising again can mend")
    parser.add_argument(
        "--backend", metavar="NAME", choices=choice.NAMES, help=f"isolation by: {', '.join(choice.NAMES)}"
    )
    parser.add_argument("--require-isolation", action="store_true", help="exit 7 where isolation would be advisory")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look, mend when asked, look again."""
    _refuse_misplaced(args)
    if args.subverb == "isolation":
        return isolation.run(args, session)
    found = list(_findings(session))
    mended = [finding for finding in found if args.fix and _fixable(finding)]
    if mended:
        report = initialise(session.project, session.choice, session.variables, session.overrides, Options())
        if report.failure:
            raise report.failure
        session = session.anew()
        found = list(_findings(session))
    code = ExitCode.FAILED if any(finding.severity in _BAD for finding in found) else ExitCode.DONE
    data = {
        "findings": [
            {"code": item.code, "severity": str(item.severity), "message": item.message, "fix": item.fix}
            for item in found
        ],
        "mended": [finding.code for finding in mended],
    }
    return Result(data, lambda screen: _render(screen, found, mended), code)


def _refuse_misplaced(args: argparse.Namespace) -> None:
    """Raise `UsageError` for an option that would have no effect: it may stand for a check that then never failed."""
    if args.subverb is None and (args.backend is not None or args.require_isolation):
        option = "--require-isolation" if args.require_isolation else "--backend"
        raise UsageError(f"{option} is for doctor isolation", hint="agent-studio doctor isolation")
    if args.subverb and args.fix:
        raise UsageError("--fix is not for doctor isolation: it proves, and mends nothing", hint="leave it out")


def _findings(session: Session) -> Iterator[Finding]:
    context = _context(session)
    arguments = (session.project, session.choice, session.variables, session.overrides)
    yield from environment_checks.checks(*arguments, context)
    if context:
        yield from diagnosis.checks(context)
        yield from cost_findings.checks(context)
        yield from retention.checks(context)
        yield from notify.checks(context)
        yield from model_findings.checks(context)
        yield from team_findings.checks(context)
        yield from wired.findings(context)
        yield from evolution_findings.checks(context)
        yield from repairing.findings(context.root)
        yield from fleet_status.checks(context, session.variables)
    yield from condition.checks(session.project, session.variables)
    yield from build.findings(session.project)
    yield from wiring.findings(session.project)
    yield from diagnosis.committed(session.project)


def _context(session: Session) -> Context | None:
    """Return the context, or None when the configuration is the finding."""
    try:
        return session.context
    except ConfigurationError:
        return None


def _fixable(finding: Finding) -> bool:
    return finding.by_init and finding.severity in _BAD


def _render(screen: Screen, found: list[Finding], mended: list[Finding]) -> None:
    for finding in mended:
        screen.mark("ok", f"mended {finding.code}: {finding.message}")
    for finding in found:
        screen.mark(_MARKS[finding.severity], f"{finding.code}: {finding.message}")
        if finding.severity is not Severity.OK:
            for line in finding.fix.splitlines():
                screen.line(f"    {line}")
    bad = sum(finding.severity in _BAD for finding in found)
    more = "; agent-studio doctor --fix mends what it can" if any(map(_fixable, found)) else ""
    screen.line(f"\n{_verdict(found, bad)} ({len(found)} looked at){more}")


def _verdict(found: list[Finding], bad: int) -> str:
    if bad:
        return f"{bad} to mend"
    missing = next((one for one in found if one.by_init and one.severity is Severity.INFO), None)
    return f"Nothing is broken; what is missing: {missing.fix}" if missing else "Nothing to mend"
