"""Evidence on a candidate: files of one form, each sealed by a line of a chained journal beside them.

`.agent-studio/<environment>/evidence/<kind>-<time>-<id>.json` is `{schema, kind, environment, candidate, verdict, time,
data}`; `chain.jsonl` names every file with its hash. A file that the journal does not name, or names with another hash,
is no evidence. Evidence is of exactly one candidate: another byte in a definition, and there is none yet.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import StorageError
from agent_studio.redaction import redact
from agent_studio.release import policy
from agent_studio.storage import chained
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.detect import Environment
    from agent_studio.environment.roots import Project
    from agent_studio.storage.folder import Folder

SCHEMA = "agent-studio/evidence/1"
FOLDER = "evidence"
JOURNAL = "chain.jsonl"
PASS, FAIL, INSUFFICIENT = "PASS", "FAIL", "INSUFFICIENT"
_AHEAD = timedelta(minutes=5)
"""How far two machines' clocks may be apart."""
_FRESH = timedelta(days=1)
"""Evidence of no policy grows stale within it."""
_KIND = re.compile(r"[a-z][a-z0-9.-]{0,60}")


class Evidence(NamedTuple):
    """One thing that was found about a candidate."""

    kind: str
    environment: str
    candidate: str
    verdict: str
    """PASS, FAIL or INSUFFICIENT."""
    time: str
    data: Mapping[str, Any]
    """What the kind's own command reports."""
    file: str
    """Its name in the folder."""
    sha256: str


class Found(NamedTuple):
    """What there is about a candidate."""

    evidence: dict[str, Evidence]
    """The newest of each kind."""
    faults: list[str]
    """Files that are not what the journal says of them; their kinds have no evidence at all."""


def record(context: Context, kind: str, candidate: str, verdict: str, data: Mapping[str, Any]) -> Evidence:
    """Keep evidence and seal it; raise `IntegrityError` for a journal that is damaged, then nothing is kept."""
    made, text = _made(context, kind, candidate, verdict, data)
    _seal(context.root.state.at(FOLDER), made, text, lambda _: False)
    return made


def confirm(context: Context, kind: str, candidate: str, verdict: str, data: Mapping[str, Any]) -> Evidence | None:
    """Keep evidence unless the newest of its kind on the candidate says the same already; return what was kept.

    Signatures name all evidence by its hash: a check that is run once more, and passes again, leaves them valid. What
    does not pass is said anew when its reason is another: nobody can have signed it. What is too old for the policy, or
    from the future, is said anew, too.
    """
    made, text = _made(context, kind, candidate, verdict, data)
    folder = context.root.state.at(FOLDER)

    def is_said(lines: Sequence[Mapping[str, Any]]) -> bool:
        own = [line for line in lines if line["candidate"] == candidate and line["kind"] == kind]
        held = _opened(folder, own[-1])[1] if own else None
        return held is not None and _says(held, made) and not _is_stale(context, held)

    if folder.has_folder() and is_said(chained.read(folder, JOURNAL).records):
        return None
    return made if _seal(folder, made, text, is_said) else None


def _made(context: Context, kind: str, candidate: str, verdict: str, data: Mapping[str, Any]) -> tuple[Evidence, bytes]:
    if not _KIND.fullmatch(kind) or verdict not in {PASS, FAIL, INSUFFICIENT}:
        raise ValueError(f"no evidence can be {kind!r}, {verdict!r}")
    now = clock.now()
    value = {
        "schema": SCHEMA, "kind": kind, "environment": str(context.environment), "candidate": candidate,
        "verdict": verdict, "time": clock.timestamp(now), "data": data,
    }  # fmt: skip
    text = redact(json.dumps(value, ensure_ascii=False, indent=1)).encode("utf-8", "backslashreplace")
    return _evidence(text, f"{kind}-{clock.file_stamp(now)}-{secrets.token_hex(4)}.json"), text


def _seal(folder: Folder, made: Evidence, text: bytes, unless: Callable[[list[dict[str, Any]]], bool]) -> bool:
    """Write a file and the line that seals it, or neither where somebody else was first."""
    chained.read(folder, JOURNAL) if folder.has_folder() else folder.make()
    folder.replace(made.file, text)
    line = {name: getattr(made, name) for name in ("kind", "candidate", "verdict", "time", "file", "sha256")}
    if chained.append(folder, JOURNAL, line, unless=unless):
        return True
    folder.remove(made.file)
    return False


def _says(held: Evidence, made: Evidence) -> bool:
    """Tell whether two say the same, as far as somebody who decides by them can tell."""
    is_same = held.verdict == made.verdict
    return is_same and (held.verdict == PASS or held.data.get("reason") == made.data.get("reason"))


def void(context: Context, kinds: Iterable[str], candidate: str, reason: str) -> None:
    """Keep for those kinds of which there is evidence on a candidate that it says nothing any more."""
    held = of(context.project, context.environment, candidate).evidence
    for kind in kinds:
        if kind in held:
            confirm(context, kind, candidate, INSUFFICIENT, {"reason": reason})


def _is_stale(context: Context, held: Evidence) -> bool:
    now = clock.now()
    if not age_fault(held.time, now, _FRESH.days):
        return False
    return bool(age_fault(held.time, now, policy.evidence_days(context)))


def age_fault(time: str, now: datetime, days: float) -> str:
    """Return why something found at a time is no evidence now, when it may be some days old; empty when it is."""
    try:
        age = now - datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError):
        return f"it does not say when it was found: {time[:40]!r}"
    if age < -_AHEAD:
        return f"found in the future, at {time}: a clock is wrong"
    if age > timedelta(days=days):
        return f"stale: found {age.days} days ago, and evidence counts for {days:g}"
    return ""


def of(project: Project, environment: Environment, candidate: str) -> Found:
    """Return what an environment's evidence says of a candidate; raise `IntegrityError` for a damaged journal.

    Of each kind the newest counts, by the order of the journal: whatever a clock said, what came last is last.
    """
    folder = project.state(environment).at(FOLDER)
    found, faults = dict[str, Evidence](), []
    for line in chained.read(folder, JOURNAL).records:
        if line["candidate"] != candidate:
            continue
        found.pop(line["kind"], None)
        fault, one = _opened(folder, line)
        if one is None:
            faults.append(fault)
        else:
            found[line["kind"]] = one
    return Found(found, faults)


def bundle(evidence: Iterable[Evidence]) -> str:
    """Return one hash over evidence, in whatever order it is given: what a signature names."""
    lines = sorted(f"{one.kind} {one.sha256}\n" for one in evidence)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _opened(folder: Folder, line: Mapping[str, Any]) -> tuple[str, Evidence | None]:
    place = folder.path / line["file"]
    try:
        data = folder.read(line["file"])
    except FileNotFoundError:
        return f"{place} is gone", None
    if hashlib.sha256(data).hexdigest() != line["sha256"]:
        return f"{place} was changed after it was sealed", None
    try:
        return "", _evidence(data, line["file"], place)
    except StorageError as error:
        return error.message, None


def _evidence(data: bytes, name: str, place: object = "it") -> Evidence:
    value = json.loads(data)
    refuse_newer(value, SCHEMA, place)
    return Evidence(
        value["kind"], value["environment"], value["candidate"], value["verdict"], value["time"], value["data"], name,
        hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
