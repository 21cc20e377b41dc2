"""Find what is wrong on this machine and the command that mends each.

Looks at: the environment not detected, configuration not loaded, directories missing, tests failing, a feature
not working, drift between environments, access rights, NODE_ENV, and files of the original Agent Studio.
Exit code 1 when anything is a warning or worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result, Screen
from agent_studio.environment import checks as environment_checks
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import AgentStudioError, ConfigurationError, ExitCode
from agent_studio.staging import diagnosis

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context

_MARKS = {Severity.OK: "ok", Severity.INFO: "note", Severity.WARNING: "bad", Severity.ERROR: "bad"}
_BAD = {Severity.WARNING, Severity.ERROR}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    parser.add_argument("--fix", action="store_true", help="mend what can be mended without asking anything")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look, mend when asked, look again."""
    found = list(_findings(session))
    mended = _mend(found) if args.fix else []
    if mended:
        found = list(_findings(session))
    code = ExitCode.FAILED if any(finding.severity in _BAD for finding in found) else ExitCode.DONE
    data = {
        "findings": [
            {"code": item.code, "severity": str(item.severity), "message": item.message, "fix": item.fix}
            for item in found
        ],
        "mended": mended,
    }
    return Result(data, lambda screen: _render(screen, found, mended, fixing=args.fix), code)


def _findings(session: Session) -> Iterator[Finding]:
    context = _context(session)
    arguments = (session.project, session.choice, session.variables, session.overrides)
    yield from environment_checks.checks(*arguments, context)
    if context:
        yield from diagnosis.checks(context)


def _context(session: Session) -> Context | None:
    """Return the context, or None when the configuration is the finding."""
    try:
        return session.context
    except ConfigurationError:
        return None


def _mend(found: list[Finding]) -> list[str]:
    """Mend every finding that can be; return what was done."""
    done = []
    for finding in found:
        if finding.mend and finding.severity is not Severity.OK:
            try:
                finding.mend()
            except AgentStudioError:
                continue  # it is found again, with its own hint
            done.append(f"{finding.code}: {finding.message}")
    return done


def _render(screen: Screen, found: list[Finding], mended: list[str], *, fixing: bool) -> None:
    for text in mended:
        screen.mark("ok", f"mended {text}")
    for finding in found:
        screen.mark(_MARKS[finding.severity], f"{finding.code}: {finding.message}")
        if finding.severity is not Severity.OK:
            for line in finding.fix.splitlines():
                screen.line(f"    {line}")
    bad = sum(finding.severity in _BAD for finding in found)
    fixable = sum(finding.mend is not None and finding.severity is not Severity.OK for finding in found)
    more = "; agent-studio doctor --fix mends what it can" if fixable and not fixing else ""
    screen.line(
        f"\n{bad} to mend, {len(found)} looked at{more}" if bad else f"\nNothing to mend ({len(found)} looked at){more}"
    )
