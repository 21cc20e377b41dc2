"""Reads `allowed_signers` as `ssh-keygen -Y verify` does, line by line: who is named, in which roles, by which key.

It is the stricter of the two: what it takes `ssh-keygen` takes, but not the reverse. Certificates, short names of key
types and DSA keys are faults here. A faulty line is its own loss: those behind it count.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROLES = ("qa", "security", "uat")
_BLANK = " \t"
_OPTION = re.compile(r'(?i:(namespaces|valid-after|valid-before)="((?:\\"|[^"])*)"|cert-authority)')
_QUOTED = re.compile(r'(?:\\"|"(?:\\"|[^"])*"|[^\s"])*')
_TIME = re.compile(r"(\d{8})(\d{4})?(\d{2})?(Z|UTC)?", re.IGNORECASE)
_ED25519_BYTES = 32
_RSA_BITS = 1024
_SUB_PATTERN = 1023
"""The longest pattern in a list that `ssh-keygen` looks at."""
_CURVES = {"nistp256": 32, "nistp384": 48, "nistp521": 66}
_TYPES = (
    "ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-{curve}" for curve in _CURVES), "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip


class Signer(NamedTuple):
    """One line that is no comment."""

    principals: tuple[str, ...]
    """Names or patterns of names."""
    roles: tuple[str, ...]
    """The roles of a promotion that its namespaces allow; all of them where it names no namespace."""
    key: str
    """The public key as `TYPE BASE64`; empty where the line is faulty."""
    fingerprint: str
    """`SHA256:...` as `ssh-keygen -l` says it; empty where the line is faulty."""
    fault: str = ""
    """Why the line names nobody; empty when it is sound."""
    number: int = 0
    """The line's number, from 1."""
    valid_after: datetime | None = None
    valid_before: datetime | None = None
    text: bytes = b""
    """The line itself."""

    def counts(self, now: datetime) -> bool:
        """Whether its signatures count at a time."""
        return not self.fault and (self.valid_after is None or now >= self.valid_after) and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return self.valid_before is not None and now > self.valid_before


class _Faulty(Exception):  # noqa: N818 - it ends a line, and nothing else
    """What is wrong with a line."""


def namespace(role: str) -> str:
    """Return what `ssh-keygen -Y` calls the namespace of a role."""
    return f"{role}@agent-studio"


def read(data: bytes) -> list[Signer]:
    """Return every line of a file of allowed signers that is neither blank nor a comment, faulty ones with the fault.

    A validity time without a zone is this machine's local time, as `ssh-keygen` has it.
    """
    return list(_lines(data))


def sound(data: bytes) -> bytes:
    """Return the file without its faulty lines, so that `ssh-keygen` takes nobody whom `read` does not."""
    return b"".join(one.text + b"\n" for one in _lines(data) if not one.fault)


