"""Whether a suite's program was not there: the shell's exit codes 126 and 127, and what it and others say of it."""

from __future__ import annotations

import re

NOT_EXECUTABLE, NOT_FOUND = 126, 127
_NAME = r"[‘'\"`]?(?P<name>[^\s:‘’'\"`]{1,200})[’'\"`]?"
_SAID = (
    re.compile(rf"(?:^|: ){_NAME}: (?:command )?not found$"),  # sh, bash
    re.compile(rf"command not found: {_NAME}$"),  # zsh
    re.compile(rf"^(?:\S*make(?:\[\d+\])?|\S*env): {_NAME}: (?:No such file or directory|Permission denied)$"),
    re.compile(rf"(?:^|: ){_NAME}: Permission denied$"),
)
_PASSED_ON = re.compile(r"\b(?:Error|exit code|exit status) (12[67])\b")
"""What make and package managers, which leave with a code of their own, say of the shell's."""
_MOST_CHARACTERS = 1_000


class Missing:
    """Takes a suite's lines and its exit code, and tells what could not be started."""

    def __init__(self) -> None:
        self._name = ""
        self._is_denied = False
        self._code = 0

    def feed(self, line: str) -> None:
        """Take one line of output."""
        if len(line) > _MOST_CHARACTERS:
            return
        text = line.strip()
        if found := next((match for match in (one.search(text) for one in _SAID) if match), None):
            self._name = found["name"]
            self._is_denied = text.endswith("Permission denied")
        elif self._name and (passed_on := _PASSED_ON.search(text)):
            self._code = int(passed_on[1])

    def said(self, code: int) -> str:
        """Return what was not there, given the exit code; empty when nothing says so."""
        if code not in {NOT_EXECUTABLE, NOT_FOUND}:
            code = self._code if code else 0
        if not code:
            return ""
        what = "cannot be executed" if code == NOT_EXECUTABLE or self._is_denied else "is not there"
        return f"{self._name or 'a program of the suite'} {what} (exit code {code}): no test was run"
