"""Checks a value against the part of JSON Schema that task files are described in, and says where it is wrong."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
_FORMS: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,),
    "number": (int, float),
}  # fmt: skip
_NAMES = {
    "object": "a mapping", "array": "a list", "string": "text", "boolean": "true or false",
    "integer": "a whole number", "number": "a number",
}  # fmt: skip


class Fault(NamedTuple):
    """Something that a schema does not allow."""

    path: Path
    message: str
    hint: str = ""


def faults(value: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[Fault]:
    """Yield what is wrong with a value, outermost first."""
    form = schema.get("type")
    if form and not _is(value, form):
        yield Fault(path, f"is {_shown(value)}, not {_NAMES[form]}")
        return
    if options := schema.get("anyOf"):
        yield from _of_any(value, options, path)
    if "enum" in schema and value not in schema["enum"]:
        yield Fault(path, f"is {_shown(value)}", did_you_mean(str(value), schema["enum"]))
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, dict):
        yield from _mapping(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)


def _is(value: Any, form: str) -> bool:
    if isinstance(value, bool):
        return form == "boolean"
    return isinstance(value, _FORMS[form])


def _of_any(value: Any, options: list[Mapping[str, Any]], path: Path) -> Iterator[Fault]:
    """Yield the faults of the option that a value means: the one whose own key it has, or whose form."""
    kinds = {next(iter(option["required"]), ""): option for option in options if option.get("required")}
    if isinstance(value, dict) and kinds:
        meant = [name for name in kinds if name in value]
        if len(meant) == 1:
            yield from faults(value, kinds[meant[0]], path)
        elif meant:
            yield Fault(path, f"is {' and '.join(meant)} at once", "one check, one kind: write two")
        else:
            own = next((name for name in value if name not in {"name", "keeps"}), "")
            yield Fault(path, f"is no check that is known: {own or 'it is empty'}", did_you_mean(own, kinds))
        return
    fits = [option for option in options if not option.get("type") or _is(value, option["type"])]
    if not fits:
        yield Fault(
            path, f"is {_shown(value)}, not {' or '.join(dict.fromkeys(_NAMES[option['type']] for option in options))}"
        )
        return
    yield from faults(value, fits[0], path)


def _text(value: str, schema: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    if len(value) < schema.get("minLength", 0):
        yield Fault(path, "is empty")
    elif "\0" in value:
        yield Fault(path, f"is {_shown(value)}", "text without NUL")
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        hint = "a path below the folder, without .." if r"\.\." in schema["pattern"] else f"as {schema['pattern']}"
        yield Fault(path, f"is {_shown(value)}", hint)
    elif schema.get("format") == "regex" and (fault := _no_pattern(value)):
        yield Fault(
            path, f"is {_shown(value)}, no regular expression: {fault}", "write a \\ before what is meant as it is"
        )


def _no_pattern(value: str) -> str:
    try:
        re.compile(value, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


def _mapping(value: dict[str, Any], schema: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    if len(value) < schema.get("minProperties", 0):
        yield Fault(path, "is empty", f"one of {', '.join(known)}")
    for name in schema.get("required", ()):
        if name not in value:
            yield Fault(path, f"has no {name}")
    for name, inner in value.items():
        if not isinstance(name, str):
            yield Fault(path, f"has the key {_shown(name)}, which is no text", "put it in quotes")
        elif named := next(faults(name, schema.get("propertyNames", {}), (*path, name)), None):
            yield named
        elif name in known:
            yield from faults(inner, known[name], (*path, name))
        elif more is False:
            yield Fault((*path, name), "is an unknown key", did_you_mean(name, known))
        elif isinstance(more, dict):
            yield from faults(inner, more, (*path, name))


def _list(value: list[Any], schema: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    if len(value) < schema.get("minItems", 0):
        yield Fault(path, "is empty")
    for number, inner in enumerate(value):
        yield from faults(inner, schema.get("items", {}), (*path, number))


def _number(value: float, schema: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if not math.isfinite(value):
        yield Fault(path, f"is {value}", "a number")
    elif (low is not None and value < low) or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        yield Fault(path, f"is {value}", limits)


def _shown(value: Any) -> str:
    return repr(value)[:80]
