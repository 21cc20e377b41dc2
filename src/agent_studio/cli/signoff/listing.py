"""`signoff list`: every sign-off and waiver of a candidate, with what each is worth now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Result
from agent_studio.cli.signoff import shared, verify
from agent_studio.release import facts, gate
from agent_studio.release.signing import signoff, statement

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.signing.signoff import Checked


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    shared.add_candidate(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """List what was signed of a candidate."""
    sides, candidate = shared.chosen(session, args.candidate, looking=True)
    known = facts.gather(sides, candidate).facts
    judged = gate.judged(known)
    origin = statement.origin(known.policy.of[:12], bootstrap=known.policy.bootstrap)

    def render(screen: Screen) -> None:
        screen.line(f"Candidate {candidate}")
        screen.line(f"  who may sign is said by {origin}")
        if not judged:
            screen.line("Nobody has signed: agent-studio signoff request --role ROLE --out FILE")
        for one, reason in judged:
            screen.mark("bad" if reason else "ok", _line(one, reason))

    rows = [{**verify.row(one, reason), "file": one.file} for one, reason in judged]
    return Result({"candidate": candidate, "bootstrap": known.policy.bootstrap, "signOffs": rows}, render)


def _line(one: Checked, reason: str) -> str:
    stated = one.statement
    waives = f", waives {stated[signoff.WAIVES]}: {stated.get('why')}" if signoff.WAIVES in stated else ""
    who = f" by {one.who}" if one.who else ""
    worth = f"does not count: {reason}" if reason else f"counts until {stated['expires']}"
    return f"{one.role}{who}, {stated.get('issued')}{waives}; {worth} ({one.file})"
