"""Sign-offs: SSH signatures of a role over a statement that names everything that it is about.

The statement is sorted compact JSON: project, candidate, from, to, role, the hashes of evidence and policy, the release
it replaces, flags carried over, when it was issued, when it expires, and a nonce. Its namespace is
`<role>@agent-studio`, so that a signature given in one role is none in another. Who may sign stands in the
`allowed_signers` of the production release that is live now, never in the candidate's own.

Signed statements lie in `.agent-studio/signoffs/<candidate>/`, and travel between people as single files.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import UsageError
from agent_studio.storage import signatures
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import Project
    from agent_studio.release.policy import Policy

SCHEMA = "agent-studio/sign-off/1"
FOLDER = f"{STATE}/signoffs"
ROLES = ("qa", "security", "uat")
VALID_DAYS = 7
_FUTURE = timedelta(minutes=5)
"""How far two people's clocks may be apart."""
_NONCE = re.compile(r"[0-9a-f]{32}")


class Subject(NamedTuple):
    """What a signature is about; another candidate, evidence, policy or release to replace, and it is not given."""

    project: str
    candidate: str
    source: str
    """The environment that it comes from."""
    to: str
    """The environment that it goes to."""
    evidence: str
    policy: str
    replaces: str
    """The release that is live; empty before the first."""
    flags: Mapping[str, bool]
    """Feature flags that the promotion carries over."""
    separation: str


class Checked(NamedTuple):
    """What a signed statement is worth."""

    role: str
    who: str
    """The signer's name in the signers' file; empty for a signature that does not count."""
    reason: str
    """Why it does not count; empty when it does."""
    statement: Mapping[str, Any]
    file: str = ""
    key: str = ""
    """The fingerprint of the key that signed."""

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.reason


def namespace(role: str) -> str:
    """Return what `ssh-keygen -Y` calls the namespace of a role."""
    return f"{role}@agent-studio"


def statement(subject: Subject, role: str, *, days: int = VALID_DAYS) -> dict[str, Any]:
    """Return a statement to be signed in a role, valid for some days from now."""
    now = clock.now()
    return {
        "schema": SCHEMA,
        **_about(subject),
        "role": role,
        "issued": clock.timestamp(now),
        "expires": clock.timestamp(now + timedelta(days=days)),
        "nonce": secrets.token_hex(16),
    }


def _about(subject: Subject) -> dict[str, Any]:
    about = subject._asdict()
    about["from"] = about.pop("source")
    about["flags"] = dict(sorted(subject.flags.items()))
    return about


def encoded(stated: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(stated: Mapping[str, Any], key: Path) -> bytes:
    """Return a signed statement as a file; raise `SignerMissingError` when the key does not sign."""
    signature = signatures.sign(encoded(stated), key, namespace(str(stated["role"])))
    return json.dumps({"statement": stated, "signature": signature}, indent=1, ensure_ascii=False).encode() + b"\n"


def read(data: bytes, shown: str, schema: str = SCHEMA, what: str = "sign-off") -> tuple[dict[str, Any], str]:
    """Return the statement and the signature of a file, the latter empty where it is a request that nobody signed."""
    try:
        value = json.loads(data)
        stated, signature = value["statement"], value.get("signature", "")
        if isinstance(stated, dict) and isinstance(signature, str) and stated.get("schema") == schema:
            return stated, signature
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UsageError(f"{shown} is no {what}", hint=f"a {what} is a JSON file with statement and signature")


def keep(project: Project, data: bytes, shown: str) -> str:
    """Keep a signed statement beside the others of its candidate; return where, from the project's root.

    The same statement is kept once, however often it is handed in.
    """
    stated, _ = read(data, shown)
    candidate, role, nonce = (str(stated.get(name)) for name in ("candidate", "role", "nonce"))
    if not re.fullmatch(r"[0-9a-f]{64}", candidate) or role not in ROLES or not _NONCE.fullmatch(nonce):
        raise UsageError(f"{shown} names no candidate, role and nonce", hint="have it requested and signed anew")
    folder = Folder(project.path, f"{FOLDER}/{candidate}")
    folder.make()
    folder.replace(f"{role}-{nonce}.json", data)
    return f"{FOLDER}/{candidate}/{role}-{nonce}.json"


def kept(project: Project, candidate: str) -> dict[str, bytes]:
    """Return the files of a candidate's sign-offs by name."""
    folder = Folder(project.path, f"{FOLDER}/{candidate}")
    names = [name for name in folder.names() if name.endswith(".json")] if folder.has_folder() else []
    return {name: folder.read(name) for name in names}


def check(data: bytes, shown: str, subject: Subject, policy: Policy, used: Iterable[str]) -> Checked:
    """Return what a signed statement is worth for a subject now; `used` are the nonces that a promotion has used up."""
    try:
        stated, signature = read(data, shown)
    except UsageError as error:
        return Checked("", "", error.message, {}, shown)
    return worth(stated, signature, shown, policy, _mismatch(stated, subject), used)


def worth(
    stated: Mapping[str, Any], signature: str, shown: str, policy: Policy, mismatch: str, used: Iterable[str] = ()
) -> Checked:
    """Return what a signed statement is worth now, whatever it is about; `mismatch` says why it is about another."""
    role = str(stated.get("role"))
    reason = mismatch or _out_of_time(stated) or _not_fresh(stated, used)
    if reason:
        return Checked(role, "", reason, stated, shown)
    who = signatures.verify(encoded(stated), signature, policy.signers, namespace(role)) if policy.signers else None
    if who is None:
        return Checked(role, "", _unsigned(role, signature, policy), stated, shown)
    return Checked(role, who, "", stated, shown, signatures.key_of(signature))


def _mismatch(stated: Mapping[str, Any], subject: Subject) -> str:
    for name, wanted in _about(subject).items():
        if stated.get(name) != wanted:
            return f"it is about another {name}: {_short(stated.get(name))}, not {_short(wanted)}"
    return "" if stated.get("role") in ROLES else f"{_short(stated.get('role'))} is no role"


def _out_of_time(stated: Mapping[str, Any]) -> str:
    try:
        issued, expires = (datetime.fromisoformat(str(stated[name])) for name in ("issued", "expires"))
        now = clock.now()
        if issued > now + _FUTURE:
            return f"it was issued in the future, at {stated['issued']}: a clock is wrong"
        if expires <= now:
            return f"it expired at {stated['expires']}"
    except (KeyError, ValueError, TypeError):
        return "it does not say when it was issued and when it expires"
    return "" if expires - issued <= timedelta(days=366) else "it is valid for more than a year"


def _not_fresh(stated: Mapping[str, Any], used: Iterable[str]) -> str:
    nonce = stated.get("nonce")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        return "it has no nonce"
    return "it was used for an earlier promotion" if nonce in set(used) else ""


def _unsigned(role: str, signature: str, policy: Policy) -> str:
    if not signature:
        return "nobody has signed it"
    if not policy.signers:
        return "no allowed_signers are live, so nobody may sign"
    return f"it is not signed, as {role}, by a key in the allowed_signers of {policy.of[:12]}, over exactly these words"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 24 else f"{text[:12]}…"  # noqa: PLR2004 - half of it says which
