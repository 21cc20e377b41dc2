"""What is wrong with which artifact, and how it would look repaired.

A warning is what makes the client, or a strict reader, take an artifact for something else than it says or not at all;
what could be better is a note. No finding shows a secret.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.findings import Severity
from agent_studio.knowledge import artifacts, places
from agent_studio.knowledge.artifacts import BODY_MAX_BYTES, Artifact, Loaded
from agent_studio.knowledge.keys import check_keys
from agent_studio.knowledge.yaml.mending import written
from agent_studio.redaction import find_secrets, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.places import Place

DESCRIPTION_MAX = 1_024
"""Characters; https://agentskills.io/specification."""
BODY_LONG_BYTES = 40_000
_SKILL_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SKILL_NAME_MAX = 64
_OFFERED = ("skill", "agent", "command")
CODES = frozenset((
    "copy", "description-type", "encoding", "file-case", "front-matter-not-first", "front-matter-unclosed", "link",
    "long-body", "long-description", "misspelt-key", "missing-description", "missing-name", "name-differs", "name-form",
    "not-boolean", "not-read", "other-key", "readme-command", "same-name", "secret", "too-deep", "too-large",
    "tools-type", "unknown-key", "unreadable",
))  # fmt: skip
"""Of all issues but those that begin with `YAML`."""
YAML = "yaml-"
_OWN_CODES = {"encoding": "encoding", "unclosed": "front-matter-unclosed", "not-first": "front-matter-not-first"}


class Issue(NamedTuple):
    """One thing that is wrong with one file."""

    code: str
    severity: Severity
    path: str
    line: int
    """Counted from 1; 0 where it is the file as a whole."""
    message: str
    repaired: str = ""
    """What would stand there, several lines where it takes several; empty where there is nothing to propose."""


class Diagnosis(NamedTuple):
    """A look at every file of the tree."""

    issues: list[Issue]
    """By path and line."""
    artifacts: int
    others: list[tuple[str, str]]
    """Files that are no artifacts of their own, and why."""


