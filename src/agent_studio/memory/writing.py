"""How notes are written into Markdown: a new one at the end, a change in as few bytes as it takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.memory import fields, scanning
from agent_studio.memory.gates import RefusedError, check_secrets, check_text, cleaned_text
from agent_studio.memory.notes import DECISION, HAS_STATUS, ISSUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.memory.notes import Kind

TEXT_MAX_BYTES = 16_000
SEVERITIES = ("critical", "high", "medium", "low")
_TITLE_MAX, _TAG_MAX, _TAGS_MAX, _SOURCE_MAX = 120, 40, 12, 300
_HEADING = re.compile(r"^( {0,3})(#{1,6}[ \t])", re.MULTILINE)
_UNDERLINE = re.compile(r"^( {0,3})(=+|-+)[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:[-*+] +)?(`{3,}|~{3,})", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?。])\s")
_BOX = re.compile(rb"^([ \t]*(?:[-*+]|\d+[.)]) +)(?:\[[ xX]\] +)?")


class Draft(NamedTuple):
    """A note that is to be written."""

    kind: Kind
    title: str
    body: str
    severity: str = ""
    status: str = ""
    tags: tuple[str, ...] = ()
    source: str = ""


def draft(
    kind: Kind, text: str, *, title: str = "", severity: str = "", status: str = "", tags: Iterable[str] = (),
    source: str = "",
) -> Draft:  # fmt: skip
    """Return a note that may be written; raise `RefusedError` for one that may not.

    Without a title the first sentence is it.
    """
    cleaned = check_text(text, limit_bytes=TEXT_MAX_BYTES)
    given = line(title, _TITLE_MAX, "a title")
    check_secrets(f"{given}{cleaned}")  # one may be cut in two
    if status and kind.name not in HAS_STATUS:
        raise RefusedError(f"a {kind.name} has no status", hint="only decisions and issues have one")
    first = " ".join(_SENTENCE_END.split(cleaned.split("\n", 1)[0], maxsplit=1)[0].split()).lstrip("#>*- ")
    heading = given or (first if len(first) <= _TITLE_MAX else f"{first[: _TITLE_MAX - 1].rpartition(' ')[0]}…")
    body = "" if not given and " ".join(cleaned.split()).rstrip(".") == heading.rstrip(".") else cleaned
    if severity and severity.lower() not in SEVERITIES:
        raise RefusedError(f"{severity!r} is no severity", hint=f"valid: {', '.join(SEVERITIES)}")
    if severity and kind is not ISSUE:
        raise RefusedError(f"a {kind.name} has no severity", hint="only issues have one")
    labels = tuple(dict.fromkeys(filter(None, (line(tag, _TAG_MAX, "a tag").strip("#,; ") for tag in tags))))
    if len(labels) > _TAGS_MAX:
        raise RefusedError(f"a note has at most {_TAGS_MAX} tags", hint="keep those that one would search by")
    default = {ISSUE.name: "Open", DECISION.name: "Accepted"}.get(kind.name, "")
    graded = severity.capitalize() or ("Medium" if kind is ISSUE else "")
    return Draft(
        kind, heading.rstrip("."), body, graded, line(status, _TAG_MAX, "a status") or default, labels,
        line(source, _SOURCE_MAX, "a source"),
    )  # fmt: skip


def line(text: str, limit: int, what: str) -> str:
    """Return a text as one line without secrets; raise `RefusedError` for one that is too long."""
    whole = " ".join(cleaned_text(text).split())
    if len(whole) > limit:
        raise RefusedError(f"{what} has at most {limit} letters: {whole[:limit]}…", hint="make it shorter")
    check_secrets(whole)
    return whole


def written(note: Draft, note_id: str, day: str, label: str = "") -> str:
    """Return a note's Markdown, as the issues reader of the release gate takes it, too."""
    fields = (
        ("Date", day), ("Status", note.status), ("Severity", note.severity), ("Tags", ", ".join(note.tags)),
        ("Source", note.source),
    )  # fmt: skip
    head = f"## {f'{label}: ' if label else ''}{_inert(note.title)}\n<!-- id: {note_id} -->\n\n"
    listed = "".join(f"- **{name}**: {_inert(value)}\n" for name, value in fields if value)
    return f"{head}{listed}" + (f"\n{inert(note.body)}\n" if note.body else "")


def inert(body: str) -> str:
    """Return a text in which nothing begins a note, a comment, or a block of code that does not end."""
    text = _UNDERLINE.sub(r"\1\\\2", _HEADING.sub(r"\1\\\2", _inert(body)))
    fences = _FENCE.findall(text)
    if fences and not _closed(text):
        text = f"{text}\n{fences[-1]}"
    return text if _closed(text) else text.replace("```", "`` `").replace("~~~", "~~ ~")


def _closed(text: str) -> bool:
    """Tell whether every fence of a text is inside a block that ends in it."""
    data = text.encode("utf-8", "replace")
    hidden = scanning.hidden_spans(data)
    at = [match.start() for match in re.compile(rb"^[ \t]*(?:[-*+] +)?(?:`{3,}|~{3,})", re.MULTILINE).finditer(data)]
    return all(any(start <= one < end for start, end in hidden) for one in at)


def _inert(text: str) -> str:
    return text.replace("<!--", "&lt;!--").replace("-->", "--&gt;")


def with_status(data: bytes, status: str, note_id: str, kind: str) -> bytes:
    """Return a note's bytes with its status changed and its id written in it; all else is as it was."""
    ending = b"\r\n" if b"\r\n" in data else b"\n"
    told = status.encode()
    is_heading = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" ").startswith(b"#")
    seen = next((one for one in fields.of(data, has_status=kind in HAS_STATUS) if one.name == "status"), None)
    if seen:
        data = data[: seen.start] + (told.replace(b"|", b"/") if seen.is_cell else told) + data[seen.end :]
    elif not is_heading:
        data = _BOX.sub(rb"\1[x] ", data, count=1)
    known = fields.written_id(data)
    if known is None:
        data = _with_id(data, note_id, ending, is_heading=is_heading)
    elif known[1] != note_id.encode():  # another note has it
        data = data[: known.start(1)] + note_id.encode() + data[known.end(1) :]
    if not seen and is_heading:
        at = _after_head(data)
        before = b"" if data[:at].endswith(b"\n") else ending
        gap = b"" if re.match(rb"\s|\Z|[-*+] |#", data[at:]) else ending  # a paragraph would become a part of the item
        data = data[:at] + before + b"- **Status**: " + told + ending + gap + data[at:]
    return data


def _with_id(data: bytes, note_id: str, ending: bytes, *, is_heading: bool) -> bytes:
    """Write the id on a line below a heading, or at the end of an item's first line."""
    end = data.find(b"\n")
    end = len(data) if end < 0 else end
    first, rest = data[:end].rstrip(b"\r"), data[end:]
    mark = f"<!-- id: {note_id} -->".encode()
    kept = data[len(first) : end] + rest
    return first + (ending if is_heading else b" ") + mark + (kept or (ending if is_heading else b""))


def _after_head(data: bytes) -> int:
    """Return where a note's text begins: after its heading, its id, and empty lines below them."""
    match = re.match(rb"[^\n]*(?:\n|\Z)(?:[ \t]*<!--\s*id:[^\n]*(?:\n|\Z))?(?:[ \t\r]*\n)*", data)
    return match.end() if match else len(data)
