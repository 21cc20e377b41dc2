"""`party verify`: what a transcript proves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result
from agent_studio.cli.party import shared
from agent_studio.errors import ExitCode
from agent_studio.reasoning.party import outcome, verify

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.party.verify import Verified

_CODES = {verify.PASS: ExitCode.DONE, verify.FAIL: ExitCode.INTEGRITY, verify.INSUFFICIENT: ExitCode.INSUFFICIENT}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the id."""
    shared.add_id(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Look at a transcript; exit code 8 where it was changed, 3 where nothing is proved yet."""
    place = shared.place_of(session, args.party)
    found = verify.verify(session.context, place)
    problems = [Problem("integrity", fault, "restore the transcript from a copy") for fault in found.faults]
    if found.verdict == verify.INSUFFICIENT and found.found is not None and found.found.session.closed is not None:
        problems.append(Problem("not-vouched", verify.NOT_VOUCHED, "verify it where it was held"))
    elif found.verdict == verify.INSUFFICIENT and found.found is not None:
        message = "the party has not ended: there is no outcome to prove yet"
        problems.append(Problem("not-ended", message, found.found.session.command("resume")))
    return Result(
        verify.data(place.id, found), lambda screen: _render(screen, place.id, found), _CODES[found.verdict], problems
    )


def _render(screen: Screen, party: str, found: Verified) -> None:
    screen.mark("ok" if found.verdict == verify.PASS else "bad", f"{party}: {found.verdict}")
    told = found.found
    if told is None:
        return
    names = ", ".join(told.models) or "none"
    screen.line(f"  {outcome.calls(told)} ({names}); {told.voices} of {len(told.session.seats)} seats spoke")
    screen.line(f"  {found.receipts} of them with a receipt of the provider")
    if told.is_simulated:
        screen.line("  SIMULATED: one voice spoke; this is no consensus, whatever was said")
    else:
        option = f": {told.tally.option}" if told.tally.option else ""
        screen.line(f"  the state that follows from them: {told.state}{option}")
    screen.line(f"  {found.lines} lines, head {found.head[:12]}")
    sealed = {True: "sealed by this environment's key", False: "NOT sealed by this environment's key"}
    screen.line(f"  {sealed.get(found.is_sealed, 'not sealed by a key of this environment')}")  # type: ignore[arg-type]
    for agent in found.changed_agents:
        screen.mark("note", f"{agent} is defined otherwise now than when it spoke")
    if found.verdict == verify.PASS:
        screen.told(
            "note", "shown: nobody without the key changed it since. Not shown: which model a provider really ran"
        )
