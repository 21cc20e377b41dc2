"""Cost logs of the original Agent Studio: read and verified, never written.

A line is JSON with `_prevHash` and `_hash`: the first 32 hex digits of SHA-256 over the previous hash (`0` at first)
and the entry without these two, as compact JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost.counting import MOST
from agent_studio.cost.money import pico_of, usd_text
from agent_studio.cost.responses import instant_ms
from agent_studio.records import LlmUsage
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.roots import EnvironmentRoot

GENESIS = "0"
_OWN = ("_hash", "_prevHash")
_DIGITS = re.compile(r"[0-9a-f]{32}")
_HALF = re.compile("[\ud800-\udfff]")


class _Number(str):
    """A number as it is written; JSON made by JavaScript spells each in one way only."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number)


def is_line(data: bytes) -> bool:
    """Tell whether a line is one of the original's chain."""
    entry = _entry(data)
    return entry is not None and "_seq" not in entry and "tier" in entry


def after(head: Head, data: bytes) -> Head | None:
    """Return the head after a line (without its line break), or None when it does not continue the chain."""
    entry = _entry(data)
    if entry is None or entry["_prevHash"] != head.hash or not _is_sound(entry):
        return None
    return Head(head.seq + 1, entry["_hash"])


def kind(head: Head, data: bytes) -> tuple[str, str]:
    """Return what was done at the first line that does not continue the chain, and how that shows."""
    entry = _entry(data)
    if entry is None or not _is_sound(entry):
        return "changed", "what it says is not what its hash is of"
    if entry["_prevHash"].startswith("BROKEN_"):
        return "changed", "the original found the line before it unreadable and began a new chain"
    return "deleted", f"lines are missing behind entry {head.seq}, or two writers appended at once"


class Reading(NamedTuple):
    """What the original recorded."""

    records: list[LlmUsage]
    refused: int
    """Lines that are not as they were written, or whose figures cannot be."""


def read(root: EnvironmentRoot) -> Reading:
    """Return what the original recorded in this environment's data, with the costs it wrote.

    It names a tier instead of a model, and no session.
    """
    place = root.original(LlmUsage.kind, LlmUsage.file, beside=True)
    lines = [] if place is None else [line for line in place[0].read(place[1]).split(b"\n") if line.strip()]
    sound = [json.loads(line) for line in lines if (entry := _entry(line)) is not None and _is_sound(entry)]
    found = list(_records(sound))
    return Reading(found, len(lines) - len(found))


def _records(entries: Iterable[dict[str, Any]]) -> Iterator[LlmUsage]:
    for entry in entries:
        said, written = _count(entry.get("inputTokens")), _count(entry.get("outputTokens"))
        cost, at = pico_of(str(entry.get("cost"))), str(entry.get("timestamp"))
        if said is None or written is None or instant_ms(at) is None:
            continue
        yield LlmUsage(
            timestamp=at, session_id="", request_id=f"original:{entry.get('_hash')}", message_id="",
            provider="anthropic", model=str(entry.get("tier")), agent=_text(entry.get("agent")), skill=None, project="",
            task_id=_text(entry.get("taskId")), input_tokens=said, output_tokens=written, cache_read_tokens=0,
            cache_write5m_tokens=0, cache_write1h_tokens=0, web_searches=0, service_tier=None, speed=None, region=None,
            cost_usd=None if cost is None else usd_text(cost), price_source=None if cost is None else "original",
            source="original",
        )  # fmt: skip


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _entry(data: bytes) -> dict[str, Any] | None:
    try:
        entry = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not _DIGITS.fullmatch(str(entry.get("_hash"))):
        return None
    return entry if isinstance(entry.get("_prevHash"), str) else None


def _is_sound(entry: dict[str, Any]) -> bool:
    names = sorted(name for name in entry if name not in _OWN)
    text = _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", _written(entry, names))
    own = hashlib.sha256((entry["_prevHash"] + text).encode()).hexdigest()[:32]
    return bool(own == entry["_hash"])


def _written(value: Any, names: list[str]) -> str:
    """Return a value as the original's `JSON.stringify` writes it: at every depth only these names, in this order."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(f"{json.dumps(name)}:{_written(value[name], names)}" for name in names if name in value)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(_written(one, names) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)
