"""Which skills, agents, commands and files a draft speaks of, and whether they are there."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.errors import AgentStudioError
from agent_studio.evolution.gates.conflicts import is_known
from agent_studio.evolution.gates.placeholders import without_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.roots import Project
    from agent_studio.evolution.state import Evolution
    from agent_studio.knowledge.base import KnowledgeBase
    from agent_studio.knowledge.front_matter import Fields

_LINK = re.compile(r"\]\(\s*<?([^)\s<>]+)>?(?:\s+[\"'][^\"')]*[\"'])?\s*\)")
_AT = re.compile(r"(?<![\w`@/.])@((?:[\w.-]+/)*[\w.-]+\.(?:md|txt|json|ya?ml|toml|py|sh))\b")
_BUNDLED = re.compile(r"(?<![\w/.-])((?:scripts|references|assets|templates|resources)/[\w./-]*\w\.[A-Za-z]\w{0,4})\b")
"""What a skill says lies in its own folder; https://agentskills.io/specification names the folders."""
_WRITTEN = re.compile(r"\b(?:writ|sav|stor|creat|export|output|generat)\w*(?: [\w-]+){0,4} [`\"']?$", re.IGNORECASE)
"""What stands before a file that a skill writes."""
_NAMED = (
    re.compile(r"`/?([a-z0-9][a-z0-9:-]+[a-z0-9])`\s+(skill|agent|subagent|workflow)\b"),
    re.compile(r"`/([a-z0-9][a-z0-9:-]+[a-z0-9])`\s+(command)\b"),
    re.compile(
        r"(?<![Uu]ser )(?<![Uu]ser-)\b(skill|agent|subagent|workflow)\s+`/?([a-z0-9][a-z0-9:-]+[a-z0-9])`(?!\s*[:=(])"
    ),
    re.compile(r"\b(Skill|Task|Agent)\(([a-z0-9][a-z0-9:-]+[a-z0-9])\)"),
    re.compile(r"\b(subagent_type)[\"']?\s*[:=]\s*[\"']?([a-z0-9][a-z0-9:-]+[a-z0-9])\b"),
)
"""A command without its slash may be one of a shell. Of 3,510 public artifacts 23 name what is not there."""
_KIND_FIRST = (False, False, True, True, True)
_MEANS = {"subagent": "agent", "task": "agent", "subagent_type": "agent"}
_INSTEAD = {"skill": ("skill", "command"), "command": ("command", "skill")}
"""The client calls a skill and a command in the same way."""


class Reference(NamedTuple):
    """Something that a draft speaks of."""

    kind: str
    """skill, agent, command, workflow or file."""
    name: str


def named(fields: Fields, texts: Iterable[str]) -> Iterator[Reference]:
    """Yield the skills, agents, commands and workflows that front matter and texts name."""
    for key, kind in (("skills", "skill"), ("agent", "agent")):
        value = fields.get(key, "")
        names = value if isinstance(value, list) else value.split(",")
        yield from (Reference(kind, name.strip()) for name in names if name.strip())
    for text in texts:
        for pattern, kind_first in zip(_NAMED, _KIND_FIRST, strict=True):
            for match in pattern.finditer(text):
                kind, name = match.groups() if kind_first else reversed(match.groups())
                folded = kind.casefold()
                yield Reference(_MEANS.get(folded, folded), name)


def files(text: str, *, is_skill: bool) -> Iterator[str]:
    """Yield the files that a text leads to, as it names them; addresses and anchors are none."""
    plain = without_code(text)
    for match in _LINK.finditer(plain):
        target = unquote(match[1].partition("#")[0].partition("?")[0])
        is_route = target.startswith("/") and "." not in target.rpartition("/")[2]
        if target and not is_route and not re.match(r"[A-Za-z][\w+.-]*:|//|\$|\{|~", target):
            yield target
    yield from (match[1] for match in _AT.finditer(plain))
    if is_skill:
        yield from (match[1] for match in _BUNDLED.finditer(text) if not _WRITTEN.search(text[: match.start()][-40:]))


def missing_named(base: KnowledgeBase, one: Evolution, found: Iterable[Reference]) -> list[Reference]:
    """Return what is nowhere: neither in the knowledge base, nor the client's own, nor the draft itself."""
    return [reference for reference in dict.fromkeys(found) if not _is_there(base, one, reference)]


def _is_there(base: KnowledgeBase, one: Evolution, reference: Reference) -> bool:
    kinds = _INSTEAD.get(reference.kind, (reference.kind,))
    if reference.name == one.name and one.kind in kinds:
        return True
    if any(is_known(kind, reference.name) for kind in kinds):
        return True
    return any(entry.domain in kinds for entry in base.get(reference.name))


def missing_files(project: Project, one: Evolution, file: str, own: Iterable[str], targets: Iterable[str]) -> list[str]:
    """Return the targets that are neither in the draft nor in the project; `file` is where they are named."""
    held = set(own)
    folders = {posixpath.dirname(name) for name in held}
    around = posixpath.dirname(
        f"{DEFINITIONS}/{one.place}/{file}" if one.kind == "skill" else f"{DEFINITIONS}/{one.place}"
    )
    missing = []
    for target in dict.fromkeys(targets):
        bare = target.removeprefix("/").rstrip("/")
        inner = {posixpath.normpath(posixpath.join(posixpath.dirname(file), bare)), posixpath.normpath(bare)}
        if one.kind == "skill" and inner & (held | folders):
            continue
        if not any(_exists(project, posixpath.normpath(way)) for way in (posixpath.join(around, bare), bare)):
            missing.append(target)
    return missing


def _exists(project: Project, relative: str) -> bool:
    try:
        return project.folder.status(relative) is not None
    except (AgentStudioError, OSError):
        return False
