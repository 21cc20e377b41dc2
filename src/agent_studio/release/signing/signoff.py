"""Sign-offs: SSH signatures of a role over a statement that names everything that it is about.

The statement is sorted compact JSON: project, candidate, from, to, role, the hashes of evidence and policy, the release
it replaces, flags carried over, the details that its words are made of (`release.statement`), when it was issued, when
it expires, and a nonce. Its namespace is `<role>@agent-studio`, so that a signature given in one role is none in
another. Who may sign stands in the `allowed_signers` of the production release that is live now, never in the
candidate's own. A statement with `waives` and `why` is a waiver of one requirement, and no sign-off.

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
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.release.signing import signers
from agent_studio.storage import signatures
from agent_studio.storage.folder import Folder
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import Project
    from agent_studio.release.policy import Policy

SCHEMA = "agent-studio/sign-off/1"
FOLDER = f"{STATE}/signoffs"
ROLES = signers.ROLES
VALID_DAYS, LONGEST_DAYS = 7, 366
WAIVES = "waives"
"""Field of a statement that waives a requirement; its `why` says the reason."""
NOBODY = "no allowed_signers are live, so nobody may sign"
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
    details: Mapping[str, Any] | None = None
    """What is told of it to who signs, as `statement.details` says it."""


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
    names: tuple[str, ...] = ()
    """Every name and pattern of a name that the signers' file gives the key, in whatever role."""

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.reason


namespace = signers.namespace


def statement(subject: Subject, role: str, *, days: int = VALID_DAYS, **more: Any) -> dict[str, Any]:
    """Return a statement to be signed in a role, valid for some days from now; `more` is said besides."""
    now = clock.now()
    return {
        "schema": SCHEMA,
        **_about(subject),
        "role": role,
        "issued": clock.timestamp(now),
        "expires": clock.timestamp(now + timedelta(days=days)),
        "nonce": secrets.token_hex(16),
        **more,
    }


def _about(subject: Subject) -> dict[str, Any]:
    about = subject._asdict()
    about["from"] = about.pop("source")
    about["flags"] = dict(sorted(subject.flags.items()))
    about["details"] = dict(about.pop("details") or {})  # last: what the hashes name is told first
    return about


