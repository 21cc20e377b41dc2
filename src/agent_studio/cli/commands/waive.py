"""Waive one requirement of one candidate, signed and with a reason that is kept for ever.

A waiver is a statement like a sign-off's, signed in the role qa or security, never by the candidate's author. It names
the requirement and why it need not pass; who signs off afterwards is told, and the release shows it. Broken integrity,
an interrupted switch, drift, grave issues that are open and missing sign-offs cannot be waived.

  agent-studio waive comparison --reason "first release: nothing to compare with" --role qa --key ~/.ssh/id_ed25519
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, ask
from agent_studio.cli.signoff import shared, verify
from agent_studio.errors import ExitCode, UsageError, did_you_mean
from agent_studio.release import facts, gate
from agent_studio.release.production.sides import refuse_development
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.roots import Project
    from agent_studio.release.facts import Gathered
    from agent_studio.release.signing.signoff import Checked

_DRY = ("", "nothing was waived (--dry-run)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `waive`."""
    parser.add_argument("item", metavar="ITEM", nargs="?", help="the requirement, as gate names it")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why it need not pass; kept for ever")
    parser.add_argument("--role", metavar="ROLE", help=" or ".join(gate.WAIVING_ROLES))
    parser.add_argument("--key", metavar="KEY", help="your private key, or a public one an agent holds")
    parser.add_argument("--out", metavar="FILE", help="write it there; without --key for somebody else to sign")
    parser.add_argument("--list", action="store_true", help="list the waivers of the candidate")
    parser.add_argument("--dry-run", action="store_true", help="show what would be signed, sign nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    shared.add_candidate(parser)
    shared.add_days(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Waive a requirement, have it waived by somebody else, or list what is waived."""
    refuse_development(session.choice)
    if not args.list:
        _refuse(args)
    days = shared.days(args)
    sides, candidate = shared.chosen(session, args.candidate, looking=args.list)
    gathered = facts.gather(sides, candidate)
    if args.list:
        return _list(session.project, gathered)
    verdicts = {one.name: one.verdict for one in gate.decide(gathered.facts).requirements}
    if args.item not in verdicts:
        raise UsageError(f"the policy in force does not ask for {args.item}", hint="agent-studio gate")
    if verdicts[args.item] in {"PASS", gate.WAIVED}:
        raise UsageError(f"{args.item} is {verdicts[args.item]}: there is nothing to waive", hint="agent-studio gate")
    shared.refuse_nobody(gathered.facts.policy, args.role)
    why = shared.one_line(args.reason, "--reason")
    told = {signoff.WAIVES: args.item, "why": why}
    stated = signoff.statement(gathered.waives(args.item), args.role, days=days, **told)
    if args.dry_run:
        return Result(_data(stated, None, ""), lambda screen: shared.show(screen, stated, _DRY), problems=_early(args))
    if args.key is None:
        shared.write_file(args.out, signoff.unsigned(stated), session)
        return Result(_data(stated, args.out, ""), lambda screen: _asked(screen, args.out), problems=_early(args))
    return _signed(args, session, gathered, stated)


def _refuse(args: argparse.Namespace) -> None:
    """Raise `UsageError` for what can be no waiver, whatever is known of the candidate."""
    if args.item is None:
        raise UsageError("name the requirement to waive", hint=f"one of: {', '.join(gate.REQUIRED)}")
    if refused := gate.unwaivable(args.item):
        known = args.item in gate.STATE or args.item.startswith(gate.SIGNED)
        raise UsageError(refused, hint="agent-studio gate" if known else did_you_mean(args.item, gate.REQUIRED))
    if args.role not in gate.WAIVING_ROLES:
        said = "no --role was given" if args.role is None else f"{args.role!r} may not waive"
        raise UsageError(said, hint=f"--role {' or '.join(gate.WAIVING_ROLES)}")
    if args.key is None and args.out is None:
        raise UsageError("neither --key nor --out was given", hint="--key KEY signs it, --out FILE lets another sign")
    shared.one_line(args.reason, "--reason")


def _signed(args: argparse.Namespace, session: Session, gathered: Gathered, stated: dict[str, Any]) -> Result:
    if not session.common.json:
        shared.tell(stated)
    if args.out is not None:
        shared.refuse_file(args.out, signoff.unsigned(stated), session)
    ask(f"waive {args.item} in the role {args.role}?", yes=args.yes)
    data = shared.sign(stated, args.key)
    one, reason = facts.worth(session.project, gathered, data, args.out or "the waiver")
    if reason:
        problem = Problem("not-signed", f"it would not count: {reason}", "have somebody else waive it: --out FILE")
        return Result(
            _data(stated, None, ""), lambda screen: screen.mark("bad", "Nothing was waived"), ExitCode.NOT_SIGNED,
            [problem],
        )  # fmt: skip
    kept = signoff.keep(session.project, data, "the waiver")
    if args.out is not None:
        shared.write_file(args.out, data, session)

    def render(screen: Screen) -> None:
        screen.mark(
            "ok", f"{args.item} is waived by {one.who} as {one.role}, until {stated['expires']}: {stated['why']}"
        )
        screen.line("  sign-offs given before do not count any more: who signs has to know of it")

    return Result(_data(stated, args.out, kept), render, problems=_early(args))


def _early(args: argparse.Namespace) -> list[Problem]:
    text = f"evidence about {args.item} that comes later voids the waiver; other evidence does not"
    return [Problem("early", text, "waive when no other is to come", is_note=True)]


def _asked(screen: Screen, file: str) -> None:
    screen.mark("ok", f"Written to {file}, not signed yet")
    screen.line(f"  next, by who waives it: agent-studio signoff sign {file} --key KEY")


def _data(stated: dict[str, Any], file: str | None, kept: str) -> dict[str, Any]:
    named = {name: stated[name] for name in ("candidate", "waives", "why", "role", "issued", "expires", "nonce")}
    return {**named, "file": file, "kept": kept or None}


def _list(project: Project, gathered: Gathered) -> Result:
    files, policy = signoff.kept(project, gathered.facts.candidate), gathered.facts.policy

    def who(one: Checked) -> str:
        """Return who signed, also where it does not count: `Checked` says it only where it does."""
        stated, signature = signoff.read(files[one.file], one.file)
        return one.who or signoff.worth(stated, signature, one.file, policy, "").who or "nobody who may sign"

    judged = [pair for pair in gate.judged(gathered.facts) if signoff.WAIVES in pair[0].statement]

    def render(screen: Screen) -> None:
        if not judged:
            screen.line("Nothing is waived")
        for one, reason in judged:
            worth = f"does not count: {reason}" if reason else f"until {one.statement['expires']}"
            said = f"{one.statement[signoff.WAIVES]} by {who(one)} as {one.role}: {one.statement.get('why')}"
            screen.mark("bad" if reason else "note", f"{said}; {worth}")

    rows = [verify.row(one._replace(who=who(one)), reason) for one, reason in judged]
    return Result({"candidate": gathered.facts.candidate, "waivers": rows}, render)
