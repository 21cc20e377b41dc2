"""What a shell command plainly does, as far as its text says: parts, words, where output goes.

Best effort: a program of its own, a variable of another shell or a script reaches a file without naming it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.guards.lexer import UNKNOWN, Lexer, UnclearError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.guards.lexer import Token

_PREFIXES = frozenset(
    (
        "!", "builtin", "command", "declare", "do", "doas", "elif", "else", "env", "exec", "export", "if", "ionice",
        "local", "nice", "nohup", "readonly", "stdbuf", "sudo", "then", "time", "typeset", "until", "while", "xargs",
        "{", "}",
    )
)  # fmt: skip
"""What stands before a program."""
_WITH_VALUE = frozenset(("-u", "-g", "-n", "-S", "-I", "-L", "-P"))
"""Options of those that take the next word."""
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_NAMED = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_NOWHERE = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "1", "2", "-"))
_SHELLS = frozenset(("bash", "dash", "ksh", "sh", "zsh"))
_VALUES_MAX = 64
_DEPTH = 6


class Part(NamedTuple):
    """One simple command."""

    words: tuple[str, ...]
    """The program and its arguments, without what stands before it."""
    targets: tuple[str, ...]
    """Files that output is sent to."""
    sources: tuple[str, ...] = ()
    """Files that input comes from."""
    bodies: tuple[str, ...] = ()
    """Here-documents that it reads."""
    inner: tuple[str, ...] = ()
    """Arguments of the commands that write some of its own."""
    printed: tuple[str, ...] = ()
    """Those of them that are written as they are."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return os.path.basename(self.words[0]) if self.words else ""  # noqa: PTH119 - text


def parts(command: str) -> list[Part] | None:
    """Return the simple commands of a shell line, inner ones first; None where it does not end as it began.

    Variables that the line itself sets are put in; what it cannot tell of a word is `UNKNOWN` there.
    """
    try:
        return list(_parts(command, {}, 0))
    except UnclearError:
        return None


def _parts(command: str, known: dict[str, tuple[str, ...]], depth: int) -> Iterator[Part]:
    if depth > _DEPTH:
        raise UnclearError
    for tokens in _separated(Lexer(command).tokens):
        arguments: list[str] = []
        printed: list[str] = []
        for token in tokens:
            for inner in token.inner[1:] if token.is_operator else token.inner:
                for part in _parts(inner, known, depth + 1):
                    arguments += part.words[1:]
                    printed += part.words[1:] if part.program in {"echo", "printf"} else ()
                    yield part
        part = _part(tokens, known)
        yield part._replace(inner=tuple(arguments), printed=tuple(printed))
        for inner in _handed(part):
            yield from _parts(inner, known, depth + 1)


def _separated(tokens: list[Token]) -> Iterator[list[Token]]:
    current: list[Token] = []
    for token in tokens:
        if token.is_operator and not set("<>") & set(token.text):
            if current:
                yield current
            current = []
        else:
            current.append(token)
    if current:
        yield current


def _part(tokens: list[Token], known: dict[str, tuple[str, ...]]) -> Part:
    words: list[str] = []
    targets: list[str] = []
    sources: list[str] = []
    into = words
    for token in tokens:
        if token.is_operator:
            into = targets if ">" in token.text else [] if token.text in {"<<", "<<-"} else sources
            continue
        values = _values(token.text, known)
        into += [value for value in values if into is not targets or value not in _NOWHERE]
        into = words
    bodies = tuple(token.inner[0] for token in tokens if token.is_operator and token.inner)
    return Part(tuple(_acting(words, known)), tuple(targets), tuple(sources), bodies)


def _values(word: str, known: dict[str, tuple[str, ...]]) -> list[str]:
    """Return what a word may be once the line's own variables are put in."""
    values = [word]
    for match in _NAMED.finditer(word):
        found = known.get(match[1] or match[2])
        if found is not None:
            values = [value.replace(match[0], one) for value in values for one in found][:_VALUES_MAX]
    return values


def _acting(words: list[str], known: dict[str, tuple[str, ...]]) -> list[str]:
    """Drop what stands before the program, and learn the variables that are set."""
    at, was_prefix = 0, False
    while at < len(words):
        word = words[at]
        set_here = _ASSIGNMENT.fullmatch(word)
        if set_here:
            known[set_here[1]] = (set_here[2],)
        elif word in _PREFIXES:
            was_prefix = True
        elif was_prefix and word.startswith("-"):
            at += word in _WITH_VALUE
        else:
            break
        at += 1
    rest = words[at:]
    if len(rest) > 2 and rest[0] in {"for", "select"} and rest[2] == "in":  # noqa: PLR2004 - for NAME in
        known[rest[1]] = tuple(rest[3:])
        return []
    return rest


def _handed(part: Part) -> list[str]:
    """Return the commands that a part hands to a shell as text."""
    if part.program == "eval":
        return [" ".join(part.words[1:])]
    if part.program not in _SHELLS:
        return []
    at = next((at for at, word in enumerate(part.words) if re.fullmatch("-[a-z]*c[a-z]*", word)), -1)
    named = list(part.words[at + 1 : at + 2]) if at > 0 else []
    return [text for text in (*named, *part.bodies) if UNKNOWN not in text]
