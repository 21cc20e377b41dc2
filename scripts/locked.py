"""What the lock, the page on third-party software and the installed packages say of what we stand on."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = REPOSITORY / "requirements.lock"
PAGE = REPOSITORY / "THIRD_PARTY.md"
SHIPPED = "src/agent_studio"
GROUPS = ("Needed to run", "Optional", "Needed to work on it")
"""Headings of the page that list packages."""
_ROOT = "agent-studio"
_ENTRY = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?$")
_HASH = re.compile(r"    --hash=sha256:([0-9a-f]{64})(?: \\)?$")
_WHY = re.compile(r"    # (?:via$|  |via )([\w.-]*)")
_PACKAGE = re.compile(r"^\| (?:`\w+` \| )?([\w.-]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
_FILE = re.compile(r"^\| `([^`]+)` \| `(pkg:[^`]+)` \| ([^|]+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Locked:
    """One line of the lock."""

    name: str
    version: str
    marker: str
    """When it is needed, or an empty string."""
    hashes: tuple[str, ...]
    """SHA-256 of every file of this version, in hexadecimal."""
    needed_by: tuple[str, ...]


@dataclass(frozen=True)
class Stated:
    """A package as the page has it."""

    group: str
    """The heading it stands under."""
    licence: str


@dataclass(frozen=True)
class Shipped:
    """A file of another project in our package."""

    path: str
    """From the package's folder."""
    purl: str
    licence: str
    sha256: str


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> tuple[list[Locked], list[str]]:
    """Parse a lock of `uv pip compile --generate-hashes`; return its packages, and lines that pin nothing."""
    found: list[dict[str, Any]] = []
    unread = []
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            found.append({**entry.groupdict(""), "hashes": [], "needed_by": []})
        elif found and (digest := _HASH.match(line)):
            found[-1]["hashes"].append(digest[1])
        elif found and (why := _WHY.match(line)):
            found[-1]["needed_by"] += [normal(why[1])] if why[1] else []
        elif line.strip() and not line.startswith("#"):
            unread.append(line)
    return [
        Locked(normal(one["name"]), one["version"], one["marker"], tuple(one["hashes"]), tuple(one["needed_by"]))
        for one in found
    ], unread


def read_page(text: str) -> dict[str, Stated]:
    """Return what the page says of each package."""
    found: dict[str, Stated] = {}
    for group in GROUPS:
        for name, licence in _PACKAGE.findall(_section(text, group)):
            if set(name) != {"-"} and name != "package":
                found.setdefault(normal(name), Stated(group, licence.strip()))
    return found


def read_shipped(text: str) -> list[Shipped]:
    """Return what of other projects lies in the package."""
    return [Shipped(*row) for row in _FILE.findall(_section(text, "In the package"))]


def _section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def needed(locked: list[Locked], roots: set[str]) -> set[str]:
    """Return the names of all that these packages need, themselves included; markers are not looked at."""
    found: set[str] = set()
    queue = set(roots)
    while queue:
        found |= queue
        queue = {one.name for one in locked if found & set(one.needed_by)} - found
    return found


def groups(locked: list[Locked]) -> dict[str, set[str]]:
    """Return which locked packages are needed to run, for extras, and to work on it; each in the first that fits."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = {
        GROUPS[0]: project["dependencies"],
        GROUPS[1]: [line for name, listed in extras.items() if name != "dev" for line in listed],
    }
    names = {one.name for one in locked}
    found: dict[str, set[str]] = {}
    for group, lines in asked.items():
        roots = {normal(re.split(r"[\[<>=~! ;]", line)[0]) for line in lines}
        found[group] = (needed(locked, roots) & names) - set().union(*found.values())
    found[GROUPS[2]] = names - set().union(*found.values()) - {_ROOT}
    return found
