"""`signoff verify`: what a file that somebody handed over is worth now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, harmless
from agent_studio.cli.signoff import shared
from agent_studio.errors import ExitCode, UsageError
from agent_studio.release import facts, policy
from agent_studio.release.checklists import attestations
from agent_studio.release.content import candidates
from agent_studio.release.signing import signoff, statement, withdrawals

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.signing.signoff import Checked
    from agent_studio.release.signing.withdrawals import Withdrawal

_NOT_HERE = "nothing is known here of candidate {} and its evidence"
_ELSEWHERE = "hand the file back to who asked: agent-studio signoff verify FILE tells it there"
_HINT = "have it requested anew: agent-studio signoff request --role ROLE --out FILE"
_WAIVE_HINT = "have it written anew: agent-studio waive ITEM --role ROLE --reason TEXT --out FILE"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="a signed sign-off, waiver, attestation or withdrawal")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Say what a file is worth, and keep it when it counts; a withdrawal is kept, too."""
    data = shared.read_file(args.file)
    withdrawal = withdrawals.read(data)
    if withdrawal is not None:
        return _withdrawal(session, withdrawal)
    subject = attestations.about(data, args.file)
    if subject is not None:
        return _attestation(session, subject, data, args.file)
    stated, _ = signoff.read(data, args.file)
    here = shared.known(session, stated)
    if here is None:
        reason = _NOT_HERE.format(str(stated.get("candidate"))[:12])
        return _told(signoff.Checked(str(stated.get("role")), "", reason, stated), reason, "", is_known=False)
    one, reason = facts.worth(session.project, here[1], data, args.file)
    kept = "" if reason else signoff.keep(session.project, data, args.file)
    return _told(one, reason, kept)


def _attestation(session: Session, about: attestations.Subject, data: bytes, shown: str) -> Result:
    project = session.project
    if about.candidate not in candidates.made(project):
        raise UsageError(
            f"nothing is known here of candidate {about.candidate[:12]}", hint="hand it in where the candidate was made"
        )
    one = attestations.take(project, data, shown, policy.in_force(project, about.candidate))
    stated, kept = one.statement, f"{attestations.FOLDER}/{about.candidate}/{one.file}"
    told = {"item": about.item, "checklist": about.checklist, "text": stated["text"]}

    def render(screen: Screen) -> None:
        screen.mark("ok", f"It counts: {about.item} is attested to by {one.who} as {one.role}: {stated['text']}")
        screen.line(f"  until {stated['expires']}; kept in {kept}")
        screen.line(f"  next: agent-studio checklist {about.checklist}")

    return Result({**row(one, ""), **told, "kept": kept}, render)


def _told(one: Checked, reason: str, kept: str, *, is_known: bool = True) -> Result:
    stated = one.statement

    def render(screen: Screen) -> None:
        try:
            statement.refuse_unreadable(stated, "the file")
            shared.show(screen, stated)
        except UsageError as error:
            screen.line(harmless(error.message))
        screen.line()
        if kept:
            screen.mark("ok", f"It counts: signed by {one.who} as {one.role}, until {stated['expires']}")
            screen.line(f"  kept in {kept}")
        elif is_known:
            screen.mark("bad", "It does not count")
        else:
            screen.mark("none", "Whether it counts cannot be told here")

    told = f"it does not count: {reason}" if is_known else f"whether it counts cannot be told here: {reason}"
    anew = _WAIVE_HINT if signoff.WAIVES in stated else _HINT
    problems = [Problem("not-signed", told, anew if is_known else _ELSEWHERE)] if reason else []
    return Result(
        _data(one, reason, kept), render, ExitCode.NOT_SIGNED if reason else ExitCode.DONE, problems
    )  # fmt: skip


def _data(one: Checked, reason: str, kept: str) -> dict[str, Any]:
    return {**row(one, reason), "kept": kept or None}


def row(one: Checked, reason: str) -> dict[str, Any]:
    """Return what programs are told of a sign-off or waiver."""
    named = {name: one.statement.get(name) for name in ("candidate", "issued", "expires", "nonce", "waives", "why")}
    return {
        "role": one.role, "who": one.who or None, "key": one.key or None, **named, "counts": not reason,
        "reason": reason or None,
    }  # fmt: skip


def _withdrawal(session: Session, one: Withdrawal) -> Result:
    here = shared.known(session, one.statement)
    if here is None:
        raise UsageError(
            _NOT_HERE.format(one.statement["candidate"][:12]), hint="hand it in where the evidence was gathered"
        )
    withdrawals.keep(session.project, one, here[1].facts.policy)
    stated = one.statement

    def render(screen: Screen) -> None:
        screen.mark(
            "ok", f"Kept: the withdrawal of a sign-off as {harmless(stated['role'])}: {harmless(stated['why'])}"
        )

    named = {name: stated[name] for name in ("candidate", "role", "nonce", "why", "time")}
    return Result({"withdrawal": named, "kept": f"{signoff.FOLDER}/{withdrawals.FILE}"}, render)
