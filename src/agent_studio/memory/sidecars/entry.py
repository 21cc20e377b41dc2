"""One entry of a sidecar, and how it is written: a JSON object on a line."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.memory.gates import RefusedError, check_secrets, check_text, cleaned_text
from agent_studio.storage import journal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

KINDS = ("decision", "pattern", "gotcha", "preference", "outcome", "note")
TEXT_MAX_BYTES = 4_000
LINE_MAX_BYTES = 8_192
_TAGS_MAX, _TAG_MAX, _SOURCE_MAX = 12, 40, 200
_FIELDS = frozenset(
    ("id", "ts", "kind", "text", "tags", "source", "pinned", "supersedes", "supersededBy", "expires", "sha")
)


class Entry(NamedTuple):
    """Something an agent keeps."""

    id: str
    """`s-` and 12 hex digits."""
    ts: str
    """When it was added, as the clock had it; the order of entries is that of their lines."""
    kind: str
    text: str
    tags: tuple[str, ...] = ()
    source: str = ""
    """Where it comes from: a file, a session, an address."""
    pinned: bool = False
    """It stays in the hot file, and is shown first."""
    supersedes: str = ""
    superseded_by: str = ""
    expires: str = ""
    """From when on it no longer holds; empty for never."""
    sha: str = ""
    """The first 32 hex digits of the text's SHA-256."""
    others: tuple[tuple[str, Any], ...] = ()
    """Fields of other versions, kept as they are."""

    def holds(self, now: str) -> bool:
        """Tell whether it is still to be believed."""
        return not self.superseded_by and not (self.expires and self.expires <= now)

    @property
    def is_touched(self) -> bool:
        """Whether its text is another than was added: somebody edited the file by hand."""
        return self.sha != sha_of(self.text)

    def told(self) -> dict[str, Any]:
        """Return it as it is written and told to programs."""
        return {
            "id": self.id, "ts": self.ts, "kind": self.kind, "text": self.text, "tags": list(self.tags),
            "source": self.source, "pinned": self.pinned, "supersedes": self.supersedes or None,
            "supersededBy": self.superseded_by or None, "expires": self.expires or None, "sha": self.sha,
            **dict(self.others),
        }  # fmt: skip


def new(
    text: str, *, kind: str, tags: Iterable[str], source: str, pinned: bool, supersedes: str, expires: datetime | None
) -> Entry:
    """Return an entry that may be kept; raise `RefusedError` for one that may not."""
    if kind not in KINDS:
        raise RefusedError(f"{kind!r} is no kind of entry", hint=f"valid: {', '.join(KINDS)}")
    cleaned = check_text(text, limit_bytes=TEXT_MAX_BYTES)
    until = "" if expires is None else clock.timestamp(expires)
    made = Entry(
        f"s-{os.urandom(6).hex()}", clock.timestamp(clock.now()), kind, cleaned, checked_tags(tags),
        _line(source, _SOURCE_MAX, "a source"), pinned, supersedes, "", until,
        sha_of(cleaned),
    )  # fmt: skip
    if len(encoded(made)) > LINE_MAX_BYTES:
        raise RefusedError(
            f"with its tags and source the entry has more than {LINE_MAX_BYTES:,} bytes", hint="keep what matters"
        )
    return made


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as they may be kept, each once."""
    found = tuple(dict.fromkeys(filter(None, (_line(tag, _TAG_MAX, "a tag").lstrip("#") for tag in tags))))
    if len(found) > _TAGS_MAX:
        raise RefusedError(f"an entry has at most {_TAGS_MAX} tags", hint="keep those that one would search by")
    return found


def _line(text: str, limit: int, what: str) -> str:
    line = " ".join(cleaned_text(text).split())
    if len(line) > limit:
        raise RefusedError(f"{what} has at most {limit} letters: {line[:limit]}…", hint="make it shorter")
    check_secrets(line)
    return line


def sha_of(text: str) -> str:
    """Return the hash by which an entry's text is known."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def encoded(entry: Entry) -> bytes:
    """Return an entry's line."""
    return journal.encode(entry.told())


def parsed(line: bytes) -> Entry | None:
    """Return the entry of a line, or None for what is none; fields that a hand left out are made up for."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not _is_text(value.get("id")) or not _is_text(value.get("text")):
        return None
    tags = value.get("tags")
    return Entry(
        value["id"], _text(value, "ts"), _text(value, "kind") or "note", value["text"],
        tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        _text(value, "source"), value.get("pinned") is True, _text(value, "supersedes"), _text(value, "supersededBy"),
        _text(value, "expires"), _text(value, "sha"),
        tuple((name, one) for name, one in value.items() if name not in _FIELDS),
    )  # fmt: skip


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
