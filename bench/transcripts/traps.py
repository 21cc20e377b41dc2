"""Small transcripts with one trap each, as they are met in the wild, and what is true of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bench.transcripts.calls import Call
from bench.transcripts.generate import line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPUS = "claude-opus-4-6"
_NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _call(number: int = 1, **more: Any) -> Call:
    """Return one of the calls that traps are made of: 10 in, 5 out."""
    plain = Call(f"msg_{number}", f"req_{number}", "s1", "-p", _NOON, OPUS, input=10, output=5)
    return replace(plain, **more)


@dataclass(frozen=True)
class Peer:
    """A wrong count and its reason."""

    why: str
    says: tuple[tuple[str, int, int, str], ...]
    """Model, input and output tokens, USD; cache tokens are none in these traps."""


@dataclass(frozen=True)
class Trap:
    """Files and what is true of them."""

    name: str
    write: Callable[[Path], None]
    """Fills a project's folder of a configuration folder."""
    true: tuple[Call, ...]
    peer: Peer | None = None
    """What the peer says when it is wrong."""


def _file(*lines: Any, name: str = "s1.jsonl", end: bytes = b"\n", close: bool = True) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        texts = [one if isinstance(one, bytes) else json.dumps(one, separators=(",", ":")).encode() for one in lines]
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(end.join(texts) + (end if close else b""))

    return write


