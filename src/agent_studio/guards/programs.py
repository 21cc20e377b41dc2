"""What well-known programs do with the files they are given: read them, write them, or act on all that lies in them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agent_studio.guards.shell import Part

_READERS = frozenset(
    (
        "basename", "bat", "batcat", "cat", "cd", "cksum", "cmp", "column", "comm", "cut", "diff", "dirname", "du",
        "echo", "egrep", "fgrep", "file", "fold", "grep", "head", "hexdump", "jq", "less", "ls", "md5sum", "more", "nl",
        "od", "paste", "printf", "pushd", "pwd", "read", "readlink", "realpath", "rev", "rg", "sha1sum", "sha256sum",
        "sort", "stat", "strings", "tac", "tail", "test", "tr", "tree", "uniq", "wc", "yq", "zcat", "[", "[[", "date",
    )
)  # fmt: skip
_WRITING_OPTIONS: Mapping[str, str] = {
    "less": "-[oO].*|--log-file.*", "tree": "-o.*", "rg": "--pre.*", "sort": "-[a-zA-Z]*o.*|--output.*",
    "yq": "-i.*|--in-?place.*", "date": "-s.*|--set.*", "file": "-C.*|--compile.*", "diff": "--output.*",
}  # fmt: skip
"""Options by which a program that reads writes after all."""
_GIT_READERS = frozenset(
    (
        "add", "blame", "cat-file", "check-attr", "check-ignore", "commit", "describe", "diff", "for-each-ref", "grep",
        "log", "ls-files", "ls-tree", "merge-base", "rev-list", "rev-parse", "shortlog", "show", "status",
    )
)  # fmt: skip
"""What git does without changing a file of the work tree."""
_GIT_LISTS = frozenset((("stash", "list"), ("stash", "show"), ("worktree", "list"), ("reflog", "show")))
_GIT_VALUES = frozenset(("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env"))
_GIT_OUTPUT = re.compile(r"--output.*|-O.*|--open-files-in-pager.*")
_FIND_WRITES = frozenset(("-delete", "-ok", "-okdir", "-fprint", "-fprint0", "-fprintf", "-fls"))
_SED_HARMLESS = re.compile(r"(?:[0-9$,~+! ;pqdl=]|/[^/;]*/)*|s([/|#,])[^/|#,]*\1[^/|#,]*\1[gpI0-9]*")
_INTERPRETERS = re.compile(r"python[0-9.]*|node|deno|bun|perl|ruby|php|bash|dash|ksh|sh|zsh|source|\.")
_DESTROYERS = frozenset(("chmod", "chown", "chgrp", "find", "mv", "rm", "rmdir", "rsync", "shred"))
_RECURSIVE = re.compile(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive")
_TARGET = re.compile(r"-t.*|--target-directory.*")


def reads(part: Part, own_verbs: Collection[str]) -> bool:
    """Tell whether the program only reads what its arguments name; of ours, the verbs named do."""
    program, rest = part.program, part.words[1:]
    if not part.words or program in {"done", "fi", "esac"}:
        return True
    if program == "agent-studio":
        return not set(own_verbs).isdisjoint(rest[:1])
    if program in _ODD:
        return _ODD[program](rest)
    if program not in _READERS:
        return False
    writing = _WRITING_OPTIONS.get(program)
    return not writing or not any(re.fullmatch(writing, word) for word in rest)


def _git(rest: tuple[str, ...]) -> bool:
    at = 0
    while at < len(rest) and rest[at].startswith("-"):
        at += 2 if rest[at] in _GIT_VALUES else 1
    words = rest[at:]
    if not words or any(_GIT_OUTPUT.fullmatch(word) for word in words):
        return False
    if words[0] in {"diff", "log", "show"} and "-o" in words:
        return False
    return words[0] in _GIT_READERS or words[:2] in _GIT_LISTS or words == ("branch",)


def _find(rest: tuple[str, ...]) -> bool:
    if not _FIND_WRITES.isdisjoint(rest):
        return False
    run = [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in {"-exec", "-execdir"}]
    return all(program in _READERS and program not in _WRITING_OPTIONS for program in run)


def _sed(rest: tuple[str, ...]) -> bool:
    options = [word for word in rest if word.startswith("-")]
    if any(not re.fullmatch("-[nErsuz]+|--quiet|--silent|-e", word) for word in options):
        return False
    words = [word for word in rest if not word.startswith("-")]
    return bool(words) and _SED_HARMLESS.fullmatch(words[0]) is not None and options.count("-e") <= 1


def _awk(rest: tuple[str, ...]) -> bool:
    words = [word for word in rest if not re.fullmatch("-F.*", word)]
    return bool(words) and not re.search(r"[>|]|system|getline|^-", words[0])


def _one_file(rest: tuple[str, ...]) -> bool:
    """Tell whether there is no second file, which would be written."""
    words = [word for word in rest if not word.startswith("-")]
    return len(words) <= 1 and "-r" not in rest


_ODD: Mapping[str, Callable[[tuple[str, ...]], bool]] = {
    "git": _git, "find": _find, "sed": _sed, "awk": _awk, "gawk": _awk, "mawk": _awk, "xxd": _one_file,
}  # fmt: skip


def written(part: Part) -> list[str]:
    """Return the arguments of a program that does not only read, without those that it reads alone."""
    program, words = part.program, list(part.words[1:])
    if program in {"cp", "rsync", "scp"} and not any(_TARGET.fullmatch(word) for word in words):
        plain = [word for word in words if not word.startswith("-")]
        if "--remove-source-files" not in words and len(plain) > 1:
            words = [word for word in words if word.startswith("-") or word is plain[-1]]
    elif _INTERPRETERS.fullmatch(program):
        if words[:2] == ["-m", "json.tool"] and _one_file(tuple(words[2:])):
            return []
        if words and not words[0].startswith("-"):  # a script is run, not written
            words = words[1:]
    return [*words, *(word.partition("=")[2] for word in words if "=" in word),
            *(word[2:] for word in words if re.match("-[A-Za-z][^-]", word))]  # fmt: skip


def scripts(part: Part) -> list[str]:
    """Return the programs that an interpreter is given as text."""
    if not _INTERPRETERS.fullmatch(part.program):
        return []
    given = [after for word, after in pairwise(part.words) if re.fullmatch("-[a-z]*[ce]", word)]
    return [*given, *part.bodies]


def emptied(part: Part) -> list[str]:
    """Return the folders that a program changes with all that lies in them."""
    program, rest = part.program, [*part.words[1:], *part.printed]
    words = [word for word in rest if not word.startswith("-")]
    if program not in _DESTROYERS:
        return []
    if program in {"rm", "chmod", "chown", "chgrp"} and not any(map(_RECURSIVE.fullmatch, rest)):
        return []
    if program == "find":
        ends = (at for at, word in enumerate(rest) if word.startswith("-") or word in {"(", "!"})
        return rest[: next(ends, len(rest))] or ["."]
    if program == "mv" and not any(_TARGET.fullmatch(word) for word in rest):
        return words[:-1]
    if program == "rsync":
        return words[-1:] if any(word.startswith("--del") for word in rest) else []
    return words


def names_looked_for(part: Part) -> list[str]:
    """Return the names that `find` is told to act on alone; empty when it acts on all."""
    words = part.words
    return [after for word, after in pairwise(words) if word in {"-name", "-iname"}]
