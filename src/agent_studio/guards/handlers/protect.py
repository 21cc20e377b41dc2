"""Keeps agents from what is not theirs: evidence, other agents' sidecars, other environments' files.

A seat belt where there is no kernel isolation, and a reason that an agent can read where there is. Tools that name a
file are judged by where it leads; a shell command by the files that it names, which is best effort.
"""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.guards import own_memory, own_search, programs, reach, shell
from agent_studio.guards.handler import Call, Handler, Outcome
from agent_studio.guards.lexer import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context

KEY, READS_KEY = "isolation.guard", "isolation.guardReads"
_TOOLS = ("mcp__",)
_CONFIGURATION = ("config.yaml", "config.development.yaml", "config.staging.yaml", "config.production.yaml")
_OWN_VERBS = frozenset(
    ("cost", "doctor", "kb", "log", "monitor", "scan", "smoke", "status", "ingest", "config", "flags", "alerts")
)
_LOOKED_AT = 5_000
"""Files of a place that are looked at for a name."""
_WILD = "*?[{"


class Place(NamedTuple):
    """A folder or file that an agent must leave alone."""

    path: str
    """Real, in the form in which paths are compared."""
    what: str
    hint: str
    is_hidden: bool
    """Whether reading is denied as well, where reads are guarded."""
    but: tuple[str, ...] = ()
    """Folders in it that are the agent's after all."""

    def holds(self, path: str) -> bool:
        """Tell whether a compared path lies in it."""
        return _within(path, self.path) and not any(_within(path, own) for own in self.but)


def asked(context: Context) -> frozenset[str]:
    """Return the events that the configuration needs."""
    return frozenset({"PreToolUse"} if context.config[KEY] or context.config[own_memory.KEY] else ())


def decide(call: Call) -> Outcome | None:
    """Deny a tool that would write, or where reads are guarded read, what is not the agent's."""
    given, tool = call.payload.get("tool_input"), str(call.payload.get("tool_name", ""))
    if not isinstance(given, dict) or not _names_files(tool, given):
        return None
    try:
        context = call.context()
    except Exception:
        if _may_want(call):
            raise
        return None
    if not asked(context):
        return None
    return _judged(call, context, tool, given)


def _judged(call: Call, context: Context, tool: str, given: Mapping[str, Any]) -> Outcome | None:
    folder = str(call.payload.get("cwd") or context.project.path)
    agent = str(call.payload.get("agent_type") or "")
    for command in reach.commands(tool, given):
        if reason := own_memory.foreign_call(command, agent, str(context.environment)):
            return Outcome(deny=f"agent-studio: a sidecar is its agent's own, and {reason}.")
    private = list(_private(context, agent))
    places = [*private, *(_places(context) if context.config[KEY] else ())]
    found = _written(tool, given, folder, places)
    if found is None and context.config[own_memory.KEY]:
        found = _read(tool, given, folder, private) or _looked_through(context, tool, given, folder, private)
    if found is None and context.config[KEY] and context.config[READS_KEY]:
        found = _read(tool, given, folder, [place for place in places if place.is_hidden])
    if found is None:
        return None
    path, place = found
    return Outcome(deny=f"agent-studio: {path} is {place.what}. {place.hint}")


def _names_files(tool: str, given: Mapping[str, Any]) -> bool:
    return tool in reach.WRITERS | reach.READERS or tool.startswith(_TOOLS) or isinstance(given.get("command"), str)


def _may_want(call: Call) -> bool:
    """Tell whether a configuration that cannot be read may ask for this guard: it names it."""
    from pathlib import Path  # noqa: PLC0415 - only after a fault

    from agent_studio.environment.detect import choose_project  # noqa: PLC0415
    from agent_studio.environment.roots import Project  # noqa: PLC0415
    from agent_studio.errors import UsageError  # noqa: PLC0415

    try:
        project = Project(choose_project(None, os.environ, Path(str(call.payload.get("cwd") or "."))).path)
    except UsageError:
        return False
    for name in _CONFIGURATION:
        try:
            if b"guard" in project.read_definition(name):
                return True
        except FileNotFoundError:
            continue
    return False


