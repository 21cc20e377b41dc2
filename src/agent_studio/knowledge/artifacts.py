"""The artifacts of a project: skills, agents, commands, workflows, hooks and rules below `.claude/`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_studio.knowledge.front_matter import Value, split_front_matter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_studio.environment.roots import Project

HEAD_BYTES = 16 * 1024
MAX_DEPTH = 12
_SCRIPTS = (".py", ".js", ".cjs", ".mjs", ".ts", ".sh", ".ps1")
_COMPLEXITIES = ("LOW", "MEDIUM", "HIGH", "EPIC")
_SIZE_STEPS = (4_000, 12_000, 40_000)
"""Bytes from which an artifact that does not state its complexity counts as MEDIUM, HIGH and EPIC."""


def _markdown(name: str) -> bool:
    return name.endswith(".md") and name != "README.md"


_DOMAINS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "skills": ("skill", lambda name: name == "SKILL.md"),
    "agents": ("agent", _markdown),
    "commands": ("command", _markdown),
    "workflows": ("workflow", lambda name: _markdown(name) or name.endswith((".yaml", ".yml"))),
    "hooks": ("hook", lambda name: name.endswith(_SCRIPTS)),
    "rules": ("rule", _markdown),
}
"""Folder of `.claude/`, the domain of what lies in it, and which of its files are artifacts."""


@dataclass(frozen=True)
class Artifact:
    """One artifact, as its row in the index has it."""

    name: str
    path: str
    """From the project's root, with `/`."""
    description: str
    domain: str
    complexity: str
    use_cases: str = ""
    tools: str = ""
    deprecated: bool = False
    alias: str = ""


@dataclass
class Scan:
    """What a walk over the definitions found."""

    artifacts: list[Artifact] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Path from the project's root, and why."""


def scan(project: Project) -> Scan:
    """Read every artifact of a project, sorted by path; what cannot be read is named, never raised."""
    found = Scan()
    for folder, (domain, wanted) in _DOMAINS.items():
        top = project.definition(folder)
        for place, relative in _walk(project, top, f"{project.shown(folder)}", found, {os.path.realpath(top)}, 0):
            if wanted(place.name):
                _read(place, relative, domain, found)
    found.artifacts.sort(key=lambda artifact: artifact.path)
    return found


def paths(project: Project) -> Iterator[str]:
    """Yield the path from the project's root of every file that `scan` would read."""
    for folder, (_, wanted) in _DOMAINS.items():
        top = project.definition(folder)
        for place, relative in _walk(project, top, f"{project.shown(folder)}", Scan(), {os.path.realpath(top)}, 0):
            if wanted(place.name):
                yield relative


def _walk(
    project: Project, folder: Path, relative: str, found: Scan, entered: set[str], depth: int
) -> Iterator[tuple[Path, str]]:
    """Yield files with their path from the project; links are followed inside the project only, and once."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        found.skipped.append((relative, error.strerror or "cannot be read"))
        return
    for entry in entries:
        inner = f"{relative}/{entry.name}"
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if reason := _link_fault(project, target, entered):
                found.skipped.append((inner, reason))
                continue
            entered.add(target)
        if entry.is_dir():
            if depth < MAX_DEPTH:
                yield from _walk(project, folder / entry.name, inner, found, entered, depth + 1)
        elif entry.is_file():
            yield folder / entry.name, inner


def _link_fault(project: Project, target: str, entered: set[str]) -> str:
    if not os.path.exists(target):  # noqa: PTH110 - os.path.realpath gave text
        return "a link that leads nowhere"
    if not target.startswith(str(project.definitions) + os.sep):
        return "a link that leads out of the definitions"
    if any(target == folder or folder.startswith(target + os.sep) for folder in entered):
        return "a link to what is already read"
    return ""


def _read(place: Path, relative: str, domain: str, found: Scan) -> None:
    try:
        with place.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size_bytes = os.fstat(file.fileno()).st_size
    except OSError as error:
        found.skipped.append((relative, error.strerror or "cannot be read"))
        return
    text = head.decode("utf-8", "replace")
    if "\ufffd" in text[:-4]:
        text = head.decode("latin-1")  # every byte is a letter there: the name and description stay readable
    found.artifacts.append(_artifact(place, relative, domain, text, size_bytes))


def _artifact(place: Path, relative: str, domain: str, text: str, size_bytes: int) -> Artifact:
    fields, body = split_front_matter(text)
    stated = _text(fields.get("complexity", "")).upper()
    default_name = place.parent.name if domain == "skill" else place.stem
    return Artifact(
        name=_text(fields.get("name", "")) or default_name,
        path=relative,
        description=_text(fields.get("description", "")) or _first_words(body, domain),
        domain=domain,
        complexity=stated if stated in _COMPLEXITIES else _complexity(size_bytes),
        use_cases=_list(fields.get("use_cases") or fields.get("triggers") or fields.get("tags") or ""),
        tools=_list(fields.get("tools") or fields.get("allowed-tools") or ""),
        deprecated=_text(fields.get("deprecated", "")).lower() == "true",
        alias=_text(fields.get("alias", "")),
    )


def _complexity(size_bytes: int) -> str:
    return _COMPLEXITIES[sum(size_bytes >= step for step in _SIZE_STEPS)]


def _text(value: Value) -> str:
    joined = value if isinstance(value, str) else ", ".join(value)
    return " ".join(joined.replace("\x00", " ").split())


def _list(value: Value) -> str:
    items = value if isinstance(value, list) else re.split(r"[,;]", value)
    return ";".join(filter(None, (_text(item) for item in items)))


def _first_words(body: str, domain: str) -> str:
    """Return the first line of prose, else the first heading; of a script, its first comment or docstring."""
    heading = ""
    for line in body.splitlines():
        words = _text(line.strip().strip("#/*\"'->").strip())
        if not words or line.startswith("#!") or (domain == "hook" and " " not in words):
            continue
        if domain == "hook" or not line.startswith("#"):
            return words
        heading = heading or words
    return heading
