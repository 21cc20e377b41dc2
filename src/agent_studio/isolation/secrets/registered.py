"""Which values are production's, so that no other environment is given one: keyed hashes, never the values.

HMAC-SHA-256 under a random key; hashes and key are two files of `.agent-studio/production/`, for their owner only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.detect import Environment
from agent_studio.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.roots import Project
    from agent_studio.storage.folder import Folder

FILE, KEY_FILE = "secrets.json", "secrets.key"
SHORTEST = 8
"""Characters from which a value is told from others: `true` or `8080` is everybody's."""
EARLIER_DAYS = 90
"""How long a value that was replaced is still production's."""
_KEY_BYTES = 32
_HINT = "register them again: agent-studio scan --register --env production"


class Registered(NamedTuple):
    """What became of each declared variable."""

    registered: tuple[str, ...]
    missing: tuple[str, ...]
    """Not set where the command ran."""
    short: tuple[str, ...]
    """Too short to be told from others."""


def register(project: Project, names: Iterable[str], variables: Mapping[str, str]) -> Registered:
    """Keep hashes of the values that production's variables have now; what is not set here stays as it was kept."""
    folder = project.state(Environment.PRODUCTION)
    folder.make()
    wanted = sorted(set(names))
    kept = {name: listed for name, listed in _kept(folder).items() if name in wanted}
    missing = tuple(name for name in wanted if not variables.get(name))
    short = tuple(name for name in wanted if name not in missing and len(variables[name].strip()) < SHORTEST)
    key = _key(folder) or _new_key(folder)
    done = tuple(name for name in wanted if name not in {*missing, *short})
    now = clock.timestamp(clock.now())
    earlier = _earlier(folder)
    for name in done:
        new = _hash(key, variables[name])
        if name in kept and kept[name]["hmac"] != new:
            earlier.append({"hmac": kept[name]["hmac"], "replacedAt": now})
        kept[name] = {"hmac": new, "registeredAt": now}
    text = json.dumps({"values": kept, "earlier": earlier}, indent=2)
    folder.replace(FILE, text.encode() + b"\n")
    return Registered(done, missing, short)


def of_production(project: Project, variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names of variables with a value of production's; raise `IntegrityError` when it cannot be told."""
    folder = project.state(Environment.PRODUCTION)
    if not folder.has_folder():
        return frozenset()
    hashes = {entry["hmac"] for entry in (*_kept(folder).values(), *_earlier(folder))}
    if not hashes:
        return frozenset()
    key = _key(folder)
    if key is None:
        raise IntegrityError(f"{folder.path / KEY_FILE} is missing: production's values cannot be told", hint=_HINT)
    long = {name: value for name, value in variables.items() if len(value.strip()) >= SHORTEST}
    return frozenset(name for name, value in long.items() if _hash(key, value) in hashes)


def names(project: Project) -> frozenset[str]:
    """Return the names whose values are registered."""
    folder = project.state(Environment.PRODUCTION)
    return frozenset(_kept(folder)) if folder.has_folder() else frozenset()


def _kept(folder: Folder) -> dict[str, dict[str, str]]:
    try:
        values = json.loads(folder.read(FILE))["values"]
        return {str(name): {"hmac": str(entry["hmac"]), "registeredAt": str(entry["registeredAt"])}
                for name, entry in values.items()}  # fmt: skip
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{folder.path / FILE} is damaged", hint=_HINT) from error


def _earlier(folder: Folder) -> list[dict[str, str]]:
    """Return the hashes of values that were replaced in the last days: what they open may not be closed yet."""
    since = clock.timestamp(clock.now() - timedelta(days=EARLIER_DAYS))
    try:
        entries = json.loads(folder.read(FILE)).get("earlier", [])
        told = [{"hmac": str(entry["hmac"]), "replacedAt": str(entry["replacedAt"])} for entry in entries]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{folder.path / FILE} is damaged", hint=_HINT) from error
    return [entry for entry in told if entry["replacedAt"] >= since]


def _key(folder: Folder) -> bytes | None:
    try:
        key = bytes.fromhex(folder.read(KEY_FILE).decode("ascii", "replace").strip())
    except FileNotFoundError:
        return None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise IntegrityError(f"{folder.path / KEY_FILE} is damaged", hint=_HINT)
    return key


def _new_key(folder: Folder) -> bytes:
    folder.create(KEY_FILE, secrets.token_hex(_KEY_BYTES).encode() + b"\n")
    return _key(folder) or b""


def _hash(key: bytes, value: str) -> str:
    return hmac.new(key, value.strip().encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
