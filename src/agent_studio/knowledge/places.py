"""Where artifacts lie: the folders of `.claude/`, of plugins, and on request of the user.

A walk lists; of artifacts it opens none. Links are followed inside the project, each folder and file is met once, and
what is left out is named with the reason. What vanishes while it is looked at was not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.knowledge import hooked
from agent_studio.knowledge.plugins import Plugin, plugins_of
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_studio.environment.roots import Project

    _Base = tuple[str, str, str]
    """Place, the same as it is shown, and source."""

MAX_DEPTH = 16
DOMAINS = {
    "skills": "skill", "agents": "agent", "commands": "command", "workflows": "workflow", "hooks": "hook",
    "rules": "rule", "docs": "doc",
}  # fmt: skip
"""Folder of `.claude/` or of a plugin, and the domain of what lies in it."""
_NOT_OF_PLUGINS = frozenset(("rules", "docs"))
"""Folders that mean something else in a repository that is a plugin as a whole."""
_SKILL_FILE = "skill.md"
_SCRIPTS = (".py", ".js", ".cjs", ".mjs", ".ts", ".sh", ".ps1")
_OUTSIDE = "a link that leads out of the project"
_AROUND = "a link to a folder around it"
_AGAIN = "a link to what is already read"


class Place(NamedTuple):
    """One file that is an artifact."""

    path: str
    """From the project's root, with `/`; what is the user's starts with `~/`, outside the home folder with `/`."""
    place: Path
    domain: str
    source: str
    """`project`, `user` or `plugin:<name>`."""
    mtime_ns: int
    size_bytes: int


class Walk(NamedTuple):
    """What a walk over the definitions found."""

    files: list[Place]
    """Sorted by path."""
    folders: list[tuple[str, int]]
    """Every folder that was listed, its path as in `Place`, and its mtime_ns: it changes with the names in it."""
    skipped: list[tuple[str, str]]
    """Path as in `Place`, and why it is not read."""
    others: list[tuple[str, str]]
    """Files that are no artifacts of their own, and why; only when asked for."""


class _Top(NamedTuple):
    """One folder of one domain."""

    place: str
    path: str
    domain: str
    source: str


def walk(project: Project, *, user: bool = False, everything: bool = False) -> Walk:
    """List the artifacts of a project and of its plugins, with `user` also the user's own.

    With `everything`, every other file in the same folders is named as well.
    """
    walker = _Walker(project, user=user, everything=everything)
    bases, plugins = _bases(project, user=user)
    for top in _tops(bases, plugins):
        walker.add(top)
    walker.follow_links()
    walker.part_from_hooks(_told(bases, plugins))
    walker.found.files.sort()
    return walker.found


def user_folder() -> tuple[Path, str]:
    """Return the client's configuration folder and how its path is written: from the home folder, else in full."""
    given = os.environ.get("CLAUDE_CONFIG_DIR")
    place = Path(given) if given else Path("~/.claude").expanduser()
    home = Path("~").expanduser()
    return place, f"~/{place.relative_to(home).as_posix()}" if place.is_relative_to(home) else place.as_posix()


def roots(project: Project, *, user: bool) -> list[str]:
    """Return the folders, resolved, that artifacts may lie in; links may lead anywhere in them."""
    own = [user_folder()[0], Path("~").expanduser()] if user else []
    return [os.path.realpath(folder) for folder in (project.path, project.definitions, *own)]


def _bases(project: Project, *, user: bool) -> tuple[list[_Base], list[Plugin]]:
    bases = [(str(project.definitions), project.shown("").rstrip("/"), "project")]
    plugins = plugins_of(str(project.path), "", bases[0][0], bases[0][1])
    if user:
        own, shown = user_folder()
        bases.append((str(own), shown, "user"))
        plugins += plugins_of(None, "", str(own), shown)
    return bases, plugins


def _tops(bases: list[_Base], plugins: list[Plugin]) -> Iterator[_Top]:
    """Yield the folders to walk: the project's own come first, so that they win over links to them."""
    for place, shown, source in bases:
        for name, domain in DOMAINS.items():
            yield _Top(f"{place}/{name}", f"{shown}/{name}", domain, source)
    for plugin in plugins:
        yield from _plugin_tops(plugin)


