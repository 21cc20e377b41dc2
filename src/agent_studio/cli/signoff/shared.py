"""What sign-offs, waivers and the gate share: the candidate that is meant, files that travel, words, signing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.cli import files
from agent_studio.cli.output import echo, harmless, warn
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.redaction import redact
from agent_studio.release import evidence, facts
from agent_studio.release.content import candidates, diff, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.policy import SIGNERS
from agent_studio.release.production.sides import SOURCE, open_sides
from agent_studio.release.signing import signoff, statement
from agent_studio.release.signing.signoff import LONGEST_DAYS, NOBODY

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.facts import Gathered
    from agent_studio.release.policy import Policy
    from agent_studio.release.production.sides import Sides

_LARGEST_BYTES = 16 * 1024 * 1024


class NoSignersError(AgentStudioError):
    """Nobody may sign, so nothing can be signed."""

    code = "no-signers"
    exit_code = ExitCode.NOT_SIGNED


def add_candidate(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a candidate."""
    parser.add_argument("--candidate", metavar="HASH", help="its first digits (default: the working checkout's)")


def add_days(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how long a signature is good."""
    parser.add_argument(
        "--days", metavar="N", type=int, default=signoff.VALID_DAYS,
        help=f"how long it counts (default: {signoff.VALID_DAYS})",
    )  # fmt: skip


def days(args: argparse.Namespace) -> int:
    """Return how long a signature is to be good; raise `UsageError` outside of a year."""
    if not 1 <= args.days <= LONGEST_DAYS:
        raise UsageError(f"--days is {args.days}", hint=f"1 to {LONGEST_DAYS}")
    return int(args.days)


def chosen(session: Session, prefix: str | None, *, looking: bool = False) -> tuple[Sides, str]:
    """Return both sides and the candidate that is meant; the working checkout's is made when it was not yet.

    Who is only `looking` needs no production on this machine.
    """
    sides = open_sides(session.project, session.variables, session.overrides, looking=looking)
    if prefix is None:
        return sides, candidates.create(sides.project).candidate
    return sides, candidates.named(sides.project, prefix)


def known(session: Session, stated: Mapping[str, Any]) -> tuple[Sides, Gathered] | None:
    """Return what is known here of a statement's candidate; None without it, its evidence or production.

    Who signs in a clone of their own may well have made the candidate there, too.
    """
    project, candidate = session.project, stated.get("candidate")
    if candidate not in candidates.made(project):
        return None
    gathered = evidence.of(project, SOURCE, str(candidate)).evidence
    if not gathered and stated.get("evidence") not in (None, evidence.bundle(())):
        return None
    sides = open_sides(session.project, session.variables, session.overrides, looking=True)
    return None if sides.target.absent else (sides, facts.gather(sides, str(candidate)))


def one_line(text: str, option: str) -> str:
    """Return a person's words as one printable line without secrets; raise `UsageError` when nothing is left."""
    clean = redact(harmless(" ".join(text.split())))
    if not clean:
        raise UsageError(f"{option} is empty", hint="say it in a sentence: it is kept for ever")
    return clean


def refuse_nobody(policy: Policy, role: str) -> None:
    """Raise `NoSignersError` when no file of allowed signers is in force."""
    if not policy.signers:
        raise NoSignersError(
            NOBODY,
            hint=f"write a line for each person into .claude/{SIGNERS}: you@example.org "
            f'namespaces="{signoff.namespace(role)}" KEYTYPE KEY, the last two as they stand in the public key, which '
            "ssh-keygen -t ed25519 makes",
        )


def read_file(name: str) -> bytes:
    """Return a file that somebody handed over; raise `UsageError` when it cannot be one of ours."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", hint="name the file that was handed over") from None
    if len(data) > _LARGEST_BYTES:
        raise UsageError(f"{name} is too large for a sign-off", hint="name the file that was handed over")
    return data


def refuse_file(name: str, data: bytes, session: Session) -> None:
    """Raise before anything is signed when a file like `data` may not be written there."""
    files.refuse(name, data, files.definitions_of(session))


def write_file(name: str, data: bytes, session: Session) -> None:
    """Write a file that is to be handed over; raises as `files.write` does."""
    files.write(name, data, files.definitions_of(session))


def key_of(name: str) -> Path:
    """Return a key, or the public half of one that an agent has; raise `UsageError` where there is none."""
    place = Path(name).expanduser()
    if not place.is_file():
        raise UsageError(
            f"there is no key {name}", hint="name a private key, or a public one whose other half an agent has"
        )
    if place.stem.endswith("_sk"):
        warn("touch the security key when it blinks")
    return place


def sign(stated: Mapping[str, Any], key: str) -> bytes:
    """Return a statement signed with a key; raises as `key_of` does."""
    return signoff.sign(stated, key_of(key))


def show(screen: Screen, stated: Mapping[str, Any], more: Iterable[str] = ()) -> None:
    """Write a statement in words to stdout."""
    for line in (*statement.words(stated), *more):
        screen.line(harmless(line))


def tell(stated: Mapping[str, Any], more: Iterable[str] = ()) -> None:
    """Write a statement in words to stderr, where questions are asked."""
    echo(redact("".join(f"{harmless(line)}\n" for line in (*statement.words(stated), *more, ""))))


def differences(sides: Sides, gathered: Gathered) -> list[str]:
    """Return what changes in production as lines of unified diffs."""
    held: dict[str, bytes] = {}

    def hold(data: bytes) -> str:
        held[sha256 := manifest.name_of(data)] = data
        return sha256

    store, current = Store(sides.project), gathered.past.current
    before = sides.target.tree.read(hold).entries if current is None else store.manifest(current.release)
    found = diff.between(
        before, gathered.release, lambda sha256: held[sha256] if sha256 in held else store.read(sha256)
    )
    return [line for one in found for line in one.text.splitlines() or [f"{one.change}: {one.path} (no text)"]]
