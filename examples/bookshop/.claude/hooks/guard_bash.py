"""PreToolUse hook for Bash: refuse forced pushes and recursive deletion of whole trees.

Reads the hook payload as JSON on stdin. Exit 0 lets the command run; exit 2 blocks it, and the
reason on stderr is shown to the agent. It is a safety net for mistakes, not a sandbox.
"""

from __future__ import annotations

import json
import re
import shlex
import sys

WRAPPERS = {"sudo", "env", "command", "nohup", "time", "exec"}
SHELLS = {"bash", "sh", "zsh"}
PROTECTED = {"/", "~", "$HOME", "${HOME}", ".", "..", "*"}
GIT_OPTIONS_WITH_VALUE = {"-C", "-c", "--git-dir", "--work-tree", "--namespace"}


def split_commands(text: str) -> list[list[str]]:
    """Split a shell line into simple commands, each a list of words."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # unbalanced quotes: look at the bare words instead
        words = text.split()
    commands: list[list[str]] = [[]]
    for word in words:
        if word and set(word) <= set("();|&"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def is_protected(target: str) -> bool:
    """Tell whether a path is a root, a home, the current folder or a top-level folder."""
    trimmed = re.sub(r"/+\*?$", "", target) or "/"
    return trimmed in PROTECTED or re.fullmatch(r"/+[^/]+", trimmed) is not None


def has_short(words: list[str], letters: str) -> bool:
    """Tell whether a bundle of short options among words holds one of the letters."""
    return any(re.fullmatch(rf"-[A-Za-z]*[{letters}][A-Za-z]*", word) for word in words)


def reason_to_block(text: str) -> str | None:
    """Return why a shell command must not run, or None if it may."""
    for words in split_commands(text):
        while words and (words[0] in WRAPPERS or re.match(r"\w+=", words[0])):
            words = words[1:]
        if not words:
            continue
        name, rest = words[0].rsplit("/", 1)[-1], words[1:]
        if name in SHELLS and has_short(rest, "c") and (inner := reason_to_block(rest[-1])):
            return inner
        if name == "rm" and (has_short(rest, "rR") or "--recursive" in rest):
            for target in rest:
                if is_protected(target):
                    return f"rm -r on {target} would delete far more than one task should."
        if name == "git":
            while rest and rest[0].startswith("-"):
                rest = rest[2:] if rest[0] in GIT_OPTIONS_WITH_VALUE else rest[1:]
            forced = "--force" in rest or has_short(rest, "f")
            if rest[:1] == ["push"] and (forced or any(w.startswith("+") for w in rest)):
                return "A forced push can erase the work of others. Use --force-with-lease."
    return None


def main() -> int:
    """Read the payload, report, and return the exit status."""
    try:
        command = json.load(sys.stdin)["tool_input"]["command"]
    except (ValueError, KeyError, TypeError):
        print("guard_bash: no command in the hook payload", file=sys.stderr)
        return 2
    reason = reason_to_block(str(command))
    if reason:
        print(f"guard_bash: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