def _plugin_tops(plugin: Plugin) -> Iterator[_Top]:
    yield _Top(f"{plugin.place}/SKILL.md", f"{plugin.path}/SKILL.md".lstrip("/"), "skill", f"plugin:{plugin.name}")
    for name, domain in DOMAINS.items():
        if name in _NOT_OF_PLUGINS:
            continue
        for folder in (name, *plugin.more.get(name, ())):
            path = f"{plugin.path}/{folder}".lstrip("/")
            yield _Top(f"{plugin.place}/{folder}", path, domain, f"plugin:{plugin.name}")


def _told(bases: list[_Base], plugins: list[Plugin]) -> dict[str, list[str]]:
    """Return by source the files that say which hooks run."""
    told = {source: [f"{place}/{name}" for name in hooked.SETTINGS] for place, _, source in bases}
    for plugin in plugins:
        told.setdefault(f"plugin:{plugin.name}", []).extend(f"{plugin.place}/{name}" for name in hooked.OF_PLUGIN)
    return told


class _Walker:
    """One walk: what is found, and which folders and files were met."""

    def __init__(self, project: Project, *, user: bool, everything: bool) -> None:
        self.found = Walk([], [], [], [])
        self._inside = roots(project, user=user)
        self._everything = everything
        self._met: set[str] = set()
        self._around: set[str] = set()
        self._links: list[tuple[str, str, str, _Top]] = []

    def add(self, top: _Top) -> None:
        """Walk one folder of one domain."""
        if not os.path.lexists(top.place):
            return
        real = os.path.realpath(top.place)
        if not self._allowed(real):
            self.found.skipped.append((top.path, _OUTSIDE))
        elif os.path.isfile(real):  # noqa: PTH113 - paths are text here: half the time of Path
            self._file(real, top.place, top.path, top)
        else:
            self._note_around(real)
            self._folder(real, top.place, top.path, top, 0)

    def follow_links(self) -> None:
        """Walk what links lead to, after everything that is there by itself."""
        while self._links:
            links, self._links = self._links, []
            for target, place, path, top in sorted(links, key=lambda link: link[2]):  # the same one wins every time
                if reason := self._fault(target):
                    self.found.skipped.append((path, reason))
                elif os.path.isdir(target):  # noqa: PTH112 - as above
                    self._folder(target, place, path, top, path.count("/") - top.path.count("/"))
                else:
                    self._file(target, place, path, top)

    def part_from_hooks(self, told: Mapping[str, list[str]]) -> None:
        """Leave out the scripts that hooks are made of; `told` has by source the files that name hooks."""
        scripts: dict[str, list[str]] = {}
        for place in self.found.files:
            if place.domain == "hook":
                scripts.setdefault(place.source, []).append(place.path)
        parts: dict[str, str] = {}
        for source, paths in scripts.items():
            parts |= hooked.parts(paths, hooked.named_in(told[source]))
        self.found.files[:] = [place for place in self.found.files if place.path not in parts]
        if self._everything:
            self.found.others.extend(parts.items())

    def _note_around(self, real: str) -> None:
        while (parent := os.path.dirname(real)) != real:  # noqa: PTH120 - as above
            self._around.add(parent)
            real = parent

    def _allowed(self, real: str) -> bool:
        return is_within(real, self._inside)

    def _fault(self, target: str) -> str:
        if not os.path.exists(target):  # noqa: PTH110 - as above
            return "a link that leads nowhere"
        if target in self._met:
            return _AGAIN
        if target in self._around:
            return _AROUND
        return "" if self._allowed(target) else _OUTSIDE

    def _folder(self, real: str, place: str, path: str, top: _Top, depth: int) -> None:
        if real in self._met:
            return
        self._met.add(real)
        pending = [(real, place, path, depth)]
        while pending:
            real, place, path, depth = pending.pop()
            for entry in self._entries(place, path):
                inner = (f"{real}/{entry.name}", f"{place}/{entry.name}", f"{path}/{entry.name}")
                if entry.is_symlink():
                    self._link(inner, entry, top)
                elif not entry.is_dir(follow_symlinks=False):
                    self._entry(inner, entry, top)
                elif depth >= MAX_DEPTH:
                    self.found.skipped.append((inner[2], f"more than {MAX_DEPTH} folders deep"))
                elif inner[0] not in self._met and _entered(entry.name):
                    self._met.add(inner[0])
                    pending.append((*inner, depth + 1))

    def _entries(self, place: str, path: str) -> list[os.DirEntry[str]]:
        try:
            self.found.folders.append((path, os.stat(place).st_mtime_ns))  # noqa: PTH116 - as above
            with os.scandir(place) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.found.skipped.append((path, error.strerror or "cannot be read"))
            return []

    def _link(self, inner: tuple[str, str, str], entry: os.DirEntry[str], top: _Top) -> None:
        try:
            target = os.path.realpath(entry.path)
            wanted = not os.path.isfile(target) or is_artifact(entry.name, top.domain)  # noqa: PTH113 - as above
        except OSError:
            return
        if wanted:
            self._links.append((target, inner[1], inner[2], top))
        elif self._everything:
            self.found.others.append((inner[2], _why_not(entry.name, top.domain)))

    def _entry(self, inner: tuple[str, str, str], entry: os.DirEntry[str], top: _Top) -> None:
        if not is_artifact(entry.name, top.domain):
            if self._everything:
                self.found.others.append((inner[2], _why_not(entry.name, top.domain)))
            return
        try:
            status = entry.stat(follow_symlinks=False)
            regular = entry.is_file(follow_symlinks=False)
        except OSError:
            return
        if not regular:
            self.found.skipped.append((inner[2], "not a file"))
        elif inner[0] not in self._met:
            self._met.add(inner[0])
            self._add(inner[1], inner[2], top, status)

    def _file(self, real: str, place: str, path: str, top: _Top) -> None:
        try:
            status = os.stat(real)  # noqa: PTH116 - as above
        except OSError:
            return
        if real not in self._met:
            self._met.add(real)
            self._add(place, path, top, status)

    def _add(self, place: str, path: str, top: _Top, status: os.stat_result) -> None:
        self.found.files.append(Place(path, Path(place), top.domain, top.source, status.st_mtime_ns, status.st_size))


