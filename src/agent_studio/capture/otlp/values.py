"""OTLP's values as plain JSON: attributes, numbers and texts, cut where they are too long or too deep."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_KEPT = 256
_TEXT_KEPT = 8_192
_ITEMS_KEPT = 256
_DEPTH = 8
_CUT = "…[cut]"
_INTEGER = re.compile(r"-?[0-9]{1,20}")


class Unusable(Exception):  # noqa: N818 - what a record is
    """One record that is refused while the rest is taken."""


def get(holder: Mapping[str, Any], name: str) -> Any:
    """Return a field by its name in camelCase or in snake_case, or None."""
    found = holder.get(name)
    return holder.get(_snake(name)) if found is None else found


@cache
def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def pairs(listed: object, depth: int, limit_bytes: int | None = None) -> dict[str, Any]:
    """Return a list of KeyValue as an object; what is no pair is passed over, what is too much is left out."""
    found: dict[str, Any] = {}
    left = limit_bytes
    for pair in listed if isinstance(listed, list) else ():
        key = pair.get("key") if isinstance(pair, dict) else None
        if not key or not isinstance(key, str):
            continue
        if len(found) >= _ITEMS_KEPT:
            break
        key, value = cut(key, NAME_KEPT), any_value(get(pair, "value"), depth)
        if left is not None:
            left -= len(encode({key: value}))
            if left < 0:
                break
        found[key] = value
    return found


def any_value(value: object, depth: int = 0) -> Any:
    """Return an AnyValue as plain JSON; None for an empty one, one of an unknown kind, or one nested too deeply."""
    if not isinstance(value, dict) or depth > _DEPTH:
        return None
    for kind, read in _KINDS.items():
        inner = get(value, kind)
        if inner is not None:
            return read(inner, depth)
    return None


def _text(inner: object, _: int) -> str | None:
    return cut(inner) if isinstance(inner, str) else None


def _truth(inner: object, _: int) -> bool | None:
    return inner if isinstance(inner, bool) else None


def _whole(inner: object, _: int) -> int | None:
    try:
        return integer(inner)
    except Unusable:
        return None


def _double(inner: object, _: int) -> float | str | None:
    """Return a number; what JSON has no number for keeps its name."""
    if isinstance(inner, str):
        return inner if inner in {"NaN", "Infinity", "-Infinity"} else None
    if isinstance(inner, bool) or not isinstance(inner, int | float):
        return None
    try:
        number = float(inner)
    except OverflowError:
        return None
    if math.isnan(number):
        return "NaN"
    return number if math.isfinite(number) else f"{'-' * (number < 0)}Infinity"


def _bytes(inner: object, _: int) -> str | None:
    return cut(inner) if isinstance(inner, str) else None


def _array(inner: object, depth: int) -> list[Any]:
    values = get(inner, "values") if isinstance(inner, dict) else None
    return [any_value(value, depth + 1) for value in values[:_ITEMS_KEPT]] if isinstance(values, list) else []


def _mapping(inner: object, depth: int) -> dict[str, Any]:
    return pairs(get(inner, "values"), depth + 1) if isinstance(inner, dict) else {}


_KINDS = {
    "stringValue": _text, "intValue": _whole, "boolValue": _truth, "doubleValue": _double, "arrayValue": _array,
    "kvlistValue": _mapping, "bytesValue": _bytes,
}  # fmt: skip


def integer(value: object) -> int:
    """Return a 64-bit integer, as a number or as text; raise `Unusable`."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 64:
        raise Unusable("a number that is not a 64-bit integer")
    return value


def number(value: object) -> float | None:
    """Return a finite number, None for none; raise `Unusable`."""
    if value is None:
        return None
    found = _double(value, 0)
    if not isinstance(found, float):
        raise Unusable("a value that is not a finite number")
    return found


def cut(text: str, kept: int = _TEXT_KEPT) -> str:
    """Return a text, cut with a mark where it is too long."""
    return text if len(text) <= kept else text[:kept] + _CUT


def encode(value: object) -> bytes:
    """Return compact UTF-8 JSON; half a surrogate pair becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")
