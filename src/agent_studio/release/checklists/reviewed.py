"""The error log of staging, looked through: errors of one kind together, and who took note of each kind and why.

Taking note holds for a kind (source, type, and message without what differs) on one candidate, until it gets graver.
`evidence/reviews.jsonl` is a chained journal of it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.monitor import metrics
from agent_studio.monitor.dialect import VARYING
from agent_studio.monitor.lines import name_of
from agent_studio.monitor.reading import records
from agent_studio.monitor.summary import SEVERITIES
from agent_studio.monitor.texts import clean
from agent_studio.redaction import redact
from agent_studio.release import policy
from agent_studio.release.burnin import beginning
from agent_studio.release.checklists import attestations
from agent_studio.release.checklists.items import ACKNOWLEDGING, POST, grave_error
from agent_studio.release.content.candidate import candidate
from agent_studio.release.evidence import FAIL, FOLDER, INSUFFICIENT, PASS, of
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.storage.folder import Folder

JOURNAL = "reviews.jsonl"
KIND = "errors"
"""Of the evidence that a burn-in leaves about them; `since` in its data says from when on."""
GRAVE = frozenset({"CRITICAL", "HIGH"})
_MESSAGE_MAX = 300
_ID_DIGITS = 12
_SHORTEST_ID = 6
_VARYING = re.compile(VARYING)


class Group(NamedTuple):
    """Errors of one kind."""

    id: str
    count: int  # type: ignore[assignment] # a tuple counts too, and nobody asks it to
    severity: str
    """The gravest of them."""
    source: str
    message: str
    """Of the last one."""
    last: str
    """When that was."""
    who: str
    """Who took note; empty: nobody did."""
    why: str


def errors(context: Context, since: datetime) -> list[Group]:
    """Return the errors from a moment on, the gravest first, then the most frequent.

    Raises `IntegrityError` for a damaged journal of reviews.
    """
    since_ms, now_ms = int(since.timestamp() * 1000), int(clock.now().timestamp() * 1000)
    noted = _noted(context)

    def read() -> list[Group]:
        found: dict[str, Group] = {}
        for known in records(context, "errors", since_ms, now_ms):
            if known is not None and known[0]["environment"] == str(context.environment) and known[1] >= since_ms:
                one = _group(*known)
                held = found.get(one.id)
                found[one.id] = one if held is None else _together(held, one)
        return [_with(one, noted.get(one.id)) for one in found.values()]

    known = metrics.settled(context, read)
    if any(one.severity in GRAVE for one in known):
        own = candidate(context.project).sha256
        known = [_attested(context.project, own, one) if one.severity in GRAVE else one for one in known]
    return sorted(known, key=lambda one: (_rank(one.severity), -one.count, one.id))


def acknowledge(context: Context, group_id: str, *, who: str, why: str) -> Group:
    """Take note of errors of a kind, by the first digits of its id; return the group as it is then.

    Raises `UsageError` for an id that names none or several, for a missing reason, and for errors that are CRITICAL or
    HIGH: those are attested to (`checklists.grave_error`).
    """
    if not why.strip():
        raise UsageError("no reason was given", hint="say why these errors may be: --reason TEXT")
    known = find(context, group_id)
    if known.severity in GRAVE:
        raise UsageError(
            f"{known.id} is {known.severity}: it is acknowledged by a signature",
            hint=f"add --key FILE --role {' or '.join(ACKNOWLEDGING)}",
        )
    found = known._replace(who=redact(who), why=redact(why.strip()))
    chained.append(
        _folder(context), JOURNAL,
        {"candidate": candidate(context.project).sha256, "group": found.id, "severity": found.severity,
         "who": found.who, "why": found.why, "time": clock.timestamp(clock.now())},
    )  # fmt: skip
    return found


def find(context: Context, group_id: str) -> Group:
    """Return the errors of a kind by the first digits of its id; raise `UsageError` for one that names none."""
    known = errors(context, since_of(context))
    fit = [one for one in known if one.id.startswith(group_id)] if len(group_id) >= _SHORTEST_ID else []
    if len(fit) != 1:
        listed = ", ".join(one.id for one in known) or "there are none"
        raise UsageError(f"{group_id!r} names no group of errors", hint=f"one of: {listed}")
    return fit[0]


def since_of(context: Context) -> datetime:
    """Return from when on the errors are the candidate's: as long as no burn-in was started, since its last writing.

    Where evidence says that the log was looked through, it is from when on that was: the same bytes, written again,
    void no look.
    """
    sha256, begun = candidate(context.project).sha256, beginning.started(context)
    if begun is None or begun.candidate != sha256:
        begun = beginning.Started(beginning.EVER, "", "")
    found = beginning.since(context, begun).at
    held = of(context.project, context.environment, sha256).evidence.get(KIND)
    if held is None or held.verdict != PASS or "since" not in held.data:
        return found
    return min(found, datetime.fromisoformat(held.data["since"]))


def verdict(found: Sequence[Group]) -> tuple[str, str]:
    """Return what the look at the errors says, and one sentence about it."""
    open_ones = [one for one in found if not one.who]
    if not open_ones:
        noted = f"{len(found)} kinds of errors, each acknowledged with a reason"
        signed = [
            f"; {one.severity} from {one.source} by {one.who}: {one.why}" for one in found if one.severity in GRAVE
        ]
        return PASS, noted + "".join(signed) if found else "the error log is empty"
    grave = [one for one in open_ones if one.severity in GRAVE]
    first = (grave or open_ones)[0]
    told = f"{first.severity} from {first.source}, {first.count} times: {first.message}"
    told += f" (agent-studio checklist post --acknowledge {first.id} --reason TEXT)"
    return (
        FAIL if grave else INSUFFICIENT,
        f"{len(open_ones)} of {len(found)} kinds of errors are not acknowledged; {told}",
    )


def _group(record: dict[str, Any], at_ms: int) -> Group:
    source, kind, message = (name_of(record.get(name)) for name in ("source", "errorType", "message"))
    severity = record.get("severity")
    unique = "\n".join((source, kind, _VARYING.sub("#", message)))
    return Group(
        hashlib.sha256(unique.encode("utf-8", "replace")).hexdigest()[:_ID_DIGITS], 1,
        severity if severity in SEVERITIES else SEVERITIES[0], clean(source, _MESSAGE_MAX),
        clean(message, _MESSAGE_MAX), clock.of_ms(at_ms), "", "",
    )  # fmt: skip


def _together(held: Group, one: Group) -> Group:
    newer = max(held, one, key=lambda each: each.last)
    graver = min(held.severity, one.severity, key=_rank)
    return newer._replace(count=held.count + 1, severity=graver)


def _with(one: Group, noted: dict[str, Any] | None) -> Group:
    if noted is None or _rank(one.severity) < _rank(noted["severity"]):
        return one
    return one._replace(who=noted["who"], why=noted["why"])


def _attested(project: Project, own: str, one: Group) -> Group:
    """Return grave errors with who signed that they were looked at; what a journal says of them counts for nothing."""
    subject = attestations.Subject(own, POST, grave_error(one.id, one.severity))
    if attestations.has(project, subject):
        rules = policy.in_force(project, own)
        for signed in attestations.of(project, subject, rules, ACKNOWLEDGING):
            if signed.counts:
                return one._replace(who=f"{signed.who} as {signed.role}", why=str(signed.statement["text"]))
    return one._replace(who="", why="")


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _noted(context: Context) -> dict[str, dict[str, Any]]:
    """Return who took note of which kind on this candidate, the last word of each."""
    folder = _folder(context)
    lines = chained.read(folder, JOURNAL).records if folder.has_folder() else []
    own = candidate(context.project).sha256 if lines else ""
    return {line["group"]: line for line in lines if line["candidate"] == own}


def _folder(context: Context) -> Folder:
    return context.root.state.at(FOLDER)
