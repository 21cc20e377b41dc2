"""Evidence from the commands that look at staging: what they find is kept on the candidate that they looked at.

It never changes what the command itself says. What cannot be kept is told in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.isolation.probe import BLOCKED, REACHES
from agent_studio.release import evidence
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.isolation.proof import Proof
    from agent_studio.staging.smoke import SmokeReport
    from agent_studio.staging.suite import Outcome

_OUTSIDE = frozenset(("environment variable", "--set"))
_SHOWN = 3


class Finding(NamedTuple):
    """What a command found."""

    kind: str
    verdict: str
    reason: str
    """One sentence, for the gate."""
    about: str = ""
    """What was looked at; the same verdict about something else is other evidence."""
    data: Mapping[str, Any] = {}
    refused: str = ""
    """Why it is no evidence whatever it says, in words; empty: it is."""
    hint: str = ""


class Kept(NamedTuple):
    """What became of a finding."""

    kind: str
    verdict: str
    candidate: str
    """Empty where there is no evidence: `fault` says why."""
    is_new: bool
    """Whether it was recorded now, and not on record before."""
    fault: str = ""
    hint: str = ""
    code: str = "no-evidence"
    """Of the fault."""


class Watch:
    """The working checkout's definitions, from before a look at staging until after it."""

    def __init__(self, context: Context) -> None:
        """Read the definitions as they are before the look."""
        self._context = context
        self._fault: AgentStudioError | None = None
        self.candidate: str | None = None
        """The hash before; None where the definitions cannot be read."""
        try:
            self.candidate = candidate(context.project).sha256
        except AgentStudioError as error:
            self._fault = error

    @property
    def counts(self) -> bool:
        """Whether anybody asks for evidence of the environment."""
        return self._context.environment is Environment.STAGING

    def has_changed(self) -> bool:
        """Tell whether definitions are others than before; unknown is no."""
        try:
            return self._fault is None and candidate(self._context.project).sha256 != self.candidate
        except AgentStudioError:
            return False

    def keep(self, finding: Finding) -> Kept | None:
        """Keep a finding as evidence; None where none is asked for."""
        if not self.counts:
            return None
        try:
            return self._keep(finding)
        except AgentStudioError as error:
            return Kept(
                finding.kind, finding.verdict, "", is_new=False, fault=f"no evidence was kept: {error.message}",
                hint=error.hint,
            )  # fmt: skip

    def _keep(self, finding: Finding) -> Kept:
        if self._fault is not None:
            raise self._fault
        refuse_outside(self._context)
        if finding.refused:
            raise UsageError(finding.refused, hint=finding.hint)
        now = candidate(self._context.project).sha256
        held = evidence.of(self._context.project, self._context.environment, now).evidence.get(finding.kind)
        if now != self.candidate:
            return self._disturbed(finding, now, is_held=held is not None)
        data = {"reason": finding.reason, "about": finding.about, **finding.data}
        other = held is not None and held.data.get("about", finding.about) != finding.about
        keep = evidence.record if other else evidence.confirm
        is_new = keep(self._context, finding.kind, now, finding.verdict, data) is not None
        return Kept(finding.kind, finding.verdict, now, is_new)

    def _disturbed(self, finding: Finding, now: str, *, is_held: bool) -> Kept:
        """Say that nothing was shown of either candidate; evidence of the new one from before stays what it is."""
        reason = "definitions changed while staging was looked at"
        if not is_held:
            evidence.record(self._context, finding.kind, now, INSUFFICIENT, {"reason": reason})
        return Kept(
            finding.kind, INSUFFICIENT, now, not is_held, fault=f"{reason}: it is no evidence of what is there now",
            hint="run it again", code="candidate-changed",
        )  # fmt: skip


def watching(context: Context | None) -> Watch | None:
    """Watch where evidence is asked for, and not where there is no telling."""
    return Watch(context) if context is not None and context.environment is Environment.STAGING else None


def refuse_outside(context: Context) -> None:
    """Raise `UsageError` where variables or `--set` say what no file does: no evidence is of that."""
    found = {name: layers[-1].source for name, layers in context.config.layers.items()}
    outside = [f"{name} by {source}" for name, source in found.items() if source in _OUTSIDE]
    if outside:
        more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
        raise UsageError(
            f"set {', '.join(outside[:_SHOWN])}{more}, which no candidate has",
            hint="run it once more with what the files say alone",
        )


def of_smoke(report: SmokeReport) -> Finding:
    """Return what the smoke tests found."""
    failed = [f"{one.name}: {one.message}" for one in report.outcomes if one.verdict == "FAIL"]
    skipped = [one for one in report.outcomes if one.verdict == "SKIPPED"]
    needed = [f"{one.name}: {one.message}" for one in skipped if one.required]
    passed = f"{report.count('PASS')} checks passed"
    if failed:
        verdict, reason = FAIL, f"{len(failed)} of {len(report.outcomes)} checks failed, first {failed[0]}"
    elif report.code:
        verdict, reason = INSUFFICIENT, f"{passed}, but {needed[0] if needed else 'none ran'}"
    else:
        more = f", {len(skipped)} could not run: {', '.join(one.name for one in skipped)}" if skipped else ""
        verdict, reason = PASS, passed + more
    checks = [{"name": one.name, "verdict": one.verdict} for one in report.outcomes]
    return Finding("smoke", verdict, reason, data={"checks": checks})


def of_suite(outcome: Outcome, *, is_own: bool = True) -> Finding:
    """Return what the project's own suite found; any other command may say what it likes and is no evidence."""
    found = outcome.evidence
    counts = ", ".join(f"{found[name] or 0} {name}" for name in ("passed", "failed", "skipped"))
    data = {name: found[name] for name in ("passed", "failed", "skipped", "commit", "dirty")}
    return Finding(
        "test", str(outcome.verdict), f"{outcome.verdict}: {counts} ({found['command']})", found["command"],
        {**data, "file": outcome.place},
        refused="" if is_own else f"{found['command']} is not the project's own suite",
        hint="leave -- CMD out, or write the command as test.command into .claude/config.yaml",
    )  # fmt: skip


def of_isolation(found: Proof, reasons: list[str], place: str) -> Finding:
    """Return what a proof of isolation found; `reasons` say why it is no PASS."""
    reach, claimed = found.count(REACHES), len(found.broken)
    of_these = f", {claimed} of them although they are claimed to be blocked" if reach else ""
    told = f"{found.backend}: {found.count(BLOCKED)} routes blocked, {reach} reach{of_these}"
    reason = f"{told}; {reasons[0]}" if reasons else told
    return Finding("isolation", found.verdict, reason, found.backend, {"separation": found.separation, "file": place})
