"""What is kept of runs: `context/elicitation/`, a journal of all runs and a folder for each, both chained.

`runs.jsonl` says that a run began and ended, and what was applied or rejected of it. `<id>/journal.jsonl` holds its
calls and findings, `<id>/original` the file as it was, byte for byte.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import IntegrityError, UsageError, did_you_mean
from agent_studio.reasoning.elicitation import draft
from agent_studio.redaction.structure import redacted
from agent_studio.storage import chained, locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

FOLDER = "elicitation"
INDEX, JOURNAL, ORIGINAL = "runs.jsonl", "journal.jsonl", "original"
BEGAN, ENDED, APPLIED, REJECTED = "began", "ended", "applied", "rejected"
ASKED, CALL, FINDING, REFUSED, APPLYING = "asked", "call", "finding", "refused", "applying"
OFFERED, KEPT, UNSOUND, ADVICE = "offered", "kept", "unsound", "advice"
"""What became of a finding: its change is offered, the judge kept the original, a check failed, or it has none."""
DONE, FAILED, STOPPED = "done", "failed", "stopped"
WAIT_S = 3_600.0
_ID = re.compile(r"\d{8}-\d{6}-\d{6}")


class Run(NamedTuple):
    """A run as it is kept."""

    id: str
    began: dict[str, Any]
    findings: list[dict[str, Any]]
    """In their order, each with its `number` from 1."""
    calls: list[dict[str, Any]]
    refused: list[dict[str, Any]]
    """What of answers was not taken, and methods that failed."""
    ended: dict[str, Any] | None
    """None while it runs, or where it was killed."""
    decided: list[dict[str, Any]]
    """What was applied and rejected."""
    applying: list[dict[str, Any]]
    """What was about to be applied, noted before the file was written."""

    @property
    def sent(self) -> int:
        """How many calls were made, those left out that were refused or failed before anything was sent."""
        return sum(one.get("sent", True) for one in self.calls)

    @property
    def decisions(self) -> dict[int, str]:
        """What was decided of findings, by number; the last decision counts."""
        return {number: one["kind"] for one in self.decided for number in one["findings"]}


def folder(context: Context) -> Folder:
    """Return the door to all runs of an environment."""
    return context.root.folder("context").at(FOLDER)


def command(context: Context, verb: str, run_id: str) -> str:
    """Return the command line of a sub-verb on a run, in its environment."""
    return f"agent-studio elicit {verb} {run_id} --env {context.environment}"


def new_id() -> str:
    """Return a name for a run that sorts by time."""
    return f"{clock.now():%Y%m%d-%H%M%S}-{secrets.randbelow(1_000_000):06d}"


def began(context: Context, record: Mapping[str, Any], original: bytes, *, most: int) -> None:
    """Keep the original and that a run began; raise `UsageError` where its session has had as many as it may."""
    run_id, session = record["id"], record["session"]
    kept = {"kind": BEGAN, "timestamp": _now(), **_clean(record)}
    door, own = folder(context), folder(context).at(run_id)
    own.make()
    own.replace(ORIGINAL, original)
    chained.append(own, JOURNAL, kept)  # before it is in the journal of all: what that names is whole
    if not chained.append(door, INDEX, kept, unless=lambda past: _runs_of(past, session) >= most):
        door.remove_tree(run_id)
        raise UsageError(
            f"the session {session} has had its {most} runs: features.advancedElicitation.maxInvocationsPerSession",
            hint="raise the key, or go on in another session",
        )


def _runs_of(past: list[dict[str, Any]], session: str) -> int:
    """Return how many runs of a session asked somebody, or may have."""
    idle = {one["id"] for one in past if one["kind"] == ENDED and one["status"] == FAILED and not one["calls"]}
    return sum(one["kind"] == BEGAN and one["session"] == session and one["id"] not in idle for one in past)


@contextmanager
def alone(context: Context, session: str) -> Iterator[None]:
    """Let no two runs of a session count what is left of its budget at the same time; wait for the other one's end.

    Raises `BusyError` when that takes longer than a run of any size may take.
    """
    door = folder(context)
    door.make()
    name = f"session-{draft.digest(session.encode())[:16]}.lock"
    with locks.exclusive(door, name, doing=f"another run of the session {session}", wait_s=WAIT_S):
        yield


def note(context: Context, run_id: str, kind: str, record: Mapping[str, Any]) -> None:
    """Add to a run's own journal."""
    chained.append(folder(context).at(run_id), JOURNAL, {"kind": kind, "timestamp": _now(), **_clean(record)})