def _private(context: Context, agent: str) -> Iterator[Place]:
    """Yield where the sidecars of other agents are."""
    for folder, is_here in own_memory.folders(context):
        sidecars = context.project.path / folder
        name = own_memory.own_folder(context, agent) if is_here else ""
        mine = (_compared(sidecars / name),) if name else ()
        what = "another agent's own memory" if is_here else "an agent's own memory, of another environment"
        yield Place(_compared(sidecars), what, "Only that agent opens it.", True, mine)
    for place in own_memory.index_places(context):
        yield Place(_compared(place), "the index of agents' own memories", "Only agent-studio opens it.", True)


def _looked_through(
    context: Context, tool: str, given: Mapping[str, Any], folder: str, private: list[Place]
) -> Found | None:
    """Return what a search through a whole folder would show of other agents' memories."""
    searches = list(own_search.by_tool(tool, given, folder))
    for command in reach.commands(tool, given):
        for part in shell.parts(command) or ():
            searches += own_search.by_shell(part)
    kept = {_compared(context.project.path / one): one for one, _ in (own_memory.folders(context) if searches else ())}
    for search in searches:
        root = _compared(reach.real(_fixed(search.root), folder))
        shown = [place for place in private if _shows(search, root, place, context, kept.get(place.path))]
        if shown:
            names = sorted({os.path.basename(place.path) for place in shown})  # noqa: PTH119 - text
            hint = f"Leave it out: {search.how.replace('{}', '{' + ','.join(names) + '}' if names[1:] else names[0])}."
            return f"{os.path.relpath(shown[0].path, root)} (in {search.root})", shown[0]._replace(hint=hint)
    return None


def _shows(search: own_search.Search, root: str, place: Place, context: Context, kept: str | None) -> bool:
    """Tell whether a search may show something of a place; an index, which is no text, only from close by."""
    base = context.project.path
    if not _within(place.path, root) or (kept is None and _within(_compared(base), root)):
        return False
    if kept is None:
        return True
    ignored = own_search.ignored_from(context.project.folder, kept) if search.skips_ignored else ""
    if ignored and _within(_compared(base / ignored), root) and _compared(base / ignored) != root:
        return False
    files = own_search.files_of(str(base / kept), place.but)
    return files != [] and not (
        files is not None and own_search.leaves_out(search, place.path[len(root) :].strip("/"), files)
    )


def _places(context: Context) -> Iterator[Place]:
    """Yield what an agent must leave alone in one environment, what is told first before what holds it."""
    from agent_studio.environment.context import other_roots  # noqa: PLC0415 - only where the guard is on
    from agent_studio.environment.detect import Environment  # noqa: PLC0415
    from agent_studio.environment.roots import STATE  # noqa: PLC0415

    project, root = context.project, context.root
    base = project.path
    own = tuple(_compared(base / place) for place in {root.root, *root.kinds.values()})
    yield Place(
        _compared(base / STATE), "what Agent Studio keeps as evidence",
        "Only agent-studio writes it; agent-studio status and doctor read it.", False,
    )  # fmt: skip
    for other in other_roots(project, context.environment):
        hint = f"In {context.environment} use {context.environment}'s own: {root.root}/."
        for kind in set(other.kinds.values()) - set(root.kinds.values()):
            yield Place(_compared(base / kind), f"{other.environment}'s data", hint, True)
    if context.environment is Environment.STAGING:
        yield Place(
            _compared(project.definitions), "production's definitions and configuration",
            "They change in development, and go live by a release.", False, own,
        )  # fmt: skip
    yield from _target(context)


def _target(context: Context) -> Iterator[Place]:
    from agent_studio.environment.detect import Environment  # noqa: PLC0415 - as above
    from agent_studio.isolation.policy import target_of  # noqa: PLC0415

    target = None if context.environment is Environment.PRODUCTION else target_of(context)
    if target is not None:
        yield Place(_compared(target), "production's", "It changes by a release alone.", True)


Found = tuple[str, Place]


def _written(tool: str, given: Mapping[str, Any], folder: str, places: list[Place]) -> Found | None:
    for command in reach.commands(tool, given):
        if found := _by_shell(command, folder, places, reading=False):
            return found
    paths = reach.written(tool, given)
    if reach.empties(tool) and (found := _above(paths, folder, places)):
        return found
    return _held(paths, folder, places)


def _read(tool: str, given: Mapping[str, Any], folder: str, places: list[Place]) -> Found | None:
    for command in reach.commands(tool, given):
        if found := _by_shell(command, folder, places, reading=True):
            return found
    return _held(reach.read(tool, given), folder, places)


