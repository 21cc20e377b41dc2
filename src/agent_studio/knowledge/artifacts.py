"""One artifact as the index has it: what its front matter states, and what its file and place say where it does not."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import front_matter
from agent_studio.knowledge.answers import COMPLEXITIES
from agent_studio.knowledge.places import is_skill_file, misplaced, walk, within
from agent_studio.knowledge.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.front_matter import Fields, FrontMatter, Value
    from agent_studio.knowledge.places import Place
    from agent_studio.knowledge.yaml.mending import Repair

BODY_MAX_BYTES = 1 << 20
"""What is read of a file as text; the rest only counts in its hash and size."""
_SIZE_STEPS = (4_000, 12_000, 40_000)
"""Bytes from which an artifact that does not state its complexity counts as MEDIUM, HIGH and EPIC."""
_NO = frozenset(("", "false", "no", "off", "0", "null", "~", "none"))
_YES = frozenset(("true", "yes", "on", "1"))
_OUTSIDE_BRACKETS = re.compile(r"[^,;()]*(?:\([^()]*\)?[^,;()]*)*")
_TOOL = re.compile(r"(?:[A-Z]\w*|mcp__[\w-]+)(?:\([^()]*\))?")
_TOLD = re.compile(
    r"""^[ \t]*(?:\#(?!!)|//|/?\*+|--|::|REM\b)([^\n]*) | ^[ \t]*[rR]?(\"{3}|\'{3})(.*?)\2""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_DEPENDENCIES = re.compile(r"^# /// \w+\n(?:#.*\n)*?# ///$", re.MULTILINE)
"""PEP 723: what a script needs, written in its comments."""
_HEADING = re.compile(r"#{1,6}[ \t]+(.*?)[ \t#]*")
_LITERAL_BREAK = re.compile(r"\\+n(?![a-z])")
"""A line break as it is written between double quotes, in a text that has none."""
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")


class Artifact(NamedTuple):
    """One artifact."""

    name: str
    """As the client has it: `plugin:name`, of a command in a folder `folder:name`."""
    path: str
    """From the project's root, with `/`."""
    description: str
    domain: str
    """skill, agent, command, workflow, hook, rule or doc."""
    complexity: str
    """LOW, MEDIUM, HIGH or EPIC."""
    use_cases: str
    """Joined with `;`."""
    tools: str
    """Joined with `;`."""
    deprecated: bool
    alias: str
    """Other names, joined with `;`: the stated ones, and the folder's or file's where it is another."""
    tags: str
    """Joined with `;`."""
    headings: str
    """One a line."""
    body: str
    """The text without front matter and headings."""
    source: str
    """`project`, `user` or `plugin:<name>`."""
    sha256: str
    """Of the file's bytes."""
    size_bytes: int
    mtime_ns: int
    hidden: bool
    """The client does not offer it to the model; see `withheld`."""
    repairs: tuple[Repair, ...]


class Scan(NamedTuple):
    """Every artifact of a project, sorted by path, and what could not be read."""

    artifacts: list[Artifact]
    skipped: list[tuple[str, str]]
    """Path from the project's root, and why."""


def scan(project: Project, *, user: bool = False) -> Scan:
    """Read every artifact; what cannot be read is named, never raised, and what has vanished is left out."""
    found = walk(project, user=user)
    artifacts, skipped = [], list(found.skipped)
    for place in found.files:
        try:
            artifacts.append(read(place))
        except FileNotFoundError:
            continue
        except OSError as error:
            skipped.append((place.path, error.strerror or "cannot be read"))
    return Scan(artifacts, skipped)


def read(place: Place) -> Artifact:
    """Read one artifact; raise OSError when its file cannot be read."""
    return artifact(place, load(place))


class Loaded(NamedTuple):
    """The content of one file."""

    text: str
    matter: FrontMatter
    repairs: tuple[Repair, ...]
    """Those of the bytes and those of the front matter."""
    sha256: str
    size_bytes: int
    mtime_ns: int


def load(place: Place) -> Loaded:
    """Read one file; raise OSError when it cannot be read."""
    data, sha256, size_bytes, mtime_ns = _content(place)
    text, repairs = decode(data)
    matter = _matter(place, text)
    return Loaded(text, matter, (*repairs, *matter.repairs), sha256, size_bytes, mtime_ns)


def with_text(place: Place, loaded: Loaded, text: str) -> Loaded:
    """Return a file as if another text stood in it."""
    return loaded._replace(text=text, matter=_matter(place, text))


def _matter(place: Place, text: str) -> FrontMatter:
    return front_matter.read_yaml(text) if _is_yaml(place) else front_matter.read(text)


def artifact(place: Place, loaded: Loaded) -> Artifact:
    """Return what a file is as an artifact."""
    fields, text = loaded.matter.fields, loaded.matter.body
    headings, body = _split(text) if place.domain != "hook" else ("", text)
    name, others = _names(place, fields)
    description = _LITERAL_BREAK.sub(" ", _text(fields.get("description", "")))
    return Artifact(
        name=name,
        path=place.path,
        description=description or ("" if _is_yaml(place) else _first_words(text, place.domain)),
        domain=place.domain,
        complexity=_complexity(_text(fields.get("complexity", "")), loaded.size_bytes),
        use_cases=_joined(fields, "use_cases", "triggers", "when_to_use", "tags", first=True),
        tools=";".join(tools_of(fields)),
        deprecated=_deprecated(fields)
        or (place.domain == "hook" and _first_words(text, "hook").startswith("@deprecated")),
        alias=";".join(dict.fromkeys((*_items(fields, "alias", "aliases"), *others))),
        tags=_joined(fields, "tags", "keywords", "category", "metadata.tags", "metadata.category"),
        headings=headings,
        body=body,
        source=place.source,
        sha256=loaded.sha256,
        size_bytes=loaded.size_bytes,
        mtime_ns=loaded.mtime_ns,
        hidden=bool(withheld(place, fields)),
        repairs=loaded.repairs,
    )


def withheld(place: Place, fields: Fields) -> list[str]:
    """Return why the client does not offer an artifact to the model; empty where it does.

    `too-deep`, `file-case`, `missing-name` and `missing-description` are findings of `kb doctor` too;
    `disable-model-invocation` is the author's wish.
    """
    reasons = misplaced(place.path, place.domain)
    if place.domain == "agent":
        reasons += [f"missing-{key}" for key in ("name", "description") if not _text(fields.get(key, ""))]
    if _text(fields.get("disable-model-invocation", "")).lower() in _YES:
        reasons.append("disable-model-invocation")
    return reasons


def _content(place: Place) -> tuple[bytes, str, int, int]:
    """Return the start of a file, the hash of all of it, its size and its mtime_ns."""
    descriptor = os.open(place.place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        data = file.read(BODY_MAX_BYTES)
        digest = hashlib.sha256(data)
        size_bytes = len(data)
        while more := file.read(BODY_MAX_BYTES):
            digest.update(more)
            size_bytes += len(more)
    return data, digest.hexdigest(), size_bytes, status.st_mtime_ns


def _is_yaml(place: Place) -> bool:
    return place.path.endswith((".yaml", ".yml"))


def _names(place: Place, fields: Fields) -> tuple[str, list[str]]:
    """Return the name the client knows the artifact by, and what else it is called.

    The client calls a skill as its folder, a command as its file, and an agent as its front matter says.
    """
    *folders, file = within(place.path, place.domain)
    stated = _text(fields.get("name", ""))
    own = file.rpartition(".")[0]
    if is_skill_file(file):
        own = folders.pop() if folders else place.place.parent.name
    space = [place.source.removeprefix("plugin:")] if place.source.startswith("plugin:") else []
    if place.domain == "command":
        name = ":".join((*space, *folders, own))
    else:
        name = ":".join((*space, own if place.domain == "skill" else stated or own))
    return name, [other for other in (stated, own) if other and other != name]


def _complexity(stated: str, size_bytes: int) -> str:
    if stated.upper() in COMPLEXITIES:
        return stated.upper()
    return COMPLEXITIES[sum(size_bytes >= step for step in _SIZE_STEPS)]


def _deprecated(fields: Fields) -> bool:
    if _text(fields.get("status", fields.get("metadata.status", ""))).lower() == "deprecated":
        return True
    return _text(fields.get("deprecated", fields.get("metadata.deprecated", ""))).lower() not in _NO


def tools_of(fields: Fields) -> list[str]:
    """Return the tools an artifact names, written as a list, with commas or with spaces."""
    stated = next((fields[key] for key in ("tools", "allowed-tools", "allowed_tools") if fields.get(key)), "")
    items = stated if isinstance(stated, list) else _OUTSIDE_BRACKETS.findall(stated)
    found = [one for item in items if (one := _text(item))]
    if len(found) == 1 and not isinstance(stated, list) and _TOOL.sub("", found[0]).strip() == "":
        found = _TOOL.findall(found[0])
    return list(dict.fromkeys(found))


def _text(value: Value) -> str:
    joined = value if isinstance(value, str) else ", ".join(value)
    return " ".join(joined.replace("\x00", " ").split())


def _items(fields: Fields, *keys: str, first: bool = False) -> list[str]:
    """Return the items under the keys, or under the first key that has any, each once."""
    found: list[str] = []
    for key in keys:
        value = fields.get(key, "")
        items = value if isinstance(value, list) else [value] if key == "when_to_use" else re.split(r"[,;]", value)
        found += filter(None, (_text(item) for item in items))
        if found and first:
            break
    return list(dict.fromkeys(found))


def _joined(fields: Fields, *keys: str, first: bool = False) -> str:
    return ";".join(item.replace(";", ",") for item in _items(fields, *keys, first=first))


def _split(text: str) -> tuple[str, str]:
    """Return the headings, one a line, and the rest; what stands between code fences is no heading."""
    headings, rest, fence = [], [], ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        heading = None if fence or mark or not line.startswith("#") else _HEADING.fullmatch(line)
        if heading:
            headings.append(_text(heading[1]))
        else:
            rest.append(line)
    return "\n".join(filter(None, headings)), "\n".join(rest).strip("\n")


def _first_words(body: str, domain: str) -> str:
    """Return the first line of prose, else the first heading; of a script, its first comment or docstring."""
    if domain == "hook":
        return next((words for line in _told(body) if " " in (words := _text(line.strip("#/*\"'-> ")))), "")
    heading = ""
    for line in body.splitlines():
        words = _text(line.replace("**", "").strip().strip("#/*\"'->").strip())
        if not words:
            continue
        if not line.startswith("#"):
            return words
        heading = heading or words
    return heading


def _told(script: str) -> Iterator[str]:
    """Yield the lines of a script's comments and docstrings, but for what names its interpreter and dependencies."""
    for found in _TOLD.finditer(_DEPENDENCIES.sub("", script)):
        yield from (found[1] or found[3] or "").splitlines()


def same_content(artifacts: Iterable[Artifact]) -> dict[str, list[Artifact]]:
    """Return the artifacts by the hash of their bytes, in the order of their paths: the first stands for its copies."""
    groups: dict[str, list[Artifact]] = {}
    for artifact in sorted(artifacts, key=lambda one: one.path):
        groups.setdefault(artifact.sha256, []).append(artifact)
    return groups
