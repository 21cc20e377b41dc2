"""`kb-search` with the switches of the tool it stands in for: --query, --domain, --tags, --get, --stats, --list."""

from __future__ import annotations

_WHOLE = {"--stats": "stats", "--list": "list"}
_GET = "--get"
_NARROWING = ("--domain", "--tags", "--complexity", "--tools", "--source", "--deprecated", "--no-deprecated")


def rewritten(arguments: list[str]) -> list[str]:
    """Return the same as a command of ours; filters alone list what passes them."""
    for at, argument in enumerate(arguments):
        if argument in _WHOLE:
            return ["kb", _WHOLE[argument], *arguments[:at], *arguments[at + 1 :]]
        if argument == _GET:
            return ["kb", "get", *arguments[at + 1 :], *arguments[:at]]
        if argument.startswith(_GET + "="):
            return ["kb", "get", argument.partition("=")[2], *arguments[:at], *arguments[at + 1 :]]
    narrows = bool(arguments) and arguments[0].partition("=")[0] in _NARROWING
    return ["kb", "list" if narrows and not _asks(arguments) else "search", *arguments]


def _asks(arguments: list[str]) -> bool:
    """Tell whether anything is looked for besides the filters."""
    is_value = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if name in {"--query", "--batch"} or (not is_value and not argument.startswith("-")):
            return True
        is_value = argument.startswith("--") and not equals and "deprecated" not in name
    return False
