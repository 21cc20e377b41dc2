"""How models are called in the wild, and which entry of the table a name means.

A name may say where the model runs (Bedrock, Vertex, OpenRouter) and carry a date, a version or a context window. What
remains must be the model's own name: a longer number or another word behind it is another model, never this one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

HOME = "anthropic"
"""Who is billed when neither the name nor the caller says otherwise."""
_LENGTH_MAX = 200
_WINDOW = re.compile(r"\[\w+\]$")
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:[^/]*(?::|/)(?:inference-profile|foundation-model)/(.+)")
_BEDROCK = re.compile(r"(?:[a-z-]+\.)?anthropic\.claude")
_VERTEX = re.compile(r"(?:.*/)?publishers/[\w-]+/models/([^/]+)")
_VERSION = re.compile(
    r"(?:\.[01])?(?:[-@](?:\d{8}|\d{4}-\d\d-\d\d|latest|default))?(?:-v\d+)?(?::\d+)?(?::(?:beta|thinking))?"
)
"""What may follow the name of a Claude model that a rule gives the start of."""
_YEAR = re.compile(r"-20\d\d$")
_REST_OF_DATE = re.compile(r"\d{4}(?:-v\d+(?::\d+)?)?")


class Name(NamedTuple):
    """One reading of a model's name."""

    provider: str
    model: str


def readings(model: str, provider: str) -> list[Name]:
    """Return what a name may mean at a provider, the likeliest first; nothing for what is no name."""
    name = model.strip().lower()
    if not name or len(model) > _LENGTH_MAX:
        return []
    name = _WINDOW.sub("", name)
    if provider != HOME:
        return [Name(provider, name), *([Name(provider, name.removeprefix(f"{provider}/"))] if "/" in name else [])]
    return _of_home(name)


def _of_home(name: str) -> list[Name]:
    arn = _ARN.fullmatch(name)
    if arn or _BEDROCK.match(name.removeprefix("bedrock/").removeprefix("converse/")):
        plain = arn[1] if arn else name.removeprefix("bedrock/").removeprefix("converse/")
        region, dot, rest = plain.partition(".anthropic.")
        general = [Name("aws", f"anthropic.{rest}")] if dot and region != "global" else []
        return [Name("aws", plain), *general]
    vertex = _VERTEX.fullmatch(name)
    if vertex or name.startswith(("vertex/", "vertex_ai/")):
        plain = vertex[1] if vertex else name.partition("/")[2]
        return [Name("google", plain), Name(HOME, plain)]
    if name.startswith("openrouter/"):
        return [Name("openrouter", name.removeprefix("openrouter/"))]
    if name.startswith("anthropic/"):
        return [Name(HOME, name.removeprefix("anthropic/")), Name("openrouter", name)]
    owner, slash, rest = name.partition("/")
    if slash:
        return [Name(owner, rest), Name("openrouter", name)]
    return [Name(HOME, name)]


def matches(rules: Sequence[Any], name: str) -> bool:
    """Return whether a name fits one of the rules; a rule is text whose first character says how, or a list of all."""
    return any(
        all(_fits(part, name) for part in rule) if isinstance(rule, list) else _fits(rule, name) for rule in rules
    )


def _fits(rule: str, name: str) -> bool:
    how, text = rule[0], rule[1:]
    if how == "=":
        return name == text
    if how == "$":
        return name.endswith(text)
    if how == "~":
        return re.search(text, name) is not None
    if how == "^":
        return name.startswith(text) and _ends_there(text, name[len(text) :])
    return text in name and _ends_there(text, name.rpartition(text)[2])


def _ends_there(text: str, rest: str) -> bool:
    if "claude" not in text:
        return True
    if _YEAR.search(text):
        return _REST_OF_DATE.fullmatch(rest) is not None
    if text.endswith("@"):
        return rest.isdigit() or rest in {"latest", "default"}
    return _VERSION.fullmatch(rest) is not None