def within(path: str, domain: str) -> list[str]:
    """Return the parts of a path below the folder of its domain."""
    folder = next((name for name, held in DOMAINS.items() if held == domain), "")
    whole, own = f"/{path}", f"/{DEFINITIONS}/{folder}/"
    # a plugin may be called as the folder is, or lie in one that is
    _, found, inner = whole.partition(own) if own in whole else whole.rpartition(f"/{folder}/")
    return (inner if found else path.rpartition("/")[2]).split("/")


def is_artifact(name: str, domain: str) -> bool:
    """Tell whether a file of this name, in a folder of this domain, is an artifact of its own."""
    folded = name.casefold()
    if domain == "skill":
        return is_skill_file(name)
    if domain == "hook":
        return folded.endswith(_SCRIPTS) and not _is_test(folded)
    if domain == "workflow" and folded.endswith((".yaml", ".yml")):
        return True
    return folded.endswith(".md") and folded != "readme.md"


def _is_test(folded: str) -> bool:
    return folded.startswith("test_") or folded.rpartition(".")[0].endswith((".test", ".spec", "_test"))


def _why_not(name: str, domain: str) -> str:
    if name.casefold() == "readme.md":
        return "a README"
    if domain == "skill":
        return "belongs to the skill whose folder it is in; a skill of its own is a SKILL.md"
    if domain == "hook" and _is_test(name.casefold()):
        return "a test"
    return f"not a kind of file that can be a {domain}"


def is_skill_file(name: str) -> bool:
    """Tell whether a file makes its folder a skill; the client takes only `SKILL.md`, as it is written."""
    return name.casefold() == _SKILL_FILE


def misplaced(path: str, domain: str) -> list[str]:
    """Return why the client does not find a skill where it lies: `too-deep`, `file-case`; empty where it does."""
    *folders, file = within(path, domain)
    faults = ["too-deep"] if domain == "skill" and len(folders) > 1 else []
    return [*faults, "file-case"] if is_skill_file(file) and file != "SKILL.md" else faults


def _entered(name: str) -> bool:
    return name not in {".git", "node_modules", "__pycache__"}


def unkept(path: str) -> str:
    """Return why a file is not indexed whatever it holds; empty where it is."""
    if not encodable(path):
        return "its name is not UTF-8"
    return "its path holds a credential" if find_secrets(path) else ""


def encodable(path: str) -> bool:
    """Tell whether a path is UTF-8, as all that is kept and shown has to be."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)


def is_within(real: str, folders: Iterable[str]) -> bool:
    """Tell whether a resolved path is one of the folders or lies in one."""
    return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)