def _held(paths: list[str], folder: str, places: list[Place]) -> Found | None:
    for path in paths:
        for one in (_fixed(path), *_matching(path, folder)):
            compared = _compared(reach.real(one, folder))
            for place in places:
                if place.holds(compared):
                    return path, place
    return None


def _matching(path: str, folder: str) -> Iterator[str]:
    """Yield what a path with wild cards names, as a shell would; of very much only the first."""
    if any(mark in path for mark in "*?[") and "\0" not in path:
        import glob  # noqa: PLC0415 - few paths have wild cards

        yield from islice(glob.iglob(os.path.join(folder, os.path.expanduser(path))), _LOOKED_AT)  # noqa: PTH111, PTH118, PTH207 - text


def _by_shell(command: str, folder: str, places: list[Place], *, reading: bool) -> Found | None:
    """Return what a command names and does not leave alone; `reading` counts every naming."""
    listed = shell.parts(command)
    if listed is None:
        return _in_text(command, folder, places)
    for written in listed:
        part = shell.Part(*(tuple(_expanded(word, folder) for word in words) for words in written))
        if found := _by_part(part, folder, places, reading=reading):
            return found
        if part.program in {"cd", "pushd"}:
            into = next((word for word in part.words[1:] if not word.startswith("-")), "~")
            folder = reach.real(into, folder)
    return None


def _by_part(part: shell.Part, folder: str, places: list[Place], *, reading: bool) -> Found | None:
    only_reads = programs.reads(part, _OWN_VERBS)
    words = part.words[1:] if reading else () if only_reads else (*programs.written(part), *part.inner)
    if found := _held([*words, *part.targets, *(part.sources if reading else ())], folder, places):
        return found
    if only_reads:
        return None
    for text in programs.scripts(part):
        if found := _in_text(text, folder, places):
            return found
    return _above(programs.emptied(part), folder, places, programs.names_looked_for(part))


def _above(words: list[str], folder: str, places: list[Place], names: list[str] | None = None) -> Found | None:
    """Return a folder that holds a place, and in the place one of the names, if any are given."""
    for word in filter(None, words):
        compared = _compared(reach.real(_fixed(word), folder))
        for place in places:
            if _within(place.path, compared) and (not names or _has_one(place.path, names)):
                return f"{os.path.relpath(place.path, compared)} (in {word})", place
    return None


def _has_one(place: str, names: list[str]) -> bool:
    """Tell whether a place holds a file of one of the names; too many files to look at count as yes."""
    left = _LOOKED_AT
    for _, folders, files in os.walk(place):
        left -= len(folders) + len(files) + 1
        found = (os.path.basename(place), *folders, *files)  # noqa: PTH119 - text
        if left < 0 or any(fnmatch.fnmatch(name.casefold(), one.casefold()) for name in found for one in names):
            return True
    return False


def _in_text(command: str, folder: str, places: list[Place]) -> Found | None:
    """Look for a place's name in a command that does not plainly say what it does."""
    text, here = _form(command), _compared(folder)
    for place in places:
        names = [place.path]
        if _within(place.path, here) and place.path != here:
            names.append(place.path[len(here) :].lstrip("/"))
        for name in names:
            at = text.find(name)
            if at >= 0 and not any(_within(f"{here}/{text[at:]}".split()[0], own) for own in place.but):
                return command[at : at + len(name)], place
    return None


def _expanded(word: str, folder: str) -> str:
    if UNKNOWN in word:
        word = (f".{word[1:]}" if word.startswith(f"{UNKNOWN}/") else word).replace(UNKNOWN, "")
    if word == "~+" or word.startswith("~+/"):
        word = folder + word[2:]
    for name in ("CLAUDE_PROJECT_DIR", "HOME", "PWD"):
        value = folder if name == "PWD" else os.environ.get(name, "")
        if value:
            word = word.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return word


def _fixed(path: str) -> str:
    """Return a path up to its first wild card: the folder in which it looks."""
    at = min((path.find(mark) for mark in _WILD if mark in path), default=-1)
    return path if at < 0 else path[:at].rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def _compared(path: object) -> str:
    return _form(os.path.realpath(str(path)))


def _form(text: str) -> str:
    """Return a text as any file system compares names."""
    return unicodedata.normalize("NFC", text.replace("\\", "/")).casefold()


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


HANDLER = Handler("protect", decide, on_failure="closed", limit_ms=300)
