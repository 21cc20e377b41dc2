"""What a diagnosis consists of: each package offers `checks()` that yield findings; `doctor` puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; `doctor` exits 1 from WARNING up."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is on this machine, and what mends it."""

    code: str
    severity: Severity
    message: str
    fix: str = ""
    """The command that mends it; several lines where shells differ."""
    by_init: bool = False
    """Whether initialising again mends it, which is what `--fix` does."""


def per_shell(name: str, value: str) -> str:
    """Return the lines that set a variable in bash, PowerShell and cmd."""
    return f'bash: export {name}={value}\nPowerShell: $env:{name} = "{value}"\ncmd: set {name}={value}'
