"""What a model said, held to the schema that was asked for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from agent_studio.reasoning.models.model import MALFORMED, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.reasoning.models.model import Request, Usage

ANSWER_BYTES_MAX = 4 << 20
"""Of what a provider sends for one call; more is no answer."""
_RAW_MAX = 2_000
_DEEPEST = 64


def checked(
    request: Request, text: str, data: Any = None, *, usage: Usage | None = None, who: str
) -> Mapping[str, Any] | None:
    """Return the answer as the request's schema has it, or None where plain text was asked for.

    Raises `ModelError` of kind malformed for an empty answer and for one that is not by the schema.
    """
    if request.schema is None:
        if not text.strip():
            raise _malformed(f"{who} answered nothing", text, usage)
        return None
    if data is None:
        if not text.strip():
            raise _malformed(f"{who} answered nothing", text, usage)
        data = _parsed(text, usage, who)
    fault = _fault(data, request.schema)
    if fault:
        raise _malformed(f"{who} answered against the schema: {fault}", text or json.dumps(data, default=str), usage)
    found: Mapping[str, Any] = data
    return found


def digest(raw: bytes | str) -> str:
    """Return the hash of a raw answer."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw).hexdigest()


def _parsed(text: str, usage: Usage | None, who: str) -> Any:
    try:
        return json.loads(_unfenced(text))
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{who} answered with no JSON: {error}"[:300], text, usage) from None


def _unfenced(text: str) -> str:
    """Return what stands in a block of code that is all of an answer, else the answer."""
    bare = text.strip()
    first, _, rest = bare.partition("\n")
    if first.rstrip() in {"```", "```json"} and rest.endswith("```"):
        return rest[: -len("```")]
    return text


def _fault(data: Any, schema: Mapping[str, Any]) -> str:
    """Return what is wrong with an answer, without repeating it at length; empty when nothing is."""
    if not isinstance(data, dict):
        return f"{type(data).__name__} in place of an object"
    if _is_deeper(data, _DEEPEST):
        return f"it is nested deeper than {_DEEPEST} levels"
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only once a model has answered

    error = next(iter(Draft202012Validator(dict(schema)).iter_errors(data)), None)
    if error is None:
        return ""
    place = ".".join(map(str, error.absolute_path)) or "the answer"
    return f"{place}: {error.message}"[:300]


def _is_deeper(data: Any, levels: int) -> bool:
    waiting = [data]
    for _ in range(levels):
        waiting = [
            inner
            for one in waiting
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not waiting:
            return False
    return True


def _malformed(message: str, text: str, usage: Usage | None) -> ModelError:
    return ModelError(message, kind=MALFORMED, usage=usage, raw=text[:_RAW_MAX])
