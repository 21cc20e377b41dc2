"""What each layer says: configuration files, environment variables and `--set`, with every fault collected."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agent_studio.environment.detect import VARIABLE, Environment
from agent_studio.environment.document import Entry, parse
from agent_studio.environment.schema import (
    BY_NAME,
    FLAGS,
    KEYS,
    RENAMED,
    RETIRED,
    SECTIONS,
    Form,
    Key,
    faults,
    flag_keys,
    is_owned,
    is_section,
    key_for,
)
from agent_studio.errors import ConfigurationError, did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PREFIX = "AGENT_STUDIO_"
_SHARED_VARIABLES = {
    VARIABLE, "AGENT_STUDIO_SERVE_TOKEN", "AGENT_STUDIO_ISOLATION", "AGENT_STUDIO_ASKING",
    "AGENT_STUDIO_FLEET_PASSWORD", "AGENT_STUDIO_FLEET_INGEST_PASSWORD",
}  # fmt: skip
_ESTABLISHED = {key.variable: key.name for key in KEYS if key.variable}
_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class Layer(NamedTuple):
    """One layer's say on one key."""

    source: str
    """`default`, `config.yaml`, `rule`, `config.<env>.yaml`, `environment variable` or `--set`."""
    value: Any
    file: str | None = None
    line: int | None = None
    note: str = ""


class Notice(NamedTuple):
    """Something accepted that the user should know of."""

    message: str
    hint: str


class Source(NamedTuple):
    """One configuration file as it was read."""

    name: str
    entries: list[Entry]
    warnings: list[Notice]
    problems: list[ConfigurationError]


class Definitions(Protocol):
    """What configuration files are read from: a project, or a release of one."""

    def shown(self, name: str) -> str:
        """Return how a file is named in messages."""

    def read_definition(self, name: str) -> bytes:
        """Return a file's bytes; raise `FileNotFoundError` when it is not there."""


def read_source(project: Definitions, name: str, *, declared: Environment | None = None) -> Source | None:
    """Read one configuration file with all its faults, or None when it is not there."""
    try:
        data = project.read_definition(name)
    except FileNotFoundError:
        return None
    return _source(data, name, project.shown(name), declared)


@lru_cache(maxsize=16)
def _source(data: bytes, name: str, shown: str, declared: Environment | None) -> Source:
    """Return what a file says; a command looks at the files of every environment, at some of them thrice."""
    source = Source(name, [], [], [])
    try:
        entries = parse(data, shown)
    except ConfigurationError as error:
        source.problems.append(error)
        return source
    written = {entry.key for entry in entries}
    for entry in entries:
        _take(entry, source, shown, written)
        if entry.key == "environment" and declared and str(entry.value).lower() != declared:
            source.problems.append(
                ConfigurationError(
                    f"{shown}:{entry.line}: the file of {declared} says environment: {entry.value}",
                    hint=f"write environment: {declared}, or drop the line",
                )
            )
    return source


def _take(entry: Entry, source: Source, shown: str, written: set[str]) -> None:
    """Sort one entry of a file into values, warnings and problems."""
    place = f"{shown}:{entry.line}"
    if retired := next((old for old in RETIRED if f"{entry.key}.".startswith(f"{old}.")), None):
        source.warnings.append(Notice(f"{place}: {entry.key} is not used", f"decided by {RETIRED[retired]}"))
        return
    if ours := RENAMED.get(entry.key):
        instead = f"not used beside {ours}" if ours in written else f"read as {ours}"
        source.warnings.append(Notice(f"{place}: {entry.key} is {instead}", f"write only {ours}"))
        if ours in written:
            source.problems.extend(filter(None, (_fault(ours, entry.value, place),)))
            return
        entry = Entry(ours, entry.value, entry.line, entry.column)
    if not is_owned(entry.key):
        _look_at_foreign(entry, source, place)
    elif problem := _fault(entry.key, entry.value, place):
        source.problems.append(problem)
        return
    elif added := _lookalike_flag(entry.key):
        source.warnings.append(Notice(f"{place}: {entry.key} adds a flag", f"did you mean features.{added}?"))
    source.entries.append(entry)