def _both(*writes: Callable[[Path], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for one in writes:
            one(folder)

    return write


def _said(
    number: int = 1, /, *, usage: dict[str, Any] | None = None, message: dict[str, Any] | None = None, **more: Any
) -> Any:
    """Return the line of a call, with other things in it."""
    entry = line(_call(number), session="s1", version="2.1.330")
    entry["message"]["usage"] |= usage or {}
    entry["message"] |= message or {}
    entry |= more
    return {name: value for name, value in entry.items() if value != "absent"}


def _spelled(text: str) -> bytes:
    return text.encode()


_ONE, _TWO = _call(1), _call(2)
_HALF = json.dumps(_said(2)).encode()[:200]


def _copied(folder: Path) -> None:
    _file(_said(1), _said(2))(folder)
    shutil.copytree(folder, folder.with_name("-copy"))


TRAPS: tuple[Trap, ...] = (
    Trap("repeated once a content block", _file(_said(1), _said(1), _said(1)), (_ONE,)),
    Trap("a partial line first", _file(_said(1, usage={"output_tokens": 1}), _said(1)), (_ONE,)),
    Trap("a partial line last", _file(_said(1), _said(1, usage={"output_tokens": 1})), (_ONE,)),
    Trap(
        "figures that grow apart",
        _file(_said(1, usage={"output_tokens": 9}), _said(1, usage={"input_tokens": 70})),
        (_call(input=70, output=9),),
        Peer("keeps the first line of equal output", ((OPUS, 70, 5, "0.000475"),)),
    ),
    Trap(
        "a fork that repeats",
        _both(_file(_said(1), _said(2)), _file(_said(1, sessionId="s2"), name="s2.jsonl")),
        (_ONE, _TWO),
    ),
    Trap("a copied project", _copied, (_ONE, _TWO)),
    Trap("an agent's file", _both(_file(_said(1)), _file(_said(2), name="s1/subagents/agent-a1.jsonl")), (_ONE, _TWO)),
    Trap(
        "an agent's file beside the main one",
        _both(_file(_said(1)), _file(_said(2), name="agent-a1.jsonl")),
        (_ONE, _TWO),
    ),
    Trap("no request id", _file(_said(1, requestId="absent"), _said(1, requestId="absent")), (_ONE,)),
    Trap(
        "request id null",
        _file(_said(1, requestId=None), _said(1, requestId=None)),
        (_ONE,),
        Peer("loses lines whose request id is null", ()),
    ),
    Trap(
        "request id empty",
        _file(_said(1, requestId=""), _said(1, requestId="")),
        (_ONE,),
        Peer("loses lines whose request id is empty", ()),
    ),
    Trap(
        "no message id",
        _file(_said(1, message={"id": None}), _said(1, message={"id": None})),
        (_ONE,),
        Peer("loses lines whose message id is null", ()),
    ),
    Trap(
        "neither id",
        _file(_said(1, requestId=None, message={"id": None}), _said(2, requestId=None, message={"id": None})),
        (_ONE, _TWO),
        Peer("loses lines whose ids are null", ()),
    ),
    Trap("synthetic", _file(_said(1), _said(2, message={"model": "<synthetic>"})), (_ONE,)),
    Trap(
        "an API error",
        _file(_said(1), _said(2, isApiErrorMessage=True)),
        (_ONE,),
        Peer("counts what no model answered", ((OPUS, 20, 10, "0.00035"),)),
    ),
    Trap(
        "usage in a tool's result",
        _file(_said(1), {"type": "user", "toolUseResult": {"usage": {"input_tokens": 9}}}),
        (_ONE,),
    ),
    Trap(
        "usage of another type of line",
        _file(_said(1), _said(2, type="api-request-blob")),
        (_ONE,),
        Peer("counts lines that are no responses", ((OPUS, 20, 10, "0.00035"),)),
    ),
    Trap(
        "spaced JSON",
        _file(_spelled(json.dumps(_said(1), separators=(" , ", " : ")))),
        (_ONE,),
        Peer("finds lines by how they are spelled", ()),
    ),
    Trap(
        "keys in another order",
        _file(_spelled(json.dumps(dict(reversed(_said(1).items()))))),
        (_ONE,),
        Peer("finds lines by the order of their keys", ()),
    ),
    Trap("CR LF", _file(_said(1), _said(2), end=b"\r\n"), (_ONE, _TWO)),
    Trap(
        "a byte order mark",
        _file(_spelled("\ufeff" + json.dumps(_said(1))), _said(2)),
        (_ONE, _TWO),
        Peer("loses the first line", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap(
        "not UTF-8",
        _file(json.dumps(_said(1)).encode().replace(b"as asked", b"\xff\xfe"), _said(2)),
        (_ONE, _TWO),
        Peer("loses lines whose text is not UTF-8", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap(
        "nulls",
        _file(
            _said(1, version=None, cwd=None, gitBranch=None, isSidechain=None), _said(2, usage={"service_tier": None})
        ),
        (_ONE, _TWO),
        Peer("loses lines whose version or folder is null", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap("a null count", _file(_said(1, usage={"cache_read_input_tokens": None})), (_ONE,), Peer("loses the line", ())),
    Trap("a line of 12 MB", _file(_said(1, text="x" * 12_000_000), _said(2)), (_ONE, _TWO)),
    Trap("a torn last line", _file(_said(1), _HALF, close=False), (_ONE,)),
    Trap("a line that is no JSON", _file(_said(1), _HALF, _said(2)), (_ONE, _TWO)),
    Trap("zero bytes", _both(_file(b"\0" * 4096), _file(_said(1), name="s2.jsonl")), (_ONE,)),
    Trap("a negative count", _file(_said(1), _said(2, usage={"input_tokens": -5})), (_ONE,)),
    Trap(
        "a count that overflows",
        _file(_said(1), _said(2, usage={"input_tokens": 10**18})),
        (_ONE,),
        Peer("takes an absurd count for true", ((OPUS, 10**18 + 10, 10, "5000000000000"),)),
    ),
    Trap("a count as text", _file(_said(1), _said(2, usage={"input_tokens": "10"})), (_ONE,)),
    Trap("a fractional count", _file(_said(1), _said(2, usage={"input_tokens": 1.5})), (_ONE,)),
    Trap(
        "an offset",
        _file(_said(1, timestamp="2026-11-01T23:30:00.000+02:00")),
        (_call(at=datetime(2026, 11, 1, 21, 30, tzinfo=UTC)),),
    ),
    Trap(
        "microseconds",
        _file(_said(1, timestamp="2026-11-01T12:00:00.123456Z")),
        (_ONE,),
        Peer("loses times with microseconds", ()),
    ),
    Trap(
        "a clock that jumps back",
        _file(_said(1), _said(2, timestamp="2026-10-31T12:00:00.000Z")),
        (_ONE, _call(2, at=datetime(2026, 10, 31, 12, tzinfo=UTC))),
    ),
    Trap(
        "a response over midnight",
        _file(_said(1, timestamp="2026-11-01T22:59:59.900Z"), _said(1, timestamp="2026-11-01T23:00:00.100Z")),
        (_call(at=datetime(2026, 11, 1, 22, 59, 59, tzinfo=UTC)),),
    ),
    Trap(
        "writes for an hour",
        _file(
            _said(
                1,
                usage={
                    "cache_creation_input_tokens": 1_000,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000},
                },
            )
        ),
        (_call(write_1h=1_000),),
    ),
    Trap(
        "writes without a split",
        _file(_said(1, usage={"cache_creation_input_tokens": 1_000, "cache_creation": None})),
        (_call(write_5m=1_000),),
    ),
    Trap(
        "batch",
        _file(_said(1, usage={"service_tier": "batch"})),
        (_call(service_tier="batch"),),
        Peer("knows no batch price", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap(
        "US-only inference",
        _file(_said(1, usage={"inference_geo": "us"})),
        (_call(inference_geo="us"),),
        Peer("knows no regional price", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap(
        "web searches",
        _file(_said(1, usage={"server_tool_use": {"web_search_requests": 3}})),
        (_call(searches=3),),
        Peer("leaves web searches out", ((OPUS, 10, 5, "0.000175"),)),
    ),
    Trap(
        "a model nobody knows",
        _file(_said(1), _said(2, message={"model": "house-model-7"})),
        (_ONE, _call(2, model="house-model-7")),
        Peer("prices an unknown model at $0", ((OPUS, 10, 5, "0.000175"), ("house-model-7", 10, 5, "0"))),
    ),
    Trap(
        "a new model",
        _file(_said(1, message={"model": "claude-opus-5-5"})),
        (_call(model="claude-opus-5-5"),),
        Peer("prices a model it does not know yet at $0", (("claude-opus-5-5", 10, 5, "0"),)),
    ),
    Trap(
        "a retired model",
        _file(_said(1, message={"model": "claude-3-5-haiku-20241022"})),
        (_call(model="claude-3-5-haiku-20241022"),),
    ),
    Trap(
        "a long context",
        _file(_said(1, message={"model": "claude-sonnet-4-5-20250929"}, usage={"input_tokens": 300_000})),
        (_call(model="claude-sonnet-4-5-20250929", input=300_000),),
        Peer(
            "has the higher price for the part above the limit only",
            (("claude-sonnet-4-5-20250929", 300000, 5, "1.200075"),),
        ),
    ),
)
"""In the order in which they are reported."""
