"""Go through the checklists of a release: before deployment to staging, at it, after it, and before production.

Each item is decided by evidence, by what is there, or by a signed attestation; the worst item is the verdict, which is
kept as evidence on the candidate. Exit code: 0 all hold, 1 one fails, 3 something is missing, 4 an attestation that
does not count.

  agent-studio checklist pre
  agent-studio checklist pre --attest security-review --key ~/.ssh/id_ed25519 --role security --reason "read the diff"
  agent-studio checklist promotion --plan plan.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli import files
from agent_studio.cli.output import Problem, Result, working
from agent_studio.cli.signoff import shared
from agent_studio.errors import AgentStudioError, ExitCode, IntegrityError, UsageError, did_you_mean
from agent_studio.release import checked, policy
from agent_studio.release.checklists import attestations, deciding
from agent_studio.release.checklists.items import ACKNOWLEDGING, CHECKLISTS, POST, PROMOTION, How, attested, grave_error
from agent_studio.release.checklists.scene import Scene
from agent_studio.release.content import candidates
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.production.sides import open_sides, refuse_development

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.release.checklists.deciding import Checklist, Decided
    from agent_studio.release.production.sides import Sides

_CODES = {PASS: ExitCode.DONE, FAIL: ExitCode.FAILED, INSUFFICIENT: ExitCode.INSUFFICIENT}
_MARKS = {PASS: "ok", FAIL: "bad", INSUFFICIENT: "none"}
_HELP = {
    "pre": "before deployment to staging: tests, performance, issues, security review, documentation",
    "deploy": "of the deployment to staging: environment, init, configuration, smoke, full suite",
    "post": "after it: features, dashboard, error log, manual procedures, sign-offs",
    "promotion": "before production: burn-in, critical issues, acceptance, rollback plan, deployment checklist",
}
_LISTED = 20
_WIDTH = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="subverb", metavar="CHECKLIST", required=True)
    for name in CHECKLISTS:
        verb = verbs.add_parser(name, help=_HELP[name], description=f"The checklist {_HELP[name]}.")
        if items := attested(name):
            verb.add_argument("--attest", metavar="ITEM", help=f"sign that an item holds: {', '.join(items)}")
            verb.add_argument("--key", metavar="FILE", help="the private SSH key to sign with")
            verb.add_argument("--role", metavar="ROLE", help="as what: qa, security or uat")
            verb.add_argument("--out", metavar="FILE", help="also write what was signed there, to be handed over")
        if name == POST:
            verb.add_argument(
                "--acknowledge", metavar="ID", help="say that a kind of error was looked at; signed where it is grave"
            )
        if items or name == POST:
            verb.add_argument("--reason", metavar="TEXT", help="what was found; kept with it")
        if name == PROMOTION:
            verb.add_argument("--plan", metavar="FILE", help="write the plan of deployment and rollback, as evidence")
        verb.add_argument("--markdown", metavar="FILE", help="also write the checklist as Markdown")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Decide one checklist and keep its verdict."""
    refuse_development(session.choice)
    asked = _asked(args)
    sides = open_sides(session.project, session.variables, session.overrides, looking=True)
    for name, kind in ((getattr(args, "plan", None), files.PLAN), (args.markdown, files.CHECKLIST)):
        if name is not None:
            files.refuse(name, kind, _definitions(sides))
    with working("Checking"):
        made = candidates.create(sides.project)
        scene = Scene(sides, made, draw)
        done: dict[str, Any] = {"attested": None, "acknowledged": None, "plan": None}
        if asked == "attest":
            done["attested"] = _attest(args, session, scene)
        if asked == "acknowledge":
            done["acknowledged"] = _acknowledge(args, session, scene)
        if getattr(args, "plan", None) is not None:
            done["plan"] = _plan(args.plan, scene)
        scene = Scene(sides, made, draw)  # what was done just now is seen as well
        found = deciding.decide(args.subverb, scene)
        recorded, problems = _record(found, scene)
        kept = not problems
    if args.markdown is not None:
        from agent_studio.release.checklists import markdown  # noqa: PLC0415 - only for an export

        _write(args.markdown, markdown.markdown(found), scene)
    problems += [Problem("evidence", fault, "gather it again", is_note=True) for fault in scene.found.faults]
    data = {**_data(found), "recorded": recorded, **done, "markdown": args.markdown}
    code = _CODES[found.verdict] if kept or found.verdict != PASS else ExitCode.INSUFFICIENT
    return Result(data, lambda screen: _render(screen, found, data), code, problems)


