"""What a shell command plainly does, as far as its text says: parts, words, where output goes.

Best effort: a program of its own, a variable or a script reaches a file without naming it. What cannot be read as plain
counts as writing.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

READERS = frozenset(
    (
        "basename", "cat", "cd", "cmp", "cut", "diff", "dirname", "du", "echo", "egrep", "fgrep", "file", "grep",
        "head", "jq", "less", "ls", "md5sum", "more", "printf", "pwd", "readlink", "realpath", "rg", "sha256sum",
        "stat", "tail", "test", "tr", "tree", "wc", "[",
    )
)  # fmt: skip
GIT_READERS = frozenset(
    (
        "add",
        "blame",
        "cat-file",
        "check-ignore",
        "commit",
        "diff",
        "grep",
        "log",
        "ls-files",
        "rev-parse",
        "show",
        "status",
    )
)
"""What git does without changing a file of the work tree."""
FIND_WRITES = frozenset(("-delete", "-exec", "-execdir", "-ok", "-okdir", "-fprint", "-fprint0", "-fprintf", "-fls"))
_SEPARATORS = frozenset(";&|()\n")
_HIDDEN = ("`", "$(", "<(", ">(")
"""What runs a command inside a word."""
_NOWHERE = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "1", "2", "&1", "&2"))


class Part(NamedTuple):
    """One simple command."""

    words: tuple[str, ...]
    """The program and its arguments."""
    targets: tuple[str, ...]
    """Files that output is sent to."""
    sources: tuple[str, ...] = ()
    """Files that input comes from."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return os.path.basename(self.words[0]) if self.words else ""  # noqa: PTH119 - text

    def reads(self, own_verbs: Collection[str]) -> bool:
        """Tell whether the program only reads what its arguments name; of ours, the verbs named do."""
        if not self.words:
            return True
        rest = self.words[1:]
        if self.program == "agent-studio":
            return not set(own_verbs).isdisjoint(rest[:1])
        if self.program == "git":
            verb = next((word for word in rest if not word.startswith("-")), "")
            return verb in GIT_READERS and not any(word.startswith("--output") for word in rest)
        if self.program == "find":
            return FIND_WRITES.isdisjoint(rest)
        return self.program in READERS


def parts(command: str) -> list[Part] | None:
    """Return the simple commands of a shell line, or None where it does not plainly say what it does."""
    if any(mark in command for mark in _HIDDEN):
        return None
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        listed = list(_separated(list(lexer)))
    except ValueError:
        return None
    return [_part(words) for words in listed if words]


def _separated(words: list[str]) -> Iterator[list[str]]:
    current: list[str] = []
    for word in words:
        if _SEPARATORS.issuperset(word):
            yield current
            current = []
        else:
            current.append(word)
    yield current


def _part(listed: list[str]) -> Part:
    words: list[str] = []
    targets: list[str] = []
    sources: list[str] = []
    into = words
    for word in listed:
        if set(word) <= set("<>&|") and ("<" in word or ">" in word):
            if words and words[-1].isdecimal():  # 2> errors
                words.pop()
            into = targets if ">" in word else sources
            continue
        if into is not targets or word not in _NOWHERE:
            into.append(word)
        into = words
    return Part(tuple(words), tuple(targets), tuple(sources))
