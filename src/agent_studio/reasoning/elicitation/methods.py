"""The catalogue of reasoning methods: ours, one file each in `catalogue/`, and the project's own in `.claude/methods/`.

A method is a Markdown file whose front matter says what it is for and by which words of a request it is known, and
whose body is what a model is told. A project may write YAML as well, with the body as `prompt`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError, ConfigurationError, UsageError, did_you_mean
from agent_studio.knowledge import front_matter, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.knowledge.front_matter import FrontMatter, Value

OWN_FOLDER = "methods"
"""The folder of `.claude/` that holds a project's own."""
SINGLE, FACTORED = "single", "factored"
"""How a method asks: in one call, or with questions that are answered without the text in view."""
CUES = ("strong", "medium", "weak")
"""How much the words of a request say for a method."""
_OFFERED = "features.advancedElicitation.methods"
_CATALOGUE = Path(__file__).with_name("catalogue")
_SUFFIXES = (".md", ".yaml", ".yml")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_SHAPE = "name it in small letters, figures and dashes, such as pre-mortem"
_TEXTS = ("name", "purpose", "evidence", "protocol", "prompt")
_LISTS = ("aliases", "kinds", *(f"cues.{one}" for one in CUES))
_MAX_BYTES, _MAX_FILES = 100_000, 500
_EXAMPLE = "purpose: what it is for, in one line"


@dataclass(frozen=True)
class Method:
    """One way to look at a text."""

    id: str
    name: str
    purpose: str
    prompt: str
    """What a model is told to do, in Markdown."""
    aliases: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """Kinds of texts that it suits: architecture, security, strategy, specification, or any of a project's own."""
    cues: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By strength, patterns of words (`select`) that speak for it in a request."""
    evidence: str = ""
    """What is known of its worth."""
    protocol: str = SINGLE
    source: str = "built-in"
    """Where it is from: ours, or the project's file."""


def load(context: Context) -> Mapping[str, Method]:
    """Return all methods by id: ours, then the project's own; raise `ConfigurationError` for a file that is none."""
    found = dict(built_in())
    names = {name: one.source for one in found.values() for name in (one.id, *one.aliases)}
    for method in _own(context.project):
        for name in (method.id, *method.aliases):
            if name in names:
                other = "one of ours" if names[name] == "built-in" else f"in {names[name]}"
                raise ConfigurationError(
                    f"{method.source}: the method {name!r} is {other} already", hint="give it a name of its own"
                )
            names[name] = method.source
        found[method.id] = method
    return found


@cache
def built_in() -> Mapping[str, Method]:
    """Return the methods that come with the package, by id."""
    places = sorted(place for place in _CATALOGUE.iterdir() if place.suffix == ".md")
    methods = (parse(place.name, place.read_bytes(), "built-in") for place in places)
    return {one.id: one for one in methods}


def on_offer(context: Context) -> dict[str, Method]:
    """Return the methods that the configuration offers, all of them where it names none."""
    methods = load(context)
    listed = context.config[_OFFERED]
    if not listed:
        return dict(methods)
    try:
        return {method.id: method for method in (find(methods, str(name)) for name in listed)}
    except UsageError as error:
        raise ConfigurationError(f"{_OFFERED}: {error.message}", hint=error.hint) from None


def find(methods: Mapping[str, Method], name: str) -> Method:
    """Return a method by its id or another name of it; raise `UsageError` that names the nearest."""
    wanted = re.sub(r"[\s_']+", "-", name.strip().casefold())
    if wanted in methods:
        return methods[wanted]
    by_alias = {alias: method for method in methods.values() for alias in method.aliases}
    if wanted in by_alias:
        return by_alias[wanted]
    raise UsageError(f"unknown method {name!r}", hint=did_you_mean(wanted, [*methods, *by_alias]))


def chosen(context: Context, names: Iterable[str]) -> list[Method]:
    """Return the named methods, each once; raise `UsageError` for one that is unknown or not on offer."""
    methods, offered = load(context), on_offer(context)
    found = {method.id: method for method in (find(methods, name) for name in names)}
    for method_id in found:
        if method_id not in offered:
            raise UsageError(
                f"the method {method_id!r} is not on offer here: {_OFFERED} lists {', '.join(offered)}",
                hint=f"add it there, or choose one of these: agent-studio config explain {_OFFERED}",
            )
    return list(found.values())


def _own(project: Project) -> list[Method]:
    """Return the methods of the project's folder, by name; none where there is no such folder."""
    shown = project.shown(OWN_FOLDER)
    try:
        names = [name for name in project.folder.names(shown) if name.endswith(_SUFFIXES)]
    except FileNotFoundError:
        return []
    except AgentStudioError as error:
        raise ConfigurationError(f"{shown}: {error.message}", hint="make it a folder that can be read") from error
    if len(names) > _MAX_FILES:
        raise ConfigurationError(f"{project.shown(OWN_FOLDER)} has {len(names)} methods; at most {_MAX_FILES} are read")
    listed = [name for name in names if name.casefold() != "readme.md"]
    return [parse(name, _read(project, f"{shown}/{name}"), f"{shown}/{name}") for name in listed]