def diagnose(project: Project, *, user: bool = False) -> Diagnosis:
    """Read every artifact and say what is wrong; a file that vanishes meanwhile is left out."""
    walk = places.walk(project, user=user, everything=True)
    issues = [_skipped(path, reason) for path, reason in walk.skipped]
    read: list[Artifact] = []
    for place in walk.files:
        if reason := places.unkept(place.path):
            issues.append(_skipped(place.path, reason))
            continue
        try:
            loaded = artifacts.load(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            issues.append(Issue("unreadable", Severity.ERROR, place.path, 0, error.strerror or "cannot be read"))
            continue
        found = artifacts.artifact(place, loaded)
        issues += _of_file(place, found, loaded)
        read.append(found._replace(body="", headings=""))
    issues += [*_same_content(read), *_same_name(read)]
    others = sorted(walk.others)
    issues += [
        Issue("readme-command", Severity.INFO, path, 0, "the client offers it as a command: move it out of commands/")
        for path, reason in others
        if reason == "a README" and "/commands/" in path
    ]
    shown = [one._replace(message=redact(one.message), repaired=redact(one.repaired)) for one in issues]
    return Diagnosis(sorted(shown, key=lambda one: (one.path, one.line, one.code)), len(read), others)


def _skipped(path: str, reason: str) -> Issue:
    code = "link" if reason.startswith("a link") else "not-read"
    harmless = reason.endswith(("already read", "around it"))
    return Issue(code, Severity.INFO if harmless else Severity.WARNING, path, 0, reason)


def _of_file(place: Place, found: Artifact, loaded: Loaded) -> Iterator[Issue]:
    for one in loaded.repairs:
        code = _OWN_CODES.get(one.code, f"{YAML}{one.code}")
        yield Issue(code, Severity.WARNING, place.path, one.line, one.message, one.repaired)
    for hit in find_secrets(loaded.text):
        yield Issue("secret", Severity.ERROR, place.path, hit.line, f"a credential ({hit.kind})")
    if loaded.size_bytes > BODY_MAX_BYTES:
        message = f"{loaded.size_bytes:,} bytes; only the first {BODY_MAX_BYTES:,} are searched"
        yield Issue("too-large", Severity.WARNING, place.path, 0, message)
    elif found.domain in _OFFERED and loaded.size_bytes > BODY_LONG_BYTES:
        message = f"{loaded.size_bytes:,} bytes that are loaded whole; move parts into files beside it"
        yield Issue("long-body", Severity.INFO, place.path, 0, message)
    if not found.description and found.domain not in _OFFERED:
        yield Issue("missing-description", Severity.INFO, place.path, 0, "says nowhere what it is for")
    if found.domain in _OFFERED:
        yield from _named(place, found, loaded)
        yield from _described(place, found, loaded)
        yield from _offered(place)
        lines = loaded.text.split("\n")
        for key, code, severity, message, repaired in check_keys(loaded.matter.fields, found.domain):
            yield Issue(code, severity, place.path, line_of(lines, key), message, repaired)


def _named(place: Place, found: Artifact, loaded: Loaded) -> Iterator[Issue]:
    stated = _text(loaded, "name")
    *folders, file = places.within(place.path, place.domain)
    own = folders[-1] if found.domain == "skill" and folders else file.rpartition(".")[0]
    line = line_of(loaded.text.split("\n"), "name")
    if found.domain == "agent" and not stated:
        yield Issue("missing-name", Severity.WARNING, place.path, 2, "the client does not load an agent without a name",
                    f"name: {written(own)}")  # fmt: skip
    elif found.domain == "skill" and not stated:
        yield Issue("missing-name", Severity.INFO, place.path, 2, "has no name; the client takes its folder's",
                    f"name: {written(own)}")  # fmt: skip
    elif stated and found.domain == "skill" and stated != own:
        message = f"is called {stated!r}, but the client knows it by its folder, {own!r}"
        yield Issue("name-differs", Severity.WARNING, place.path, line, message, f"name: {written(own)}")
    elif stated and found.domain == "agent" and stated != own:
        message = f"is called {stated!r} in a file called {own!r}"
        yield Issue("name-differs", Severity.INFO, place.path, line, message, f"name: {written(own)}")
    if found.domain == "skill" and (len(own) > _SKILL_NAME_MAX or not _SKILL_NAME.fullmatch(own)):
        message = f"a skill's name is at most {_SKILL_NAME_MAX} small letters, digits and single hyphens; not {own!r}"
        yield Issue("name-form", Severity.INFO, place.path, line, message)


def _described(place: Place, found: Artifact, loaded: Loaded) -> Iterator[Issue]:
    value = loaded.matter.fields.get("description", "")
    description = _text(loaded, "description")
    line = line_of(loaded.text.split("\n"), "description")
    if isinstance(value, list) or any(key.startswith("description.") for key in loaded.matter.fields):
        message = "the description is not a text; the client shows the first words of the body"
        yield Issue("description-type", Severity.WARNING, place.path, line, message,
                    f"description: {written(description)}" if description else "")  # fmt: skip
    elif not description:
        what = "has an empty description" if "description" in loaded.matter.fields else "has no description"
        effect = "the client does not load it" if found.domain == "agent" else "the client shows the first words of it"
        severity = Severity.INFO if found.domain == "command" else Severity.WARNING
        repaired = f"description: {written(found.description[:DESCRIPTION_MAX])}" if found.description else ""
        yield Issue("missing-description", severity, place.path, line or 2, f"{what}; {effect}", repaired)
    elif len(description) > DESCRIPTION_MAX:
        message = (
            f"the description has {len(description):,} characters, {len(description) - DESCRIPTION_MAX:,} too many"
        )
        yield Issue("long-description", Severity.WARNING, place.path, line, message)


def _offered(place: Place) -> Iterator[Issue]:
    *folders, file = places.within(place.path, place.domain)
    faults = places.misplaced(place.path, place.domain)
    if "too-deep" in faults:
        message = f"the client looks for skills one folder deep and does not offer it; {folders[-1]}/ belongs higher up"
        yield Issue("too-deep", Severity.INFO, place.path, 0, message)
    if "file-case" in faults:
        yield Issue("file-case", Severity.WARNING, place.path, 0, f"the client reads SKILL.md, not {file}")


def _text(loaded: Loaded, key: str) -> str:
    value = loaded.matter.fields.get(key, "")
    return " ".join((value if isinstance(value, str) else ", ".join(value)).split())


def line_of(lines: list[str], key: str) -> int:
    """Return the number of the line that a key stands in, 0 where there is none."""
    pattern = re.compile(rf"\s*[\"']?{re.escape(key.partition('.')[0])}[\"']?\s*:")
    for number, line in enumerate(lines, 1):
        if pattern.match(line):
            return number
        if number > 1 and line.startswith("---"):
            break
    return 0


def _same_content(read: list[Artifact]) -> Iterator[Issue]:
    for first, *copies in artifacts.same_content(read).values():
        for copy in copies:
            yield Issue("copy", Severity.INFO, copy.path, 0, f"has the same bytes as {first.path}")


def _same_name(read: list[Artifact]) -> Iterator[Issue]:
    by_name: dict[tuple[str, str, str], list[Artifact]] = defaultdict(list)
    for one in read:
        if one.domain in _OFFERED:
            by_name[one.domain, one.source, one.name.casefold()].append(one)
    for group in by_name.values():
        contents = artifacts.same_content(group)
        for first, *_ in list(contents.values())[1:]:
            deep = "too-deep" in places.misplaced(first.path, first.domain)
            message = f"another {first.domain} is called {first.name!r}: {group[0].path}"
            yield Issue("same-name", Severity.INFO if deep else Severity.WARNING, first.path, 0, message)
