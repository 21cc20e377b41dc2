"""Make the candidate live: the gate is asked, production is switched whole, proves itself, or goes back.

Exit code: the gate's where it refuses; 5 for drift, for sessions that run, and for another promoter; 6 where a switch
was interrupted before; 1 when production failed its smoke tests and went back to the last healthy release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.cli.output import Problem, Result, ask, warn, working
from agent_studio.environment.flag_rollout import STAGES
from agent_studio.errors import ExitCode
from agent_studio.release import promote as promotion
from agent_studio.release.content import diff
from agent_studio.release.gate import WAIVED
from agent_studio.release.production.sides import open_sides, refuse_development
from agent_studio.release.production.target import IN_PLACE
from agent_studio.release.promote import Options
from agent_studio.release.signing import statement

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.promote import Plan, Promoted

_MARKS = {"PASS": "ok", WAIVED: "note", "FAIL": "bad"}
_HINTS = {"drift": "agent-studio promote --adopt, or --discard", "recovery": "agent-studio recover"}
_LISTED = 20
_LEFT = "not carried over, for a folder of definitions alone has no flags of its own"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `promote`."""
    parser.add_argument("--adopt", action="store_true", help="keep what drifted in production as a release of its own")
    parser.add_argument("--discard", action="store_true", help="overwrite what drifted; its bytes stay in the store")
    parser.add_argument(
        "--gradual", action="store_true", help="flags that go on are live for 10 %% of sessions at first"
    )
    parser.add_argument("--wait", action="store_true", help="wait until no session runs in production")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; kept in the history")
    parser.add_argument("--dry-run", action="store_true", help="make the candidate and show what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Promote the working checkout's candidate."""
    refuse_development(session.choice)
    sides = open_sides(session.project, session.variables, session.overrides)
    options = Options(args.adopt, args.discard, args.wait, args.dry_run, args.reason, args.gradual)

    def agree(plan: Plan) -> None:
        if not session.common.json:
            for line in _told(plan):
                warn(line)
        ask(f"make {plan.made.candidate[:12]} live in {sides.target.tree.definitions}?", yes=args.yes)

    with working("Promoting"):
        done = promotion.promote(sides, options, agree)
    code, problems = _outcome(done)
    _note(sides, done, code)
    return Result(_data(done), lambda screen: _render(screen, done, args.dry_run), code, problems)


def _outcome(done: Promoted) -> tuple[int, list[Problem]]:
    plan, problems = done.plan, [Problem("note", note) for note in done.notes]
    if plan.is_refused:
        wrong = [one for one in plan.gate.requirements if one.verdict not in {"PASS", WAIVED}]
        hints = _HINTS if plan.gathered.facts.drift else {**_HINTS, "drift": ""}
        told = [(one.name, f"{one.name}: {one.reason}") for one in wrong]
        return plan.gate.code, [Problem("gate", text, hints.get(name, "agent-studio gate")) for name, text in told]
    if done.settled and done.settled.proof.faults:
        back = done.settled.returned_to
        where = f"production is {back[:12]} again" if back else "there is no release to go back to"
        message = f"production failed its smoke tests, {where}: {done.settled.proof.faults[0]}"
        return ExitCode.FAILED, [*problems, Problem("smoke", message, "mend the definitions and promote again")]
    return ExitCode.DONE, problems


def _note(sides: Any, done: Promoted, code: int) -> None:
    if done.settled is not None:
        told = {"release": done.plan.release, "candidate": done.plan.made.candidate, "exitCode": int(code)}
        log.info(sides.staging, "release.promoted", **told)


def _data(done: Promoted) -> dict[str, Any]:
    plan, settled = done.plan, done.settled
    went_back = settled.returned_to if settled else ""
    return {
        "release": (went_back or plan.release) if settled else plan.previous or None,
        "previous": plan.previous or None,
        "candidate": plan.made.candidate,
        "wouldBe": plan.release,
        "separation": plan.gathered.facts.separation,
        "verdict": plan.gate.verdict,
        "requirements": [one._asdict() for one in plan.gate.requirements],
        "flags": dict(plan.gathered.carried.flags),
        "flagsDiff": _flags_diff(plan),
        "flagsLeft": dict(plan.gathered.carried.left),
        "gradual": plan.turned_on if plan.gradual else [],
        "drift": plan.drift,
        "changes": [one.path for one in plan.changes],
        "backup": done.backup or None,
        "wayBack": done.way_back or None,
        "returnedTo": went_back or None,
        "smoke": {"passed": settled.proof.passed, "failed": settled.proof.failed} if settled else None,
    }


def _flags_diff(plan: Plan) -> str:
    carried = plan.gathered.carried
    return diff.unified("config.production.yaml", plan.configured, carried.new) if carried.flags else ""


def _told(plan: Plan) -> list[str]:
    lines = [f"{len(plan.changes)} files change in production"]
    lines += [f"  {statement.change_word(one)} {one.path}" for one in plan.changes[:_LISTED]]
    if len(plan.changes) > _LISTED:
        lines.append(f"  and {len(plan.changes) - _LISTED} more")
    if told := _flags_diff(plan):
        lines += ["flags are carried over as staging's files have them:", *told.splitlines()]
    if left := plan.gathered.carried.left:
        lines.append(f"{_LEFT}: {', '.join(sorted(left))}")
    if plan.gradual and plan.turned_on:
        lines.append(f"live for {STAGES[0]} % of sessions at first: {', '.join(plan.turned_on)}")
    if plan.gathered.facts.policy.bootstrap:
        lines.append("this is the first release: policy and signers are the candidate's own")
    details = plan.gathered.waiving.details or {}
    if not all(rules["values"].get("roles") for rules in (details["policy"], details["then"]) if rules):
        lines.append(f"now, or once it is live, {statement.NO_ROLES}")
    if plan.gathered.facts.separation == IN_PLACE:
        lines.append(statement.SEPARATION[IN_PLACE])
    return lines


def _way_back(done: Promoted) -> str:
    if done.way_back:
        return f"agent-studio rollback --level 2 --reason TEXT, to {done.way_back[:12]}"
    return "none yet: nothing else was live and healthy here before"


def _render(screen: Screen, done: Promoted, dry_run: bool) -> None:  # noqa: FBT001 - inside one module
    plan = done.plan
    for one in plan.gate.requirements:
        screen.told(_MARKS.get(one.verdict, "none"), f"{one.name}: {one.reason}")
    if plan.is_refused:
        screen.line(f"\n{plan.gate.verdict}: {plan.made.candidate[:12]} was not promoted; production is as it was")
        return
    if dry_run:
        for line in _told(plan):
            screen.line(line)
        screen.line(f"\n{plan.made.candidate[:12]} was made; production is as it was (--dry-run)")
        return
    settled = done.settled
    if done.backup:
        screen.mark("ok", f"Production's data as it was before is backup {done.backup}")
    if settled is None:
        screen.mark("ok", f"{plan.release[:12]} is live already")
    elif settled.proof.faults:
        screen.mark("bad", f"{plan.release[:12]} failed {settled.proof.failed} smoke tests")
        if settled.returned_to:
            screen.mark("ok", f"Production is {settled.returned_to[:12]} again")
    else:
        screen.mark("ok", f"Release {plan.release} is live ({settled.proof.passed} smoke tests passed)")
        screen.line(f"  the way back: {_way_back(done)}")
        if plan.gradual and plan.turned_on:
            screen.mark("note", f"live for {STAGES[0]} % of sessions: {', '.join(plan.turned_on)}")
            screen.line("  what the limits say: agent-studio flags rollout --env production")
