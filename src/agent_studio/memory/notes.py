"""What one note says: its id, kind, date, state and words, read from the Markdown that a person may have written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.memory import fields, issues, scanning, words
from agent_studio.memory.index import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Kind(NamedTuple):
    """One kind of note and the file it is kept in."""

    name: str
    file: str
    title: str


LEARNING = Kind("learning", "learnings.md", "Learnings")
DECISION = Kind("decision", "decisions.md", "Decisions")
ISSUE = Kind("issue", "issues.md", "Open issues")
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        LEARNING, DECISION, ISSUE, Kind("gotcha", "gotchas.md", "Gotchas"), Kind("pattern", "patterns.md", "Patterns"),
        Kind("discovery", "discoveries.md", "Discoveries"),
    )
}  # fmt: skip
SESSION = Kind("session", "sessions.md", "Sessions")
HAS_STATUS = frozenset((DECISION.name, ISSUE.name))
"""Kinds of which every note has a status."""
_LABEL = re.compile(r"\[?((?:ADR|[A-Z][A-Z0-9]{1,24}(?:-[A-Z0-9]+)*)-\d{1,6})\]?(?=[\s:\].–—-]|$)")
_DATE = re.compile(r"\b(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))\b")
_OVER = re.compile(
    r"(?:superseded|deprecated|rejected|obsolete|withdrawn|resolved|fixed|closed|done|outdated|no longer)\b",
    re.IGNORECASE,
)
_TASK_DONE = re.compile(r"(?:[-*+]|\d+[.)]) +\[[xX]\] ")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TITLE_MAX = 200


class Note(NamedTuple):
    """A note as it was read."""

    id: str
    """The one written in it, or one made of its words until it is first changed by us."""
    kind: str
    title: str
    text: str
    """The Markdown of it, without its id."""
    date: str = ""
    """`YYYY-MM-DD`; empty where it has none."""
    label: str = ""
    """What people call it: `ADR-012`."""
    status: str = ""
    """As written."""
    is_open: bool = True
    """Whether it still holds: an issue that is not settled, a decision that nothing replaced."""
    severity: str = ""
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    has_id: bool = False
    """Whether its id is written in it."""
    place: str = ""
    """Its file, from the memory folder."""
    line: int = 0

    def told(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "id": self.id, "kind": self.kind, "title": self.title, "date": self.date or None,
            "label": self.label or None, "status": self.status or None, "open": self.is_open,
            "severity": self.severity or None, "tags": list(self.tags), "file": self.place, "line": self.line or None,
            "text": self.text,
        }  # fmt: skip

    @property
    def said(self) -> str:
        """What it says, for comparing: without fields that only describe it."""
        return said(self.text, self.kind)


def read(data: bytes, kind: str, *, place: str = "", groups: tuple[str, ...] = (), line: int = 0) -> Note:
    """Return the note that some bytes hold; `groups` are the headings above it."""
    raw = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip(b"\n")
    written = fields.written_id(raw)
    text = _without(raw, written).decode("utf-8", "replace").strip()
    title = _title(text)
    label = _LABEL.match(title)
    listed = list(fields.of(text.encode(), has_status=kind in HAS_STATUS))
    said_of = {one.name: one.value for one in reversed(listed)}
    status = said_of.get("status", "")
    is_open, severity = _state(text, kind, status, groups)
    dated = (said_of.get("date", ""), title, *reversed(groups))
    date = next(filter(None, map(_DATE.search, dated)), None)
    return Note(
        written[1].decode() if written else derived_id(text), kind, title[:_TITLE_MAX], text,
        date[1] if date else "", label[1] if label else "", status, is_open, severity,
        _tags(said_of.get("tags") or said_of.get("tag") or ""), groups, written is not None, place, line,
    )  # fmt: skip


def _without(raw: bytes, written: re.Match[bytes] | None) -> bytes:
    """Return a note's bytes without its id, and without the line of its own that the id stood on."""
    if written is None:
        return raw
    before, after = raw[: written.start()], raw[written.end() :].lstrip(b" \t")
    line = before.rstrip(b" \t")
    return (line[:-1] if line.endswith(b"\n") else before) + after


def derived_id(text: str) -> str:
    """Return the id that a note has by its words."""
    return f"m-{words.fingerprint(_bare(text))[:12]}"


def _title(text: str) -> str:
    line = _COMMENT.sub("", text).strip().split("\n", 1)[0].strip()
    line = re.sub(r"^#{1,6}[ \t]+|^(?:[-*+]|\d+[.)])[ \t]+(?:\[[ xX]\] +)?", "", line)
    return scanning.title_of(line) or "(no heading)"


def _state(text: str, kind: str, status: str, groups: tuple[str, ...]) -> tuple[bool, str]:
    """Return whether a note still holds, and how grave it is: of issues as the release gate reads them."""
    if kind != ISSUE.name:
        return not (_OVER.match(status) or _TASK_DONE.match(text) or "~~" in text.partition("\n")[0]), ""
    above = "".join(f"{'#' * (2 + at)} {title}\n\n" for at, title in enumerate(groups[-4:]))
    deeper = re.sub(r"^#{1,6}(?=[ \t])", "######", text, count=1) if above else text
    found = [one for one in issues.parse(f"{above}{deeper}\n") if not one.fault.startswith("it has no heading")]
    return any(one.is_open for one in found) if found else True, found[0].severity if found else ""


def is_issue(note: Note) -> bool:
    """Tell whether what stands in the issues file is an issue, and no sentence that there are none."""
    return bool(issues.parse(note.text if note.text.startswith("#") else f"## Open\n\n{note.text}\n"))


def _tags(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (tag.strip(" #*_`") for tag in re.split(r"[,;]", value))))


def said(text: str, kind: str) -> str:
    """Return a note's words without its marks, its id, and the fields that only describe it."""
    data, parts, at = text.encode(), list[bytes](), 0
    for one in fields.of(data, has_status=kind in HAS_STATUS):
        if not one.is_cell:
            parts.append(data[at : one.line_start])
            at = one.end
    kept = _COMMENT.sub("", b"".join((*parts, data[at:])).decode())
    return re.sub(
        r"^[ \t]*(?:#{1,6}[ \t]+|(?:[-*+]|\d+[.)])[ \t]+(?:\[[ xX]\] +)?)", "", kept, flags=re.MULTILINE
    ).strip()


def _bare(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def pieces_of(kind: str) -> Callable[[bytes, bool], Iterator[Piece]]:
    """Return what reads a file of one kind for the index."""

    def pieces(data: bytes, is_whole: bool) -> Iterator[Piece]:  # noqa: FBT001 - as the index calls it
        for span in scanning.spans(data, is_whole=is_whole):
            note = read(data[span.start : span.end], kind, groups=span.groups)
            if kind != ISSUE.name or is_issue(note):
                size = span.end - span.start
                extra = " ".join((note.kind, *note.groups, *note.tags))
                other = derived_id(note.text) if note.has_id else ""
                yield Piece(
                    note.id, span.start, size, note.said, extra, note.label, span.level == _ANCHOR_LEVEL, note.kind,
                    note.is_open, note.groups, other,
                )  # fmt: skip

    return pieces


_ANCHOR_LEVEL = 2
"""A heading of this level begins anew whatever stood above it."""
