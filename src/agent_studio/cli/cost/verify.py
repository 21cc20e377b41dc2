"""`cost verify`: is the ledger what was written, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cli.output import Problem, Result, working
from agent_studio.environment.sharing import sharing
from agent_studio.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.verify import Verdict
    from agent_studio.environment.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a ledger elsewhere, in our format or the original's")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="FILE",
        help="also against checkpoints that were kept elsewhere, a copy of checkpoints.jsonl; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-checkpoint", action="store_true", help="do not note where the ledger ends now")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Verify, note a checkpoint when all is well, and report; exit 8 when anything is not as it was written."""
    if args.file is not None:
        if args.checkpoint:
            raise UsageError("--checkpoint is for this environment's ledger", hint="leave FILE out")
        place = Path(args.file)
        if not place.is_file():
            raise UsageError(f"{args.file} is not a file", hint="name a ledger, or leave it out for this environment's")
        with working("verifying"):
            from agent_studio.cost.verify import verify_file  # noqa: PLC0415 - only what the chosen sub-verb needs

            verdict = verify_file(place)
    else:
        with working("verifying"):
            verdict = verified(session.context, note=not args.no_checkpoint, kept=args.checkpoint)
    return Result(verdict.to_json(), lambda screen: _render(screen, verdict), code_of(verdict), problems(verdict))


def verified(context: Context, *, note: bool = False, kept: Sequence[str] = ()) -> Verdict:
    """Verify an environment's ledger; `note` where a sound one ends now, `kept` names files with checkpoints."""
    from agent_studio.cost import checkpoints  # noqa: PLC0415 - only what the chosen sub-verb needs
    from agent_studio.cost.verify import verify  # noqa: PLC0415

    roots = list(sharing(context).values())
    verdict = verify(roots, [one for file in kept for one in checkpoints.kept(Path(file))])
    if note and verdict.passed and verdict.head.seq:
        done = checkpoints.write(roots[0], verdict.head)
        verdict.unsigned += done.sig is None and not verdict.unsigned
    return verdict


def code_of(verdict: Verdict) -> ExitCode:
    """Return the exit code a verdict asks for."""
    return ExitCode.DONE if verdict.passed else ExitCode.INTEGRITY


def problems(verdict: Verdict) -> list[Problem]:
    """Return what people should know of beside the verdict."""
    found = []
    if verdict.first_bad is not None:
        bad = verdict.first_bad
        found.append(Problem(
            "ledger-broken", f"{bad.file}, line {bad.line}: {bad.kind}: {bad.detail}",
            "keep the file; a copy of it from before, in a backup, verifies: agent-studio cost verify FILE",
        ))  # fmt: skip
    found += [
        Problem("checkpoint", fault, "compare with a checkpoint that is kept elsewhere") for fault in verdict.faults
    ]
    found += [Problem("returned", told, is_note=True) for told in verdict.returns]
    return found


def _render(screen: Screen, verdict: Verdict) -> None:
    shown = f"{verdict.records:,} record{'' if verdict.records == 1 else 's'}"
    if verdict.passed:
        screen.mark("ok", f"{shown}, each as it was written")
    elif verdict.first_bad:
        screen.mark("bad", f"{shown}; sound up to record {verdict.head.seq:,}")
    else:
        screen.mark("bad", f"{shown}, each bound to the one before, but a checkpoint is not sound")
    if verdict.format == "original":
        screen.line("  in the original's format, read only; a cut end cannot be seen in it")
        return
    screen.line(f"  head  {verdict.head.hash[:16]}… at record {verdict.head.seq:,}, {verdict.size:,} bytes")
    if verdict.checkpoints:
        screen.line(f"  agrees with {verdict.checkpoints} checkpoint{'' if verdict.checkpoints == 1 else 's'}")
    else:
        screen.line("  no checkpoint from before: whether the end was cut off cannot be told")
    if verdict.unsigned:
        screen.line(f"  {verdict.unsigned} of the checkpoints are not signed: no ssh-keygen or no key at that time")
    if verdict.torn_notes:
        screen.line(f"  {verdict.torn_notes} torn writes were noted: a process was killed while it wrote")
    if verdict.torn_tail_bytes:
        screen.line(f"  {verdict.torn_tail_bytes} bytes of a torn write stand at the end; the next record notes them")