def _read(project: Project, path: str) -> bytes:
    """Return the bytes of a method; raise `ConfigurationError` for a link: a candidate could not hold it."""
    try:
        return project.folder.read(path)
    except (FileNotFoundError, AgentStudioError) as error:
        why = error.message if isinstance(error, AgentStudioError) else "it leads nowhere"
        raise ConfigurationError(f"{path}: {why}", hint="put a file in its place") from None


def parse(name: str, data: bytes, source: str) -> Method:
    """Return the method in a file; raise `ConfigurationError` with file and line for what is none."""
    shown = name if source == "built-in" else source
    stem, _, suffix = name.rpartition(".")
    if not _NAME.fullmatch(stem):
        raise ConfigurationError(f"{shown}: {stem!r} is no name of a method", hint=_SHAPE)
    text = _text(data, shown)
    read = front_matter.read(text) if suffix == "md" else front_matter.read_yaml(text)
    _refuse_repairs(read, shown)
    reading = _Reading(text, read, shown, has_body=suffix == "md")
    reading.refuse_unknown()
    prompt = read.body.strip() if suffix == "md" else reading.text("prompt").strip()
    if not prompt:
        raise reading.fault("prompt", "it says nothing that a model could do", "write the steps of the method")
    protocol = reading.text("protocol") or SINGLE
    if protocol not in {SINGLE, FACTORED}:
        raise reading.fault("protocol", f"protocol is {protocol!r}", f"{SINGLE} or {FACTORED}")
    return Method(
        id=stem, name=reading.text("name") or stem, purpose=reading.required("purpose"), prompt=prompt,
        aliases=tuple(reading.names("aliases")), kinds=reading.texts("kinds"),
        cues={one: reading.cues(f"cues.{one}") for one in CUES}, evidence=reading.text("evidence"),
        protocol=protocol, source=source,
    )  # fmt: skip


def _text(data: bytes, shown: str) -> str:
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(f"{shown} has {len(data)} bytes; at most {_MAX_BYTES} are read", hint="shorten it")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{shown}:{line}: not UTF-8", hint="save the file as UTF-8") from error


def _refuse_repairs(read: FrontMatter, shown: str) -> None:
    """Raise for what search would read all the same: a method is part of what a model is told, and read strictly."""
    for repair in read.repairs:
        raise ConfigurationError(f"{shown}:{repair.line}: {repair.message}", hint="mend the YAML at that line")


class _Reading:
    """The fields of one file, and where they stand."""

    def __init__(self, text: str, read: FrontMatter, shown: str, *, has_body: bool) -> None:
        self._lines = text.split("\n")
        self._fields, self._shown = read.fields, shown
        self._known = {*_TEXTS, *_LISTS} - ({"prompt"} if has_body else set())

    def fault(self, key: str, message: str, hint: str) -> ConfigurationError:
        """Return what is wrong with a key, with its line."""
        last = re.escape(key.rpartition(".")[2])
        line = next((n for n, one in enumerate(self._lines, 1) if re.match(rf"\s*{last}\s*:", one)), 1)
        return ConfigurationError(f"{self._shown}:{line}: {message}", hint=hint)

    def refuse_unknown(self) -> None:
        """Raise for a key that no method has."""
        for key in self._fields:
            if key not in self._known:
                raise self.fault(key, f"unknown key {key!r}", did_you_mean(key, sorted(self._known)))

    def text(self, key: str) -> str:
        """Return a text, empty where there is none."""
        value: Value = self._fields.get(key, "")
        if isinstance(value, list):
            raise self.fault(key, f"{key} is a list", f"write one text: {key}: ...")
        return value

    def required(self, key: str) -> str:
        """Return a text that must be there."""
        if not (found := " ".join(self.text(key).split())):
            raise self.fault(key, f"{key} is missing", _EXAMPLE)
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is none."""
        value = self._fields.get(key, [])
        if isinstance(value, str):
            if value:
                raise self.fault(key, f"{key} is one text", f"write a list: {key}: [{value}]")
            return ()
        return tuple(value)

    def cues(self, key: str) -> tuple[str, ...]:
        """Return rows of words, each of which has some."""
        for one in (found := self.texts(key)):
            if not one.split() or not all(words.words(place.replace("|", " ")) for place in one.split()):
                raise self.fault(key, f"the cue {one!r} has no words", "write words, such as: what|how could fail")
        return found

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names."""
        for one in (found := self.texts(key)):
            if not _NAME.fullmatch(one):
                raise self.fault(key, f"{one!r} is no name of a method", _SHAPE)
        return found
