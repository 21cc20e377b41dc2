"""Attestations: somebody's signed word that an item of a checklist holds for a candidate, where no program can look.

The statement is sorted compact JSON: candidate, checklist, item, role, what the person says, when it was issued, when
it expires, and a nonce. It is signed and checked exactly like a sign-off (`release.signing.signoff`), in the
namespace of the role, by a signer of the live release. Files lie in `.agent-studio/attestations/<candidate>/`, and
travel between clones as single files: a candidate is the same in each.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, ExitCode, UsageError
from agent_studio.redaction import redact
from agent_studio.release.checklists.items import attesting
from agent_studio.release.signing import signoff
from agent_studio.release.signing.signoff import Checked
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from agent_studio.environment.roots import Project
    from agent_studio.release.policy import Policy

SCHEMA = "agent-studio/attestation/1"
FOLDER = f"{STATE}/attestations"
VALID_DAYS = 30


class NotSignedError(AgentStudioError):
    """A signature that does not count."""

    code = "signature"
    exit_code = ExitCode.NOT_SIGNED


class Subject(NamedTuple):
    """What an attestation is about."""

    candidate: str
    checklist: str
    item: str


def statement(subject: Subject, role: str, text: str, *, days: int = VALID_DAYS) -> dict[str, Any]:
    """Return a statement to be signed in a role, valid for some days from now."""
    now = clock.now()
    return {
        "schema": SCHEMA,
        **subject._asdict(),
        "role": role,
        "text": redact(text),
        "issued": clock.timestamp(now),
        "expires": clock.timestamp(now + timedelta(days=days)),
        "nonce": secrets.token_hex(16),
    }


def attest(project: Project, stated: Mapping[str, Any], key: Path, policy: Policy, roles: Collection[str]) -> Checked:
    """Sign a statement with a person's key and keep it, if it counts.

    Raises `UsageError` for a role that may not attest to the item, `SignerMissingError` for a key that does not sign,
    `NotSignedError` for a signature that would not count; then nothing is kept.
    """
    subject = Subject(*(str(stated[name]) for name in Subject._fields))
    if stated["role"] not in roles:
        raise UsageError(
            f"{subject.checklist} {subject.item} is not for the role {stated['role']!r}",
            hint=f"--role {' or '.join(roles)}",
        )
    return _keep(project, signoff.sign(stated, key), stated, policy, roles)


def about(data: bytes, shown: str) -> Subject | None:
    """Return what an attestation in a file is about, None for another file.

    Raises `UsageError` for an attestation to something that nobody attests to.
    """
    try:
        stated, _ = signoff.read(data, shown, SCHEMA, "attestation")
    except UsageError:
        return None
    subject = Subject(*(str(stated.get(name)) for name in Subject._fields))
    if not attesting(subject.checklist, subject.item):
        raise UsageError(f"{shown} is about an item that nobody attests to", hint="have it attested anew")
    return subject


def take(project: Project, data: bytes, shown: str, policy: Policy) -> Checked:
    """Keep an attestation that somebody handed over, and return it.

    Raises `UsageError` for no attestation, `NotSignedError` for one that does not count; then nothing is kept.
    """
    stated, _ = signoff.read(data, shown, SCHEMA, "attestation")
    subject = about(data, shown)
    roles = () if subject is None else attesting(subject.checklist, subject.item)
    return _keep(project, data, stated, policy, roles)


def _keep(project: Project, data: bytes, stated: Mapping[str, Any], policy: Policy, roles: Collection[str]) -> Checked:
    subject = Subject(*(str(stated.get(name)) for name in Subject._fields))
    name = f"{subject.checklist}.{subject.item}-{stated.get('nonce')}.json"
    found = check(data, name, subject, policy, roles)
    if not found.counts:
        raise NotSignedError(
            f"the attestation would not count: {found.reason}",
            hint="sign with a key that the allowed_signers in force name for this role",
        )
    folder = _folder(project, subject.candidate)
    folder.make()
    folder.replace(name, data)
    return found


def data_of(project: Project, kept: Checked) -> bytes:
    """Return the file of an attestation that is kept, to be handed over."""
    return _folder(project, str(kept.statement["candidate"])).read(kept.file)


def has(project: Project, subject: Subject) -> bool:
    """Tell whether anything is kept on one item, whatever it is worth."""
    return bool(_names(_folder(project, subject.candidate), subject))


def of(project: Project, subject: Subject, policy: Policy, roles: Collection[str]) -> Sequence[Checked]:
    """Return what is kept on one item, the newest first, each with what it is worth now."""
    folder = _folder(project, subject.candidate)
    found = [check(folder.read(name), name, subject, policy, roles) for name in _names(folder, subject)]
    return sorted(found, key=lambda one: str(one.statement.get("issued")), reverse=True)


def _names(folder: Folder, subject: Subject) -> list[str]:
    start = f"{subject.checklist}.{subject.item}-"
    names = folder.names() if folder.has_folder() else []
    return [name for name in names if name.startswith(start) and name.endswith(".json")]


def check(data: bytes, shown: str, subject: Subject, policy: Policy, roles: Collection[str]) -> Checked:
    """Return what a file is worth now for an item of a checklist."""
    try:
        stated, signature = signoff.read(data, shown, SCHEMA, "attestation")
    except UsageError as error:
        return Checked("", "", error.message, {}, shown)
    reason = _mismatch(stated, subject, roles) or signoff.untimely(stated) or signoff.not_fresh(stated)
    return signoff.worth(stated, signature, shown, policy, reason)


def _mismatch(stated: Mapping[str, Any], subject: Subject, roles: Collection[str]) -> str:
    for name, wanted in subject._asdict().items():
        if stated.get(name) != wanted:
            return f"it is about another {name}: {str(stated.get(name))[:24]}, not {wanted[:24]}"
    if stated.get("role") not in roles:
        return f"it was given as {str(stated.get('role'))[:24]}, and only {' or '.join(roles)} may attest to this"
    text = stated.get("text")
    if not isinstance(text, str) or not text.strip():
        return "it says nothing"
    return "" if text.isprintable() else "its text is more than one printable line"


def _folder(project: Project, candidate: str) -> Folder:
    return Folder(project.path, f"{FOLDER}/{candidate}")
