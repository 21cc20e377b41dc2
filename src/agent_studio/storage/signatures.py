"""Signatures by SSH keys, as `git` and `ssh-keygen -Y` make them: a key people have, checked by a tool they have.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOOL = "ssh-keygen"
_SECONDS = 20
_MAGIC = b"SSHSIG"


class SignerMissingError(AgentStudioError):
    """There is no key to sign with, or no tool that signs."""

    code = "signer-missing"


def machine_key(name: str, environ: Mapping[str, str]) -> Path:
    """Return the private key of this account and machine by a name, made on first use: ed25519, no passphrase, 0600.

    Raises `SignerMissingError` without `ssh-keygen` or a home to keep the key in.
    """
    place = _configuration(environ) / name
    if not place.exists():
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(place)
        except OSError as error:
            raise SignerMissingError(
                f"no key can be kept in {place.parent}: {error.strerror or error}",
                hint="make the folder writable, or name another by XDG_CONFIG_HOME",
            ) from None
    return place


def public_key(key: Path) -> str:
    """Return the public half as a line `TYPE BASE64`; raises `SignerMissingError` when the key cannot be read."""
    done = _run(["-y", "-P", "", "-f", str(key)])
    if done.returncode:
        raise SignerMissingError(
            f"{key} is no key that can be used: {done.stderr.decode(errors='replace').strip()}",
            hint="move it away: a new one is made",
        )
    return " ".join(done.stdout.decode().split()[:2])


def sign(data: bytes, key: Path, namespace: str) -> str:
    """Return the armoured signature of some bytes; raises `SignerMissingError` when the key does not sign."""
    done = _run(["-Y", "sign", "-q", "-f", str(key), "-n", namespace], data)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise SignerMissingError(
            f"{key} did not sign: {done.stderr.decode(errors='replace').strip() or 'no signature came out'}",
            hint="agent-studio needs OpenSSH 8.2 or newer and a key without a passphrase, or one held by ssh-agent",
        )
    return done.stdout.decode("ascii")


def verify(
    data: bytes, signature: str, signers: bytes, namespace: str, principals: Sequence[str] | None = None
) -> str | None:
    """Return who of the allowed signers signed exactly these bytes for this namespace, or None.

    `signers` are lines `PRINCIPAL [OPTIONS] TYPE BASE64`, as in `ssh-keygen(1)`, ALLOWED SIGNERS. `principals` says who
    is asked for, else `ssh-keygen` looks who it may be. Raises `SignerMissingError` without `ssh-keygen`.
    """
    with tempfile.TemporaryDirectory(prefix="agent-studio-") as folder:
        armoured, allowed = Path(folder, "signature"), Path(folder, "signers")
        armoured.write_text(signature, encoding="utf-8", errors="replace")
        allowed.write_bytes(signers)
        named = ["-f", str(allowed), "-s", str(armoured)]
        if principals is None:
            found = _run(["-Y", "find-principals", *named])
            principals = found.stdout.decode(errors="replace").split() if not found.returncode else ()
        for principal in principals:
            done = _run(["-Y", "verify", *named, "-n", namespace, "-I", principal], data)
            if not done.returncode and done.stdout.startswith(b"Good "):
                return principal
    return None


def key_of(signature: str) -> str:
    """Return the fingerprint of the public key that a signature says it was made with, empty when it is none.

    The key is the first field of the blob, behind magic and version.
    """
    lines = signature.strip().split("\n")
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
        start = len(_MAGIC) + 8
        length = int.from_bytes(blob[start - 4 : start])
    except ValueError:
        return ""
    key = blob[start : start + length]
    if not blob.startswith(_MAGIC) or len(key) != length or not key:
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _configuration(environ: Mapping[str, str]) -> Path:
    if os.name == "nt":
        base = environ.get("APPDATA")
    else:
        base = environ.get("XDG_CONFIG_HOME") or (environ.get("HOME") and f"{environ['HOME']}/.config")
    if not base or not Path(base).is_absolute():
        raise SignerMissingError("no folder for a key of this account", hint="set HOME or XDG_CONFIG_HOME")
    return Path(base, "agent-studio")


def _make(place: Path) -> None:
    """Make a key under another name and link it into place, so that two processes end with the same one."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as folder:
        fresh = Path(folder, "key")
        done = _run(["-q", "-t", "ed25519", "-N", "", "-C", place.name, "-f", str(fresh)])
        if done.returncode:
            raise SignerMissingError(
                f"{_TOOL} made no key: {done.stderr.decode(errors='replace').strip()}",
                hint="install OpenSSH 8.2 or newer",
            )
        with disk_faults(place):
            try:
                os.link(fresh, place)
            except FileExistsError:
                return


def _run(arguments: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    tool = shutil.which(_TOOL)
    if tool is None:
        raise SignerMissingError(f"there is no {_TOOL} on this machine", hint="install OpenSSH (openssh-client)")
    try:
        return subprocess.run([tool, *arguments], input=data, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SignerMissingError(
            f"{_TOOL} did not answer within {_SECONDS} s", hint="a key with a passphrase needs ssh-agent"
        ) from None
    except OSError as error:  # no process can be started, no pipe be written to
        raise SignerMissingError(
            f"{_TOOL} could not be run: {error.strerror or error}", hint="free memory or space, then try again"
        ) from None
