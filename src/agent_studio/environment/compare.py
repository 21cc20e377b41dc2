"""How the configurations of two environments differ, and which differences are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_studio.environment.config import Config, file_name
from agent_studio.environment.schema import Key, key_for

if TYPE_CHECKING:
    from agent_studio.environment.sources import Layer


@dataclass(frozen=True)
class Difference:
    """One key that two environments have otherwise."""

    key: str
    a: Any
    b: Any
    expected: bool
    """False is drift."""
    why: str


def differences(a: Config, b: Config) -> list[Difference]:
    """Return every difference, in the order of the schema, foreign keys last."""
    found = []
    for name in dict.fromkeys((*a.layers, *b.layers)):
        ours, theirs = _winner(a, name), _winner(b, name)
        left, right = (layer.value if layer else None for layer in (ours, theirs))
        if not _equal(left, right) or (ours is None) != (theirs is None):
            expected, why = _judge(name, (a, ours), (b, theirs))
            found.append(Difference(name, left, right, expected, why))
    return found


def _winner(config: Config, name: str) -> Layer | None:
    return config.layers[name][-1] if name in config.layers else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _judge(name: str, *sides: tuple[Config, Layer | None]) -> tuple[bool, str]:
    """Return whether a difference is expected, and why."""
    if name == "environment":
        return True, "each file names its environment"
    key = key_for(name)
    if missing := next((config for config, layer in sides if layer is None), None):
        return key is not None and key.may_differ, f"not in {missing.environment}"
    if key is None:
        return False, "not a key of ours: the same is expected everywhere"
    if not key.may_differ:
        return False, f"the same is expected everywhere; {_set_by(sides)}"
    if key.rule is None:
        return True, "meant to differ"
    return _judge_ruled(key, sides)


def _judge_ruled(key: Key, sides: tuple[tuple[Config, Layer | None], ...]) -> tuple[bool, str]:
    layers = [(config, layer) for config, layer in sides if layer]
    if ruled := next((layer for _, layer in layers if layer.source == "rule"), None):
        return True, f"by rule: {ruled.note}"
    for config, layer in layers:
        if layer.source == file_name(config.environment):
            return True, f"written for {config.environment} ({layer.source}:{layer.line})"
    if all(layer.source == "default" for _, layer in layers):
        return True, "built-in defaults differ"
    return False, f"the rule gives another value ({key.rule}); {_set_by(sides)}"


def _set_by(sides: tuple[tuple[Config, Layer | None], ...]) -> str:
    places = (f"{layer.file}:{layer.line}" if layer.file else layer.source for _, layer in sides if layer)
    return " against ".join(places)
