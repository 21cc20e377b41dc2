"""Say whether the candidate may go live: every requirement with its verdict and its reason, and the policy in force.

Nothing is changed, but that the candidate is made when it was not yet. Exit code 0 when all pass or are waived; else
the first of 8 (something is damaged), 6 (a switch is interrupted), 5 (drift), 1 (something failed), 3 (evidence is
missing or stale) and 4 (a sign-off is missing or does not count).

With --from fleet the burn-in is first worked out from the records of all machines that ran this candidate, and kept as
evidence that says so.

  agent-studio gate --junit gate.xml --markdown gate.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli import files, records_from
from agent_studio.cli.burnin import fleet as fleet_burnin
from agent_studio.cli.output import Problem, Result
from agent_studio.cli.signoff import shared
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, UsageError
from agent_studio.release import facts, gate, gate_report, no_regression, policy
from agent_studio.release.burnin.report import told_source
from agent_studio.release.content import candidates, manifest
from agent_studio.release.gate import Gate, Requirement
from agent_studio.release.production.sides import refuse_development
from agent_studio.release.signing import statement
from agent_studio.release.signing.signoff import WAIVES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.facts import Gathered
    from agent_studio.release.policy import Policy
    from agent_studio.release.production.sides import Sides

_MARKS = {"PASS": "ok", gate.WAIVED: "note", "FAIL": "bad"}
_REFUSED = "the gate refuses: {} of {} requirements hold"
_SAID = {
    "PASS": "it may go live: agent-studio promote",
    "FAIL": "it may not go live",
    "INSUFFICIENT": "it may not go live yet",
}
_REPORT = "agent-studio burnin report"
_NEXT = {
    "recovery": "agent-studio recover",
    gate.PRODUCTION: "ask the gate where production is",
    "drift": "agent-studio promote --adopt, or --discard",
    "issues": "settle them in staging's memory/issues.md; agent-studio alerts ack ID --env staging",
    "signers": "mend .claude/allowed_signers, or release.policy.roles",
    "smoke": "agent-studio smoke --env staging",
    "test": "agent-studio test --env staging",
    "isolation": "agent-studio doctor isolation --env staging",
    **dict.fromkeys(("performance", "errors", "comparison", "burnin"), _REPORT),
    "plan": "agent-studio checklist promotion --plan FILE",
    no_regression.KIND: no_regression.COMMAND,
}
"""What gathers or mends a requirement."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `gate`."""
    shared.add_candidate(parser)
    records_from.configure(parser)
    parser.add_argument("--junit", metavar="FILE", help="also write it as JUnit XML, one test case a requirement")
    parser.add_argument("--markdown", metavar="FILE", help="also write it as a table for a pull request")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Ask the gate about a candidate."""
    refuse_development(session.choice)
    for place, kind in ((args.junit, files.JUNIT), (args.markdown, files.GATE)):
        if place is not None:
            shared.refuse_file(place, kind, session)
    try:
        sides, candidate = shared.chosen(session, args.candidate, looking=True)
    except UsageError:
        raise
    except AgentStudioError as error:
        _write(args, session, _stopped(error))
        raise
    source: Mapping[str, Any] = {"from": records_from.JOURNALS}
    try:
        if records_from.is_fleet(args):
            source = fleet_burnin.kept(sides, candidate, session.variables)
        gathered = facts.gather(sides, candidate)
        asked = gate.decide(gathered.facts)
    except IntegrityError as error:
        gathered = None
        asked = Gate([Requirement("integrity", "FAIL", error.message)], ExitCode.INTEGRITY)
    except AgentStudioError as error:
        _write(args, session, {**_stopped(error), "candidate": candidate})
        raise
    data = {"source": dict(source), **_data(sides, candidate, asked, gathered)}
    _write(args, session, data)
    held = sum(one.verdict in {"PASS", gate.WAIVED} for one in asked.requirements)
    refused = _REFUSED.format(held, len(asked.requirements))
    can_settle = gathered is None or bool(gathered.facts.drift)
    problems = [Problem("gate", refused, _next(asked, can_settle=can_settle))] if asked.code else []
    return Result(data, lambda screen: _render(screen, data), asked.code, problems)


def _write(args: argparse.Namespace, session: Session, data: dict[str, Any]) -> None:
    for place, written in ((args.junit, gate_report.junit), (args.markdown, gate_report.markdown)):
        if place is not None:
            shared.write_file(place, written(data), session)


def _stopped(error: AgentStudioError) -> dict[str, Any]:
    """Return what reports say where the gate could not be asked."""
    one = Requirement(error.code, "INSUFFICIENT", error.message)
    return {
        "candidate": "", "verdict": one.verdict, "requirements": [one._asdict()], "inForce": (), "then": ()
    }  # fmt: skip


def _next(asked: Gate, *, can_settle: bool) -> str:
    """Return the command that gathers or mends the first requirement that does not hold."""
    name = next(one.name for one in asked.requirements if one.verdict not in {"PASS", gate.WAIVED})
    kind, _, which = name.partition(".")
    if name.startswith(gate.SIGNED):
        return f"next: agent-studio signoff request --role {name.removeprefix(gate.SIGNED)} --out FILE"
    if kind == "checklist":
        return f"next: agent-studio checklist {which}"
    return (
        f"next: {_NEXT[name]}" if name in _NEXT and (can_settle or name != "drift") else "the reason says what is wrong"
    )


def _data(sides: Sides, candidate: str, asked: Gate, gathered: Gathered | None) -> dict[str, Any]:
    made = candidates.of(sides.project, candidate)
    rules = gathered.facts.policy if gathered is not None else None
    separation = sides.target.separation
    return {
        "candidate": candidate, "commit": made.commit, "author": made.author, "separation": separation,
        "verdict": asked.verdict, "requirements": [one._asdict() for one in asked.requirements],
        "policy": None if rules is None else _rules(rules),
        "waivers": [] if gathered is None else _waivers(gathered),
        "inForce": list(_in_force(rules, separation)),
        "then": [] if gathered is None else _then(sides, gathered),
    }  # fmt: skip


def _rules(rules: Policy) -> dict[str, Any]:
    return {
        "sha256": rules.sha256, "of": rules.of, "bootstrap": rules.bootstrap, **dict(rules.values),
        "signers": [{"who": who, "roles": roles} for who, roles in statement.may_sign(rules.signers)],
    }  # fmt: skip


def _waivers(gathered: Gathered) -> list[dict[str, Any]]:
    return [
        {
            "requirement": one.statement[WAIVES], "why": one.statement["why"], "who": one.who, "role": one.role,
            "expires": one.statement["expires"],
        }
        for one, fault in gate.judged(gathered.facts)
        if WAIVES in one.statement and not fault
    ]  # fmt: skip


def _in_force(rules: Policy | None, separation: str) -> Iterator[str]:
    """Say by which rules was decided, and what the form of production can promise."""
    if rules is not None:
        values = rules.values
        yield f"policy {rules.sha256[:12]} of {statement.origin(rules.of[:12], bootstrap=rules.bootstrap)}"
        yield (
            f"burn-in: {values['burnin.hours']:g} observed hours, gaps of at most {values['burnin.maxGapMinutes']:g} "
            f"minutes; evidence counts for {rules.evidence_days:g} days; "
            f"sign-offs: {', '.join(values['roles']) or 'none'}"
        )
        if (asked := no_regression.rules(values)).required:
            yield asked.told()
        if not values["roles"]:
            yield statement.NO_ROLES
        elif "uat" not in values["roles"]:
            yield "the policy asks for no acceptance by a stakeholder (uat)"
        if values.get("onePerson"):
            yield "one-person mode: one person may sign in several roles, and what they made themselves"
    yield statement.SEPARATION[separation]


def _then(sides: Sides, gathered: Gathered) -> list[str]:
    """Say what becomes of the policy once the candidate is live, where it does."""
    current = gathered.past.current
    if current and manifest.name_of(manifest.render(gathered.release)) == current.release:
        return [f"it is live already, since {current.time}: what a promotion has used counts for no other"]
    if not (gathered.waiving.details or {})["then"]:
        return []
    then = ["once it is live, another policy holds: agent-studio signoff request shows it"]
    if not policy.own(sides.project, gathered.facts.candidate).values.get("roles"):
        then.append(f"once it is live, {statement.NO_ROLES}")
    return then


def _render(screen: Screen, data: dict[str, Any]) -> None:
    at = f" (commit {data['commit'][:12]})" if data["commit"] else ""
    by = f", by {data['author'] or 'nobody knows whom'}"
    screen.line(f"Candidate {data['candidate']}{at}{by}")
    if data["source"]["from"] == records_from.FLEET:
        screen.line(f"  the burn-in is {told_source(data['source'])}")
    for line in (*data["inForce"], *data["then"]):
        for part in screen.folded(line):
            screen.line(f"  {part}")
    screen.line()
    for one in data["requirements"]:
        screen.told(_MARKS.get(one["verdict"], "none"), f"{one['name']}: {one['reason']}")
    screen.line(f"\n{data['verdict']}: {_SAID[data['verdict']]}")
