"""Sign-offs and waivers that their own signers took back, each by a statement signed with the very same key.

`.agent-studio/signoffs/withdrawn.jsonl` is a chained journal; a line in it takes nothing back unless its signature
holds. A withdrawal is for ever: who changes their mind again signs anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.release.signing import signoff
from agent_studio.storage import chained, signatures
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.release.policy import Policy
    from agent_studio.release.signing.signoff import Checked

SCHEMA = "agent-studio/withdrawal/1"
FILE = "withdrawn.jsonl"
_SAME = ("project", "candidate", "role", "nonce")


class Withdrawal(NamedTuple):
    """A signed statement that takes another back."""

    statement: Mapping[str, Any]
    """The other's project, candidate, role and nonce; why, and when."""
    signature: str


def statement(withdrawn: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Return what is signed to take a statement back."""
    about = {name: withdrawn[name] for name in _SAME}
    return {"schema": SCHEMA, **about, "why": why, "time": clock.timestamp(clock.now())}


def read(data: bytes) -> Withdrawal | None:
    """Return the withdrawal that a file holds, None when it holds something else."""
    try:
        return _withdrawal(json.loads(data))
    except (ValueError, RecursionError):
        return None


def _withdrawal(value: Any) -> Withdrawal | None:
    try:
        stated, signature = value["statement"], value["signature"]
        if stated["schema"] == SCHEMA and all(isinstance(stated[name], str) for name in (*_SAME, "why", "time")):
            return Withdrawal(stated, str(signature))
    except (KeyError, TypeError):
        pass
    return None


def keep(project: Project, one: Withdrawal, policy: Policy) -> None:
    """Keep a withdrawal, also before what it takes back has come; raise `UsageError` when no signer signed it."""
    if not _who(one, policy):
        raise UsageError(
            f"the withdrawal is not signed, as {one.statement['role']}, by a key in the allowed_signers in force",
            hint="only who gave a sign-off may withdraw it, with the key that gave it",
        )
    folder = Folder(project.path, signoff.FOLDER)
    line = {"candidate": one.statement["candidate"], "statement": one.statement, "signature": one.signature}
    chained.append(folder, FILE, line, unless=lambda held: any(other["signature"] == one.signature for other in held))


def of(project: Project, candidate: str) -> list[Withdrawal]:
    """Return the withdrawals there are of a candidate; raise `IntegrityError` for a damaged journal."""
    lines = chained.read(Folder(project.path, signoff.FOLDER), FILE).records
    found = map(_withdrawal, lines)
    return [one for one in found if one is not None and one.statement["candidate"] == candidate]


def applied(checked: Checked, withdrawn: Iterable[Withdrawal], policy: Policy) -> Checked:
    """Return what a statement is worth once withdrawals are looked at."""
    if not checked.counts:
        return checked
    for one in withdrawn:
        if is_about(one, checked.statement) and signatures.key_of(one.signature) == checked.key and _who(one, policy):
            said = one.statement
            return checked._replace(reason=f"{checked.who} withdrew it at {said['time']}: {said['why']}")
    return checked


def is_about(one: Withdrawal, stated: Mapping[str, Any]) -> bool:
    """Tell whether a withdrawal names a statement."""
    return all(one.statement[name] == stated.get(name) for name in _SAME)


def _who(one: Withdrawal, policy: Policy) -> str | None:
    return signoff.signed_by(signoff.encoded(one.statement), one.signature, policy, str(one.statement["role"]))
