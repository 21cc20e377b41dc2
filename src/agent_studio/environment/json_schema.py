"""The JSON Schema of a configuration file, for editors and other validators, made from the table of keys."""

from __future__ import annotations

from typing import Any

from agent_studio.environment.schema import KEYS, RENAMED, RETIRED, SECTIONS, Form, Key, flag_keys, key_for

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANY_FLAG = "ANY"
_NO_DOTS = {"pattern": r"^[^.]+$"}

_TYPES: dict[Form, dict[str, Any]] = {
    Form.BOOLEAN: {"type": "boolean"},
    Form.INTEGER: {"type": "integer"},
    Form.NUMBER: {"type": "number"},
    Form.STRING: {"type": "string"},
    Form.STRINGS: {"type": "array", "items": {"type": "string"}},
    Form.OBJECT: {"type": "object"},
    Form.OBJECTS: {"type": "array", "items": {"type": "object"}},
}


def json_schema() -> dict[str, Any]:
    """Return the schema: closed in our sections, open elsewhere, the original's keys allowed as deprecated."""
    root: dict[str, Any] = {"type": ["object", "null"], "properties": {}}
    for key in KEYS:
        _place(root, key.name, _key(key))
    _place(root, f"features.{_ANY_FLAG}", _section())
    for key in flag_keys(_ANY_FLAG):
        _place(root, key.name, _key(key))
    for old, ours in RENAMED.items():
        key_of_ours = key_for(ours)
        if key_of_ours:
            _place(root, old, {**_key(key_of_ours), "description": f"Read as {ours}.", "deprecated": True})
    for old, decides in RETIRED.items():
        _place(root, old, {"description": f"Not used: decided by {decides}.", "deprecated": True})
    _open_flags(root["properties"]["features"])
    _refuse_empty_old_sections(root)
    return {
        "$schema": DIALECT,
        "title": "Agent Studio configuration",
        "description": "One file of .claude/: config.yaml or config.<environment>.yaml",
        **root,
        "propertyNames": {"not": {"pattern": rf"^({'|'.join(SECTIONS)})\."}},
    }


def _key(key: Key) -> dict[str, Any]:
    schema = {**_TYPES[key.form]}
    if key.nullable:
        schema["type"] = [schema["type"], "null"]
    if key.form in {Form.INTEGER, Form.NUMBER}:
        limits = {"minimum": key.minimum, "maximum": key.maximum}
        schema.update({name: _whole(limit) for name, limit in limits.items() if limit is not None})
    if key.choices and key.form is Form.STRING:
        schema["enum"] = list(key.choices)
    elif key.choices:
        schema.update({"items": {**schema["items"], "enum": list(key.choices)}, "uniqueItems": True})
    default = list(key.default) if isinstance(key.default, tuple) else key.default
    return {**schema, "description": key.doc, "default": default}


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _section() -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": {}, "additionalProperties": False}


def _place(root: dict[str, Any], name: str, schema: dict[str, Any]) -> None:
    """Put a schema where a dotted name stands, with the sections on the way."""
    *sections, last = name.split(".")
    here = root
    for section in sections:
        here = here["properties"].setdefault(section, _section())
    here["properties"][last] = schema


def _open_flags(features: dict[str, Any]) -> None:
    """Let a project add flags, each with the two keys that every flag has."""
    features["additionalProperties"] = features["properties"].pop(_ANY_FLAG)
    features["propertyNames"] = _NO_DOTS


def _refuse_empty_old_sections(root: dict[str, Any]) -> None:
    """Demand a key in a section that only the original has: as an empty one it is unknown."""
    for old in RENAMED:
        *sections, _ = old.split(".")
        here = root
        for depth, section in enumerate(sections):
            here = here["properties"][section]
            if not any(key.name.startswith(".".join(sections[: depth + 1]) + ".") for key in KEYS):
                here.update(type="object", minProperties=1)
