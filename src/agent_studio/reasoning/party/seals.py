"""How far a transcript has come, said outside of it with the environment's key: what was cut or written anew is missed.

Before lines are added the note says how far the transcript has come and how far it is about to come, line by line;
afterwards how far it has come. So a killed writer leaves a transcript that its note knows, and nobody else does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING

from agent_studio.errors import IntegrityError
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.environment.roots import EnvironmentRoot

KEY, FOLDER = "party.key", "party-heads"
_KEY_BYTES = 32


def key(root: EnvironmentRoot, *, create: bool = False) -> bytes | None:
    """Return the environment's own key for transcripts, or None; nobody but the owner of the files can read it."""
    if create:
        root.state.make()
        root.state.create(KEY, secrets.token_hex(_KEY_BYTES).encode())
    try:
        return root.state.read(KEY)
    except FileNotFoundError:
        return None


def seal(secret: bytes, party: str, head: Head) -> str:
    """Return what only who has the key can say of a transcript's length and head."""
    return _mac(secret, f"{party}\n{head.seq}\n{head.hash}")


def note(root: EnvironmentRoot, party: str, heads: Sequence[Head]) -> None:
    """Say durably where a transcript may end from now on."""
    secret = key(root, create=True) or b""
    listed = json.dumps([list(one) for one in heads], separators=(",", ":"))
    root.state.at(FOLDER).make()
    root.state.replace(f"{FOLDER}/{party}.json", f"{_mac(secret, f'{party} {listed}')} {listed}\n".encode())


def noted(root: EnvironmentRoot, party: str) -> tuple[Head, ...] | None:
    """Return where a transcript may end; None without a note or a key. Raises `IntegrityError` for a forged note."""
    secret = key(root)
    try:
        said, _, listed = root.state.read(f"{FOLDER}/{party}.json").decode("utf-8", "replace").strip().partition(" ")
    except FileNotFoundError:
        return None
    if secret is None:
        return None
    if not hmac.compare_digest(said.encode(), _mac(secret, f"{party} {listed}").encode()):
        raise IntegrityError(
            f"the note of how far {party} had come is not by this environment's key", hint="restore both from a copy"
        )
    return tuple(Head(int(seq), str(hash_)) for seq, hash_ in json.loads(listed))


def _mac(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
