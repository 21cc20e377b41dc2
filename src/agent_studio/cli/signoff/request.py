"""`signoff request`: what is to be signed, in words, and as a file for who signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.cli.signoff import shared
from agent_studio.errors import UsageError
from agent_studio.release import facts, gate, safety
from agent_studio.release.signing import signoff, statement

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.facts import Gathered
    from agent_studio.release.policy import Policy


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--role", metavar="ROLE", help="qa, security or uat: one file a role")
    parser.add_argument("--out", metavar="FILE", help="write the statement there, to be signed by somebody else")
    parser.add_argument("--diff", action="store_true", help="also show every line that changes in production")
    shared.add_candidate(parser)
    shared.add_days(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Say what is to be signed; it is signed by nobody yet."""
    days = shared.days(args)
    if args.out is not None:
        shared.refuse_file(args.out, signoff.unsigned({}), session)
    sides, candidate = shared.chosen(session, args.candidate)
    gathered = facts.gather(sides, candidate)
    policy = gathered.facts.policy
    role = _role(args.role, policy)
    shared.refuse_nobody(policy, role)
    stated = signoff.statement(gathered.subject, role, days=days, ledger=safety.ledger_head(sides))
    if args.out is not None:
        shared.write_file(args.out, signoff.unsigned(stated), session)
    changed = shared.differences(sides, gathered) if args.diff else []
    open_ = [
        one.name
        for one in gate.decide(gathered.facts).requirements
        if one.verdict not in {"PASS", gate.WAIVED} and not one.name.startswith(gate.SIGNED)
    ]

    def render(screen: Screen) -> None:
        shared.show(screen, stated, changed)
        if args.out is not None:
            screen.line()
            screen.mark("ok", f"Written to {args.out}, not signed yet")
            screen.line(f"  next, by who signs: agent-studio signoff sign {args.out} --key KEY")

    data = {
        "candidate": candidate, "role": role, "statement": stated, "words": statement.words(stated),
        "file": args.out, "open": open_,
    }  # fmt: skip
    return Result(data, render, problems=_notes(gathered, role, open_))


def _role(role: str | None, policy: Policy) -> str:
    roles = [str(one) for one in policy.values.get("roles") or ()]
    if role in roles:
        return role
    listed = ", ".join(roles) or "none"
    if role is None:
        raise UsageError(
            "name the role that is to sign, one file a role", hint=f"--role; the policy asks for: {listed}"
        )
    raise UsageError(f"the policy in force asks for no sign-off as {role!r}", hint=f"it asks for: {listed}")


def _notes(gathered: Gathered, role: str, open_: list[str]) -> list[Problem]:
    notes, policy = [], gathered.facts.policy
    if not gathered.facts.authors and not policy.values.get("onePerson"):
        text = "nobody knows who made the candidate: see that whoever signs did not"
        notes.append(Problem("author", text, "git config user.email, and a commit, say who", is_note=True))
    if not any(role in roles for _, roles in statement.may_sign(policy.signers)):
        notes.append(Problem("nobody", f"nobody in allowed_signers may sign as {role}", is_note=True))
    if open_:
        text = f"still open: {', '.join(open_)}; evidence that comes later voids what was signed before"
        notes.append(Problem("early", text, "agent-studio gate", is_note=True))
    return notes