def encoded(stated: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(stated: Mapping[str, Any], key: Path) -> bytes:
    """Return a signed statement as a file; raise `SignerMissingError` when the key does not sign."""
    return _file(statement=stated, signature=signatures.sign(encoded(stated), key, namespace(str(stated["role"]))))


def unsigned(stated: Mapping[str, Any]) -> bytes:
    """Return a statement as a file for who is to sign it."""
    return _file(statement=stated)


def _file(**held: Any) -> bytes:
    return json.dumps(held, indent=1, ensure_ascii=False).encode() + b"\n"


def read(data: bytes, shown: str, schema: str = SCHEMA, what: str = "sign-off") -> tuple[dict[str, Any], str]:
    """Return the statement and the signature of a file, the latter empty where it is a request that nobody signed."""
    try:
        value = json.loads(data)
        stated, signature = value["statement"], value.get("signature", "")
        refuse_newer(stated, schema, shown, fault=UsageError)
        if isinstance(stated, dict) and isinstance(signature, str) and stated.get("schema") == schema:
            return stated, signature
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UsageError(f"{shown} is no {what}", hint=f"a {what} is a JSON file with statement and signature")


def is_waiver(data: bytes) -> bool:
    """Tell whether a file holds a statement that waives something, whatever it is worth."""
    return waived_by(data) is not None


def waived_by(data: bytes) -> str | None:
    """Return what a file would waive, whatever it is worth; None where it holds no such statement."""
    try:
        stated = read(data, "a file")[0]
    except UsageError:
        return None
    return str(stated[WAIVES]) if WAIVES in stated else None


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
    return {name: _held(folder, name) for name in names}


def _held(folder: Folder, name: str) -> bytes:
    try:
        return folder.read(name)
    except (OSError, AgentStudioError):
        return b""  # a folder, a link: no sign-off, which says so under its name


def check(
    data: bytes, shown: str, subject: Subject, policy: Policy, used: Iterable[str], now: datetime | None = None
) -> Checked:
    """Return what a signed statement is worth for a subject; `used` are the nonces that a promotion has used up.

    `now` is a time that has surely come, where a clock may have been set back.
    """
    try:
        stated, signature = read(data, shown)
    except UsageError as error:
        return Checked("", "", error.message, {}, shown)
    return worth(stated, signature, shown, policy, unfit(stated, subject, used, now), now)


def worth(
    stated: Mapping[str, Any], signature: str, shown: str, policy: Policy, reason: str, now: datetime | None = None
) -> Checked:
    """Return what a signature of any statement in a role is worth; `reason` says why it does not count whoever gave it.

    Attestations are checked by it as well.
    """
    role = str(stated.get("role"))
    if reason:
        return Checked(role, "", reason, stated, shown)
    who = signed_by(encoded(stated), signature, policy, role, now)
    if who is None:
        return Checked(role, "", _unsigned(role, signature, policy), stated, shown)
    key = signatures.key_of(signature)
    lines = signers.of_key(signers.read(policy.signers), key)
    return Checked(role, who, "", stated, shown, key, tuple(name for line in lines for name in line.principals))


def signed_by(data: bytes, signature: str, policy: Policy, role: str, now: datetime | None = None) -> str | None:
    """Return who signed some bytes in a role by the signers in force, or None: by our reading and `ssh-keygen`'s."""
    lines = signers.of_key(signers.read(policy.signers), signatures.key_of(signature))
    at = max(clock.now(), now) if now else clock.now()
    good = [one for one in lines if role in one.roles and one.counts(at)]
    names = [next(name for name in one.principals if not name.startswith("!")) for one in good]
    if not names:
        return None
    return signatures.verify(data, signature, signers.sound(policy.signers), namespace(role), names)


def unfit(stated: Mapping[str, Any], subject: Subject, used: Iterable[str], now: datetime | None = None) -> str:
    """Return why a statement would not count whoever signed it, empty when it would."""
    return _mismatch(stated, subject) or untimely(stated, now) or not_fresh(stated, used)


def _mismatch(stated: Mapping[str, Any], subject: Subject) -> str:
    for name, wanted in _about(subject).items():
        if stated.get(name) == wanted:
            continue
        told = stated.get(name)
        if name == "details" and isinstance(told, dict):
            wrong = next(one for one in (*wanted, *told) if told.get(one) != wanted.get(one))
            return f"what it tells of {wrong} is not so, or no longer"
        if name == "replaces":
            return f"it replaces another than what is live: {_release(told)}, not {_release(wanted)}"
        return f"it is about another {name}: {_short(told)}, not {_short(wanted)}"
    return "" if stated.get("role") in ROLES else f"{_short(stated.get('role'))} is no role"


def untimely(stated: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return why a statement does not count at this time, empty when it does; `now` as in `check`."""
    try:
        issued, expires = (datetime.fromisoformat(str(stated[name])) for name in ("issued", "expires"))
        here = clock.now()
        if issued > here + _FUTURE:
            return f"it was issued in the future, at {stated['issued']}: a clock is wrong"
        if expires <= here:
            return f"it expired at {stated['expires']}"
        if now and expires <= now:
            return (
                f"it expired at {stated['expires']}: this clock is behind what was recorded at {clock.timestamp(now)}"
            )
    except (KeyError, ValueError, TypeError):
        return "it does not say when it was issued and when it expires"
    return "" if expires - issued <= timedelta(days=LONGEST_DAYS) else "it is valid for more than a year"


def not_fresh(stated: Mapping[str, Any], used: Iterable[str] = ()) -> str:
    """Return why a statement may have been used before, empty when it was not."""
    nonce = stated.get("nonce")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        return "it has no nonce"
    return "it was used for an earlier promotion" if nonce in set(used) else ""


def _unsigned(role: str, signature: str, policy: Policy) -> str:
    if not signature:
        return "nobody has signed it"
    if not policy.signers:
        return NOBODY
    return f"it is not signed, as {role}, by a key in the allowed_signers of {policy.of[:12]}, over exactly these words"


def _release(replaced: object) -> str:
    return f"release {_short(replaced)}" if replaced else "nothing"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 24 else f"{text[:12]}…"  # noqa: PLR2004 - half of it says which