def draw(context: Context) -> Mapping[str, Any]:
    """Draw the dashboard of the last day, for nobody, and return what it shows."""
    import io  # noqa: PLC0415 - only where the dashboard is checked

    from rich.console import Console  # noqa: PLC0415 - the same

    from agent_studio.dashboard import terminal, view  # noqa: PLC0415 - the same

    data = view.overview(context, view.last(24))
    Console(file=io.StringIO(), width=_WIDTH).print(terminal.overview(data, terminal.Look(_WIDTH)))
    return data


def _asked(args: argparse.Namespace) -> str:
    """Return what is to be done besides, `attest`, `acknowledge` or nothing; refuse options that do not go together."""
    given = [name for name in ("attest", "acknowledge") if getattr(args, name, None) is not None]
    if len(given) > 1:
        raise UsageError("--attest and --acknowledge each have a reason of their own", hint="do one after the other")
    for name in ("key", "role", "out"):
        if getattr(args, name, None) is not None and (not given or (given == ["acknowledge"] and args.key is None)):
            raise UsageError(
                f"--{name} is for what is signed", hint="name the item and the key: --attest ITEM --key FILE"
            )
    if getattr(args, "reason", None) is not None and not given:
        raise UsageError("--reason is for --attest or --acknowledge", hint="say what it is the reason of")
    if given and not (args.reason or "").strip():
        raise UsageError(f"--{given[0]} needs a reason", hint='--reason "what was found"')
    return given[0] if given else ""


def _attest(args: argparse.Namespace, session: Session, scene: Scene) -> dict[str, Any]:
    items = attested(args.subverb)
    if args.attest not in items:
        raise UsageError(f"{args.attest!r} is no item to attest to", hint=did_you_mean(args.attest, items))
    return _signed(args, session, scene, args.attest, items[args.attest].roles)


def _signed(
    args: argparse.Namespace, session: Session, scene: Scene, item: str, roles: Sequence[str]
) -> dict[str, Any]:
    role = args.role or (roles[0] if len(roles) == 1 else None)
    if role is None or args.key is None:
        raise UsageError("an attestation is signed with a key, in a role", hint=f"--key FILE --role {roles[0]}")
    key = shared.key_of(args.key)
    project, candidate = scene.sides.project, scene.made.candidate
    rules = policy.in_force(project, candidate)
    subject = attestations.Subject(candidate, args.subverb, item)
    stated = attestations.statement(subject, role, shared.one_line(args.reason, "--reason"))
    made = attestations.attest(project, stated, key, rules, roles)
    if args.out:
        shared.write_file(args.out, attestations.data_of(project, made), session)
    return {"item": item, "role": role, "who": made.who, "expires": stated["expires"], "file": made.file,
            "out": args.out}  # fmt: skip


def _acknowledge(args: argparse.Namespace, session: Session, scene: Scene) -> dict[str, Any]:
    from agent_studio.environment.flag_journal import default_who  # noqa: PLC0415 - only who acknowledges is asked
    from agent_studio.release.checklists import reviewed  # noqa: PLC0415 - the same

    if args.key is not None:
        one = reviewed.find(scene.staging, args.acknowledge)
        if one.severity not in reviewed.GRAVE:
            raise UsageError(f"{one.id} is {one.severity}: no signature is needed", hint="leave --key and --role out")
        signed = _signed(args, session, scene, grave_error(one.id, one.severity), ACKNOWLEDGING)
        return {"id": one.id, "who": f"{signed['who']} as {signed['role']}", "why": args.reason, "out": args.out}
    who = default_who(session.project)
    group = reviewed.acknowledge(scene.staging, args.acknowledge, who=who, why=shared.one_line(args.reason, "--reason"))
    return {"id": group.id, "who": group.who, "why": group.why, "out": None}


