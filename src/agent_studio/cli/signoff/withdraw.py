"""`signoff withdraw`: take back what you signed, as long as no promotion has used it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli import files
from agent_studio.cli.output import Result, ask
from agent_studio.cli.signoff import shared
from agent_studio.errors import UsageError
from agent_studio.release.signing import signoff, statement, withdrawals
from agent_studio.storage import signatures

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.production.history import History


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="the signed file; those that are kept: signoff list")
    parser.add_argument("--key", metavar="KEY", required=True, help="the key that signed it")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; kept for ever")
    parser.add_argument("--out", metavar="FILE", help="also write the withdrawal there, for where the evidence is")
    parser.add_argument("--dry-run", action="store_true", help="say what would be withdrawn, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Sign a withdrawal; keep it where the candidate was made, else write it to a file."""
    why = shared.one_line(args.reason, "--reason")
    stated, signature = _signed(args.file)
    here = shared.known(session, withdrawals.statement(stated, why))
    if here is None and not args.out:
        raise UsageError(
            "nothing is known here of its candidate", hint="add --out FILE, and hand the file in where its evidence is"
        )
    if here is not None:
        _refuse_used(here[1].past, stated)
    data = {"candidate": stated["candidate"], "role": stated["role"], "nonce": stated["nonce"], "why": why}
    if args.dry_run:
        return Result({**data, "dryRun": True}, lambda screen: _plan(screen, args.file))
    if args.out is not None:
        files.refuse_guarded(args.out, files.definitions_of(session))
    ask(f"withdraw the sign-off as {stated['role']} in {args.file}, for ever?", yes=args.yes)
    signed = shared.sign(withdrawals.statement(stated, why), args.key)
    one = withdrawals.read(signed)
    if one is None or signatures.key_of(one.signature) != signatures.key_of(signature):
        raise UsageError(
            f"{args.key} is not the key that signed {args.file}", hint="only who gave a sign-off may withdraw it"
        )
    if here is not None:
        withdrawals.keep(session.project, one, here[1].facts.policy)
    if args.out is not None:
        shared.write_file(args.out, signed, session)

    def render(screen: Screen) -> None:
        screen.mark("ok", f"The sign-off as {stated['role']} is withdrawn: {why}")
        if here is None:
            screen.line(f"  once it is handed in where the evidence is: agent-studio signoff verify {args.out}")

    return Result({**data, "dryRun": False}, render)


def _signed(file: str) -> tuple[dict[str, Any], str]:
    """Return the statement of a file and its signature."""
    stated, signature = signoff.read(shared.read_file(file), file)
    statement.refuse_unreadable(stated, file)
    if not signature:
        raise UsageError(f"{file} is not signed: there is nothing to withdraw", hint="remove the file")
    return stated, signature


def _refuse_used(past: History, stated: Mapping[str, Any]) -> None:
    """Raise `UsageError` for what a promotion has used: it went live by it, and nothing takes that back."""
    used = next((one for one in past.releases if stated["nonce"] in (one.record.get("nonces") or ())), None)
    if used is not None:
        raise UsageError(
            f"release {used.release[:12]} was promoted with it at {used.time}: it cannot be withdrawn any more",
            hint="agent-studio rollback --level 2 --reason TEXT, or revoke the key by promoting allowed_signers",
        )


def _plan(screen: Screen, file: str) -> None:
    screen.line(f"would withdraw {file}; nothing was changed (--dry-run)")