def _look_at_foreign(entry: Entry, source: Source, place: str) -> None:
    """Warn of a foreign section that looks like one of ours misspelt."""
    section = entry.key.split(".", 1)[0]
    if section == "environment":  # what a file declares itself to be
        return
    if near := nearest(section, SECTIONS, cutoff=0.85):
        source.warnings.append(
            Notice(f"{place}: section {section!r} is not one of ours and is ignored", f"did you mean {near!r}?")
        )


def _lookalike_flag(name: str) -> str | None:
    if name in BY_NAME or not name.startswith("features."):
        return None
    flag = name.split(".")[1]
    return nearest(flag, FLAGS, cutoff=0.85)


def _fault(name: str, value: Any, place: str) -> ConfigurationError | None:
    key = key_for(name)
    if key is None:
        if is_section(name):
            return ConfigurationError(f"{place}: {name} must be a section of keys", hint="indent its keys below it")
        return ConfigurationError(f"{place}: unknown key {name}", hint=did_you_mean(name, _siblings(name)))
    if fault := next(faults(key, value), ""):
        return ConfigurationError(f"{place}: {name} {fault}", hint=key.doc)
    return None


def _siblings(name: str) -> list[str]:
    parts = name.split(".")
    while len(parts) > 1:
        parts.pop()
        prefix = ".".join(parts) + "."
        if found := [known for known in (*BY_NAME, *RENAMED) if known.startswith(prefix)]:
            return found
    return list(BY_NAME)


def read_outside(
    variables: Mapping[str, str], overrides: Iterable[str], added_flags: Iterable[str]
) -> tuple[list[tuple[str, Layer]], list[ConfigurationError]]:
    """Return what environment variables and `--set` say, and what is wrong with them."""
    said: list[tuple[str, Layer]] = []
    problems: list[ConfigurationError] = []
    for item in (
        *_from_variables(variables, added_flags, problems),
        *_from_overrides(overrides, added_flags, problems),
    ):
        name, text, source, place = item
        key = key_for(name)
        value = _parse_text(key, text) if key else text
        if problem := _fault(name, value, place):
            problems.append(problem)
        else:
            said.append((name, Layer(source, value, note=place)))
    return said, problems


def _from_variables(
    variables: Mapping[str, str], added_flags: Iterable[str], problems: list[ConfigurationError]
) -> Iterator[tuple[str, str, str, str]]:
    own = _own_variables(tuple(added_flags))
    for variable in sorted(variables, key=lambda name: name.startswith(_PREFIX)):  # our own names win
        if name := own.get(variable) or _ESTABLISHED.get(variable):
            yield name, variables[variable], "environment variable", variable
        elif variable.startswith(_PREFIX) and variable not in _SHARED_VARIABLES:
            problems.append(
                ConfigurationError(
                    f"unknown environment variable {variable}",
                    hint=did_you_mean(variable, [*own, *_SHARED_VARIABLES]),
                )
            )


@lru_cache(maxsize=16)
def _own_variables(added_flags: tuple[str, ...]) -> dict[str, str]:
    """Return the key of every generated variable; a command resolves every environment, some of them many times."""
    keys = (*KEYS, *(key for flag in added_flags for key in flag_keys(flag)))
    return {key.own_variable: key.name for key in keys}


def _from_overrides(
    overrides: Iterable[str], added_flags: Iterable[str], problems: list[ConfigurationError]
) -> Iterator[tuple[str, str, str, str]]:
    flags = (*FLAGS, *added_flags)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not is_owned(name):
            near = did_you_mean(name, BY_NAME) if equals else "write --set key=value"
            problems.append(ConfigurationError(f"--set {override}: not a key of ours with a value", hint=near))
            continue
        if name.startswith("features.") and (flag := name.split(".")[1].strip()) not in flags:
            problems.append(
                ConfigurationError(f"--set {override}: unknown flag {flag!r}", hint=did_you_mean(flag, flags))
            )
            continue
        yield name.strip(), text.strip(), "--set", "--set"


def _parse_text(key: Key, text: str) -> Any:
    """Return the value a text stands for; what does not fit stays text and is refused by its form."""
    if key.nullable and text.lower() in {"", "null", "unlimited"}:
        return None
    if key.form is Form.BOOLEAN:
        return _WORDS.get(text.lower(), text)
    if key.form is Form.STRING:
        return text
    if key.form is Form.STRINGS and not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text
