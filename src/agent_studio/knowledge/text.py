"""The text of a file whatever its bytes: UTF-8, UTF-16 with a mark, else the letters of Windows-1252."""

from __future__ import annotations

import codecs

from agent_studio.knowledge.yaml.mending import Repair

_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(data: bytes) -> tuple[str, tuple[Repair, ...]]:
    """Return the text and, where it is not UTF-8, what a reader that expects that would trip over."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            return text, (_foreign(1, "UTF-16", text),)
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(data) and len(data) - error.start < 4:  # noqa: PLR2004 - the longest letter of UTF-8, cut by the limit of what is read
            return data[: error.start].decode("utf-8-sig"), ()
        line = data.count(b"\n", 0, error.start) + 1
    text = data.decode("cp1252", "replace")
    return text, (_foreign(line, "Windows-1252", text),)


def _foreign(line: int, encoding: str, text: str) -> Repair:
    shown = text.splitlines()[line - 1 : line]
    return Repair(line, "encoding", f"is not UTF-8; read as {encoding}", shown[0] if shown else "")