def _plan(file: str, scene: Scene) -> dict[str, Any]:
    from agent_studio.release.checklists import plan, plan_text  # noqa: PLC0415 - only for a plan

    checked.refuse_outside(scene.staging)
    scene.sides.refuse_absent()
    made = plan_text.compose(scene.sides, scene.made, scene.gathered)
    place = _write(file, made.text, scene)
    base = scene.sides.project.path
    shown = place.relative_to(base).as_posix() if place.is_relative_to(base) else str(place)
    kept = plan.record(scene.sides, made, shown)
    return {"file": shown, "sha256": made.sha256, "current": made.current or None, "target": made.target,
            "recorded": kept}  # fmt: skip


def _write(file: str, text: str, scene: Scene) -> Path:
    return files.write(file, text.encode(), _definitions(scene.sides))


def _definitions(sides: Sides) -> tuple[Path, ...]:
    return sides.project.definitions, sides.target.tree.definitions


def _record(found: Checklist, scene: Scene) -> tuple[bool, list[Problem]]:
    try:
        return deciding.record(found, scene), []
    except IntegrityError:
        raise
    except AgentStudioError as error:
        return False, [Problem(error.code, f"not recorded: {error.message}", error.hint)]


def _data(found: Checklist) -> dict[str, Any]:
    return {
        "checklist": found.name, "candidate": found.candidate, "verdict": found.verdict, "reason": found.reason,
        "items": [
            {"id": one.item.id, "title": one.item.title, "how": str(one.item.how), "verdict": one.verdict or None,
             "reason": one.reason, "source": one.source or None, "counts": one.counts, "details": list(one.details),
             "roles": list(one.item.roles), "next": one.item.mends}
            for one in found.items
        ],
    }  # fmt: skip


def _render(screen: Screen, found: Checklist, data: dict[str, Any]) -> None:
    screen.line(f"Checklist {found.name} of candidate {found.candidate[:12]}\n")
    for one in found.items:
        _render_item(screen, one)
    if made := data["attested"]:
        screen.line(f"\nattested: {made['item']} by {made['who']} as {made['role']}, until {made['expires'][:10]}")
        _render_out(screen, made["out"])
    if made := data["acknowledged"]:
        screen.line(f"\nacknowledged: {made['id']} by {made['who']}: {made['why']}")
        _render_out(screen, made["out"])
    if made := data["plan"]:
        word = "recorded" if made["recorded"] else "on record already"
        screen.line(f"\nplan: {made['file']}, sha256 {made['sha256'][:12]}, {word}")
    if data["markdown"]:
        screen.line(f"\nwritten: {data['markdown']}")
    screen.line(f"\n{found.verdict}: {found.reason}")
    kept = "recorded" if data["recorded"] else "not recorded anew"
    screen.line(f"evidence on {found.candidate[:12]}: checklist.{found.name} {found.verdict}, {kept}")


def _render_out(screen: Screen, file: str | None) -> None:
    if file:
        screen.line(f"  written to {file}; who has staging takes it in: agent-studio signoff verify {file}")


def _render_item(screen: Screen, one: Decided) -> None:
    mark = _MARKS.get(one.verdict, "note") if one.counts or one.verdict == PASS else "note"
    aside = " (decided by the gate)" if one.item.how is How.GATE else ""
    screen.mark(mark, f"{one.item.title}{aside}")
    screen.line(f"    {one.reason}")
    if one.verdict == PASS and not one.item.is_told:
        return
    for detail in one.details[:_LISTED]:
        screen.line(f"      {detail}")
    if len(one.details) > _LISTED:
        screen.line(f"      and {len(one.details) - _LISTED} more: --json")
    if one.counts and one.verdict != PASS:
        screen.line(f"    next: {one.item.mends}")
