"""The keys of front matter: those the client knows, and what may be meant by others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.findings import Severity
from agent_studio.errors import nearest
from agent_studio.knowledge.yaml.mending import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.knowledge.front_matter import Fields

_OURS = (
    "use_cases", "triggers", "tags", "keywords", "category", "version", "complexity", "deprecated", "alias", "aliases",
    "status", "author", "license", "metadata",
)  # fmt: skip
_SKILL = (
    "name", "description", "when_to_use", "argument-hint", "arguments", "disable-model-invocation", "user-invocable",
    "allowed-tools", "disallowed-tools", "disallowedTools", "model", "effort", "context", "agent", "hooks", "paths",
    "shell", "background", "compatibility",
)  # fmt: skip
KNOWN = {
    "skill": frozenset((*_SKILL, *_OURS)),
    "command": frozenset((*_SKILL, *_OURS)),
    "agent": frozenset((
        "name", "description", "tools", "disallowedTools", "model", "permissionMode", "maxTurns", "skills",
        "mcpServers", "hooks", "memory", "background", "effort", "isolation", "color", "initialPrompt", *_OURS,
    )),
}  # fmt: skip
"""Keys by kind of artifact: the client's, and those that search reads."""
_MEANT = {
    "skill": {"tools": "allowed-tools"},
    "command": {"tools": "allowed-tools"},
    "agent": {"allowed-tools": "tools"},
}
_BOOLEANS = ("disable-model-invocation", "user-invocable", "background")
_BOOLEAN_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "1", "0"))
_TOOL_KEYS = ("tools", "allowed-tools", "disallowed-tools", "disallowedTools")
_NEAR = 0.84


class KeyFault(NamedTuple):
    """What is wrong with one key."""

    key: str
    code: str
    severity: Severity
    message: str
    repaired: str


def check_keys(fields: Fields, domain: str) -> Iterator[KeyFault]:
    """Yield what is wrong with the keys of one artifact, in their order."""
    known = KNOWN[domain]
    unknown = []
    for key in dict.fromkeys(name.partition(".")[0] for name in fields):
        if key in known:
            continue
        if meant := _MEANT[domain].get(key):
            message = f"the client reads {meant} of {domain}s, not {key}"
            yield KeyFault(key, "other-key", Severity.INFO, message, _line(meant, fields, key))
        elif (meant := _nearest(key, domain)) and not (key == f"{meant}s" and isinstance(fields.get(key), list)):
            yield KeyFault(key, "misspelt-key", Severity.WARNING, f"did you mean {meant}?", _line(meant, fields, key))
        else:
            unknown.append(key)
    if unknown:
        message = f"nobody reads {', '.join(unknown)}"
        yield KeyFault(unknown[0], "unknown-key", Severity.INFO, message, "")
    yield from _types(fields)


def _types(fields: Fields) -> Iterator[KeyFault]:
    for key in _TOOL_KEYS:
        inner = [name.partition(".")[2] for name in fields if name.startswith(f"{key}.")]
        if inner:
            message = f"{key} is a list of names, not a mapping"
            yield KeyFault(key, "tools-type", Severity.WARNING, message, f"{key}: {', '.join(inner)}")
        elif str(fields.get(key, "")).lower() in _BOOLEAN_WORDS:
            yield KeyFault(key, "tools-type", Severity.WARNING, f"{key} is a list of names, not {fields[key]}", "")
    for key in _BOOLEANS:
        value = fields.get(key)
        if value is not None and str(value).lower() not in _BOOLEAN_WORDS:
            yield KeyFault(key, "not-boolean", Severity.WARNING, f"{key} is true or false, not {value!r}", "")


def _line(meant: str, fields: Fields, key: str) -> str:
    value = fields.get(key)
    return "" if value is None else f"{meant}: {written(list(value) if isinstance(value, list) else value)}"


@lru_cache(maxsize=4096)
def _nearest(key: str, domain: str) -> str | None:
    return nearest(key, KNOWN[domain], cutoff=_NEAR)