def settle(context: Context, run_id: str, kind: str, record: Mapping[str, Any]) -> None:
    """Add the end of a run, or what was decided of it, to the journal of all."""
    chained.append(folder(context), INDEX, {"kind": kind, "timestamp": _now(), "id": run_id, **_clean(record)})


def index(context: Context) -> list[dict[str, Any]]:
    """Return the journal of all runs; raise `IntegrityError` where it was changed, or lacks a run that has a folder."""
    door = folder(context)
    there = {name for name in door.names() if _ID.fullmatch(name)} if door.has_folder() else set()
    records = chained.read(door, INDEX).records
    for run_id in sorted(there - _begun(records)):
        asked = any(one["kind"] == ASKED for one in chained.read(door.at(run_id), JOURNAL).records)
        # One that has only begun may be on its way into the journal, or was killed before it was there.
        if asked and run_id not in _begun(chained.read(door, INDEX).records):
            raise IntegrityError(
                f"{door.path / INDEX} does not have the run {run_id}, whose folder is there",
                hint="restore the file from a copy of it",
            )
    return records


def _begun(records: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in records if one["kind"] == BEGAN}


def load(context: Context, run_id: str) -> Run:
    """Return a run; raise `UsageError` for one that is not there, `IntegrityError` for one that was changed."""
    past = index(context)
    begun = next((one for one in past if one["kind"] == BEGAN and one["id"] == run_id), None)
    if not _ID.fullmatch(run_id) or begun is None:
        known = [one["id"] for one in reversed(past) if one["kind"] == BEGAN]
        hint = did_you_mean(run_id, known) if known else "there are none yet: agent-studio elicit run"
        raise UsageError(f"there is no run {run_id!r} in {context.environment}", hint=hint)
    own = [one for one in past if one["id"] == run_id]
    lines = chained.read(folder(context).at(run_id), JOURNAL).records
    if not lines or _bare(lines[0]) != _bare(begun):
        what = "another run's" if lines else "gone"
        raise IntegrityError(f"the journal of the run {run_id} is {what}", hint="restore it from a copy")
    return Run(
        run_id, begun,
        [one for one in lines if one["kind"] == FINDING], [one for one in lines if one["kind"] == CALL],
        [one for one in lines if one["kind"] == REFUSED],
        next((one for one in own if one["kind"] == ENDED), None),
        [one for one in own if one["kind"] in {APPLIED, REJECTED}],
        [one for one in lines if one["kind"] == APPLYING],
    )  # fmt: skip


def original(context: Context, run: Run) -> bytes:
    """Return the file as it was when a run began; raise `IntegrityError` where that copy was changed."""
    door = folder(context).at(run.id)
    try:
        data = door.read(ORIGINAL)
    except FileNotFoundError:
        data = b""
    if draft.digest(data) != run.began["sha256"]:
        raise IntegrityError(f"{door.path / ORIGINAL} is not the text that was looked at", hint="restore it")
    return data


def spent_usd(context: Context, session: str) -> Decimal:
    """Return what the runs of a session cost so far; calls of killed runs whose end nobody saw, at their worst."""
    past = index(context)
    ended = {one["id"]: Decimal(one["costUsd"]) for one in past if one["kind"] == ENDED}
    runs = [one["id"] for one in past if one["kind"] == BEGAN and one["session"] == session]
    return sum((ended[one] if one in ended else _noted_usd(context, one) for one in runs), Decimal(0))


def _noted_usd(context: Context, run_id: str) -> Decimal:
    lines = chained.read(folder(context).at(run_id), JOURNAL).records
    costs = {one["request"]: Decimal(one["worstUsd"] or 0) for one in lines if one["kind"] == ASKED}
    done = [one for one in lines if one["kind"] == CALL and (one["costUsd"] or not one.get("sent", True))]
    known = {one["request"]: Decimal(one["costUsd"] or 0) for one in done}
    return sum({**costs, **known}.values(), Decimal(0))


def _bare(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not key.startswith("_")}


def _clean(record: Mapping[str, Any]) -> dict[str, Any]:
    cleaned: dict[str, Any] = redacted(dict(record))
    return cleaned


def _now() -> str:
    return clock.timestamp(clock.now())
