"""`doctor isolation`: prove that what `run` protects cannot be reached, and keep the proof as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import evidence
from agent_studio.cli.output import Problem, Result, working
from agent_studio.environment.findings import Severity
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.isolation import choice, claims, probe, proof
from agent_studio.isolation.backends import ADVISORY, INSIDE
from agent_studio.release import checked

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.isolation.probe import Route
    from agent_studio.isolation.proof import Proof

_CODES = {claims.PASS: ExitCode.DONE, claims.FAIL: ExitCode.FAILED, claims.INSUFFICIENT: ExitCode.INSUFFICIENT}
_MARKS = {claims.PASS: "ok", claims.FAIL: "bad", claims.INSUFFICIENT: "none"}
_SHOWN = 3


def run(args: argparse.Namespace, session: Session) -> Result:
    """Try every route from inside a run; exit code 0 PASS, 1 FAIL, 3 INSUFFICIENT, 7 when required and not there."""
    if session.variables.get(INSIDE, ADVISORY) != ADVISORY:
        raise UsageError("this is inside of a run: it cannot be judged from here", hint="leave the run first")
    context = session.context
    watch = checked.Watch(context)
    try:
        found = _proven(args, context, session)
    except AgentStudioError as error:
        _keep(watch, args, checked.Finding("isolation", _verdict(error), error.message))
        raise
    place = proof.keep(context, found, candidate=watch.candidate)
    kept = _keep(watch, args, checked.of_isolation(found, _reasons(found), place))
    data = {
        "verdict": found.verdict,
        "isolation": found.backend,
        "separation": found.separation,
        "refused": [{"backend": backend, "reason": reason} for backend, reason in found.refused],
        "routes": [proof.as_data(found, route) for route in found.routes],
        "gaps": list(found.gaps),
        "findings": [_finding(route) for route in found.broken],
        "durationMs": found.duration_ms,
        "file": place,
        "evidence": evidence.data(kept),
    }
    problems = [Problem("not-available", f"isolation by {backend} is not available: {reason}")
                for backend, reason in found.refused]  # fmt: skip
    problems += evidence.problems(kept)
    return Result(data, lambda screen: _render(screen, found, place, kept), _CODES[found.verdict], problems)


def _proven(args: argparse.Namespace, context: Context, session: Session) -> Proof:
    wanted = proof.boundary(context, session.variables)
    required = args.require_isolation or bool(context.config["isolation.require"])
    name = args.backend or str(context.config["isolation.backend"])
    chosen = choice.choose(wanted, name, required=required)
    if chosen.backend is not None:
        choice.check_links(wanted)
    with working("trying to reach what is protected"):
        return proof.prove(context, wanted, chosen, session.variables)


def _verdict(error: AgentStudioError) -> str:
    """Return what it shows that nothing could be tried: a file that is shared needs no trying."""
    return claims.FAIL if isinstance(error, choice.SharedFilesError) else claims.INSUFFICIENT


def _keep(watch: checked.Watch, args: argparse.Namespace, finding: checked.Finding) -> checked.Kept | None:
    """Keep a finding as evidence, unless it is of another backend than the configuration's."""
    if args.backend is None or not watch.counts:
        return watch.keep(finding)
    fault = "no evidence was kept: the backend was chosen by --backend, not by the configuration"
    return checked.Kept("isolation", finding.verdict, "", is_new=False, fault=fault, hint="leave --backend out")


def _finding(route: Route) -> dict[str, str]:
    return {
        "code": "isolation-reached",
        "severity": str(Severity.ERROR),
        "message": f"{route.name} reaches {route.target}: {route.detail}",
        "fix": "agent-studio run --isolation NAME with another backend, and report this",
    }


def _render(screen: Screen, found: Proof, place: str, kept: checked.Kept | None) -> None:
    names = list(dict.fromkeys(route.name for route in found.routes))
    rows = [_row(name, found) for name in names]
    screen.table(("route", "result", "where and how"), rows)
    for gap in found.gaps:
        screen.mark("note", f"not kept by {found.backend}: {gap}")
    counts = ", ".join(
        f"{found.count(verdict)} {verdict}"
        for verdict in (probe.BLOCKED, probe.REACHES, probe.IMPOSSIBLE, probe.NOT_TRIED)
    )
    screen.mark(_MARKS[found.verdict], f"{found.verdict}: isolation {found.backend}; {counts}")
    for reason in _reasons(found):
        screen.line(f"  {reason}")
    screen.line(f"  proof: {place}")
    evidence.show(screen, kept, indent="  ")


def _row(name: str, found: Proof) -> tuple[str, str, str]:
    routes = [route for route in found.routes if route.name == name]
    worst = next(
        verdict
        for verdict in (probe.REACHES, probe.NOT_TRIED, probe.BLOCKED, probe.IMPOSSIBLE)
        if any(route.verdict == verdict for route in routes)
    )
    shown = [route for route in routes if route.verdict == worst]
    if worst != probe.REACHES:
        return name, worst, shown[0].detail
    where = ", ".join(route.target for route in shown[:_SHOWN])
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    unclaimed = "" if claims.broken(found.backend, shown) else " (not claimed)"
    return name, f"{worst}{unclaimed}", f"{where}{more}: {shown[0].detail}"


def _reasons(found: Proof) -> list[str]:
    reasons = [f"{route.name} reaches {route.target}: {route.detail}" for route in found.broken]
    if found.backend == ADVISORY:
        reasons.append("advisory isolation keeps nothing apart: install bubblewrap, or use Linux 6.2 or newer")
    elif found.separation == "none":
        reasons.append("another environment has its data in the same folders: nothing separates the two")
    elif found.count(probe.NOT_TRIED):
        reasons.append("not every route was tried")
    return reasons