def of_key(signers: Iterable[Signer], fingerprint: str) -> list[Signer]:
    """Return the sound lines that name a key."""
    return [one for one in signers if fingerprint and one.fingerprint == fingerprint]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a list of patterns takes a name, as `ssh-keygen` has it: `*`, `?`, and `!` for never."""
    took = False
    for given in patterns:
        pattern = given.removeprefix("!")
        if len(pattern) >= _SUB_PATTERN:
            return False
        if _pattern(pattern).fullmatch(name):
            if given.startswith("!"):
                return False
            took = True
    return took


def may_be(one: str, other: str) -> bool:
    """Tell whether two principals, each a name or a pattern, may mean one person; case decides nothing."""
    first, second = (name.casefold().removeprefix("!") for name in (one, other))
    return bool(_pattern(first).fullmatch(second) or _pattern(second).fullmatch(first))


def _pattern(text: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in re.sub(r"\*+", "*", text))
    return re.compile("".join(parts), re.DOTALL)


def _lines(data: bytes) -> Iterator[Signer]:
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if not line.strip() or line.lstrip(b" \t").startswith(b"#"):
            continue
        principals: tuple[str, ...] = ()
        try:
            principals, rest = _principals(_text(line))
            yield _signer(principals, rest)._replace(number=number, text=line)
        except _Faulty as fault:
            yield Signer(principals, (), "", "", str(fault), number, text=line)


def _text(line: bytes) -> str:
    try:
        text = line.decode("utf-8").strip(_BLANK)
    except UnicodeDecodeError:
        raise _Faulty("it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise _Faulty("it begins with a byte order mark, which would be part of the name")
    if any(not char.isprintable() and char != "\t" for char in text):
        raise _Faulty("it holds a character that is not printable")
    return text


def _principals(text: str) -> tuple[tuple[str, ...], str]:
    """Return the names and what follows; a quote anywhere in them lasts to the next one."""
    before, quote, behind = re.split(r'([\s"])', text, maxsplit=1) if re.search(r'[\s"]', text) else (text, "", "")
    if quote == '"':
        inside, closing, behind = behind.partition('"')
        if not closing:
            raise _Faulty("a quote is not closed")
        before += inside
    names = tuple(before.split(","))
    if not all(name.removeprefix("!").strip() for name in names):
        raise _Faulty("a name is empty")
    if any(len(name) >= _SUB_PATTERN for name in names):
        raise _Faulty("a name is too long")
    if all(name.startswith("!") for name in names):
        raise _Faulty("it says only who is not meant")
    return names, behind.lstrip(_BLANK)


def _signer(principals: tuple[str, ...], rest: str) -> Signer:
    spaces, after, before = None, None, None
    if not rest.startswith(tuple(f"{kind}{blank}" for kind in _TYPES for blank in _BLANK)):
        options = _QUOTED.match(rest)
        given = options[0] if options else ""
        if rest[len(given) :][:1] not in set(_BLANK):
            raise _Faulty("there is no key" if len(given) == len(rest) else "a quote is not closed")
        spaces, after, before = _options(given)
        rest = rest[len(given) :].lstrip(_BLANK)
    kind, *more = rest.split() or [""]
    if kind not in _TYPES or not more:
        raise _Faulty(f"{kind[:40]!r} is no type of key" if kind not in _TYPES else "there is no key")
    roles = tuple(role for role in ROLES if spaces is None or matches(namespace(role), spaces.split(",")))
    return Signer(
        principals, roles, f"{kind} {more[0]}", _fingerprint(kind, more[0]), valid_after=after, valid_before=before
    )


def _options(text: str) -> tuple[str | None, datetime | None, datetime | None]:
    found: dict[str, str] = {}
    for part in _separate(text):
        option = _OPTION.fullmatch(part)
        if option is None:
            raise _Faulty(f"{part[:40]} is no option and no type of key")
        if option[1] is None:
            raise _Faulty("cert-authority is not supported: name each person's own key")
        if option[1].lower() in found:
            raise _Faulty(f"{option[1].lower()} is given twice")
        found[option[1].lower()] = option[2].replace('\\"', '"')
    after, before = (_time(name, found[name]) if name in found else None for name in ("valid-after", "valid-before"))
    if after and before and before <= after:
        raise _Faulty("valid-before is not after valid-after")
    return found.get("namespaces"), after, before


def _separate(text: str) -> list[str]:
    return re.findall(r'(?:\\"|"(?:\\"|[^"])*"|[^,"])+', text) if text.strip(",") == text else [text]


def _time(name: str, text: str) -> datetime:
    given = _TIME.fullmatch(text)
    try:
        digits = f"{given[1]}{given[2] or '0000'}{given[3] or '00'}" if given else ""
        at = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - its zone comes next
        at = at.replace(tzinfo=UTC) if given and given[4] else at.astimezone(UTC)
        is_time = at.timestamp() > 0
    except (ValueError, OverflowError, OSError):
        is_time = False
    if not is_time:
        raise _Faulty(f'{name}="{text[:40]}" is no time: YYYYMMDD or YYYYMMDDHHMM[SS], with Z for UTC')
    return at


def _fingerprint(kind: str, text: str) -> str:
    try:
        blob = base64.b64decode(text, validate=True)
        is_key = base64.b64encode(blob).decode() == text and _is_key(kind, *_fields(blob))
    except ValueError:
        is_key = False
    if not is_key:
        raise _Faulty(f"what follows {kind} is no key of that type")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _fields(blob: bytes) -> list[bytes]:
    fields = []
    while blob:
        length = int.from_bytes(blob[:4])
        field, blob, given = blob[4 : 4 + length], blob[4 + length :], len(blob) - 4
        if given < length:
            raise ValueError(length)
        fields.append(field)
    return fields


def _is_key(kind: str, named: bytes, *fields: bytes) -> bool:
    if named != kind.encode():
        return False
    plain = kind.removeprefix("sk-").removesuffix("@openssh.com")
    if kind != plain:
        if not fields or not fields[-1]:
            return False
        fields = fields[:-1]  # the application
    if plain == "ssh-ed25519":
        return len(fields) == 1 and len(fields[0]) == _ED25519_BYTES
    if plain == "ssh-rsa":
        return len(fields) == 2 and _is_number(fields[0]) and _is_number(fields[1], _RSA_BITS)  # noqa: PLR2004
    curve = plain.removeprefix("ecdsa-sha2-")
    return (
        len(fields) == 2  # noqa: PLR2004
        and fields[0] == curve.encode()
        and len(fields[1]) == 1 + 2 * _CURVES[curve]
        and fields[1][:1] == b"\x04"
    )


def _is_number(field: bytes, bits: int = 2) -> bool:
    return bool(field) and field[0] < 0x80 and int.from_bytes(field).bit_length() >= bits  # noqa: PLR2004 - positive
