"""`kb-search` with the switches of the tool it stands in for: --query, --domain, --tags, --get, --stats, --list."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHOLE = {"--stats": "stats", "--list": "list"}
_GET = "--get"
_NARROWING = ("--domain", "--tags", "--complexity", "--tools", "--source", "--deprecated", "--no-deprecated")
_FLAGS = ("--deprecated", "--no-deprecated", "--explain", "--batch", "--include-test", "--no-semantic", "--json")
_ASKING = ("--query", "--batch", "")


def rewritten(arguments: list[str]) -> list[str]:
    """Return the same as a command of ours; filters alone list what passes them, and a question comes first."""
    said = dict(_switches(arguments))
    if "--query" not in said:
        for name, verb in _WHOLE.items():
            if name in said:
                return ["kb", verb, *(argument for argument in arguments if argument != name)]
        if _GET in said:
            at = said[_GET]
            _, equals, value = arguments[at].partition("=")
            return ["kb", "get", *([value] if equals else ()), *arguments[at + 1 :], *arguments[:at]]
    narrows = any(name in said for name in _NARROWING) and not any(name in said for name in _ASKING)
    kept = [argument for argument in arguments if argument not in _WHOLE] if "--query" in said else arguments
    return ["kb", "list" if narrows else "search", *kept]


def _switches(arguments: list[str]) -> Iterator[tuple[str, int]]:
    """Yield each switch and where it stands, of the words the first as ""; the value of a switch is none."""
    is_value = False
    for at, argument in enumerate(arguments):
        name, equals, _ = argument.partition("=")
        if not is_value:
            yield (name if argument.startswith("--") else ""), at
        is_value = not is_value and argument.startswith("--") and not equals and name not in (*_FLAGS, *_WHOLE, _GET)
