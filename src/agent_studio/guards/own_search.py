"""Whether a search over a folder can show what is in a sidecar: only where nothing proves that it leaves it out."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.guards.shell import Part
    from agent_studio.storage.folder import Folder

_WHOLE = re.compile(r"-[a-zA-Z]*[rRa][a-zA-Z]*|--recursive|--archive|--dereference-recursive")
_FINDERS = frozenset(("rg", "ag", "ack"))
_RECURSIVE = frozenset((*_FINDERS, "tar", "zip", "rsync"))
_GREPS = frozenset(("grep", "egrep", "fgrep"))
_WITH_OPTION = frozenset((*_GREPS, "cp", "scp", "diff"))
_LEFT_OUT = re.compile(r"--exclude-dir=(.+)|--ignore-dir=(.+)|(?:-g|--glob=)?(!.+)")
_UNIGNORED = re.compile(r"-[a-zA-Z]*u[a-zA-Z]*|--no-ignore.*|--unrestricted")
_NOT = re.compile(r"!(?:\*\*/)?([\w.-]+|(?<=\*\*/)[\w./-]+|\{[\w.,-]+\})(?:/\*\*)?")
"""A glob that leaves out folders by their names, at any depth."""
_ENDING = re.compile(r"[\w./*?-]*\.(?:(\w+)|\{(\w+(?:,\w+)*)\})")
"""A glob whose files end in what it says, whatever else is in it."""
_TYPES = {
    "c": "c,h", "cpp": "cpp,cc,cxx,c,hpp,hh,hxx,h,inl", "css": "css,scss", "go": "go", "html": "htm,html,ejs",
    "java": "java,jsp,jspx,properties", "js": "js,jsx,cjs,mjs,vue", "kotlin": "kt,kts", "php": "php",
    "py": "py,pyi", "python": "py,pyi", "ruby": "rb,gemspec", "rust": "rs", "scala": "scala,sbt", "sql": "sql,psql",
    "swift": "swift", "ts": "ts,tsx,cts,mts",
}  # fmt: skip
"""Kinds of files by their endings, as ripgrep has them; one that is not here proves nothing."""
_IGNORES = (".gitignore", ".ignore", ".rgignore")
_LOOKED_AT = 5_000


class Search(NamedTuple):
    """A search, or a copy, of a folder with all that lies in it."""

    root: str
    globs: tuple[str, ...] = ()
    endings: str = ""
    """Of the files that are looked at; empty for all."""
    skips_ignored: bool = False
    how: str = ""
    """How the caller would leave a folder out."""


def by_tool(tool: str, given: Mapping[str, Any], folder: str) -> Iterator[Search]:
    """Yield what a search tool of the client looks through."""
    path = str(given.get("path") or folder)
    if tool == "Grep":
        globs = tuple(str(given.get("glob") or "").split())
        endings = _TYPES.get(str(given.get("type") or ""), "")
        yield Search(path, globs, endings, skips_ignored=True, how='glob "!**/{}/**", or a path beside it')
    elif tool == "Glob":
        pattern = os.path.join(path, str(given.get("pattern") or ""))  # noqa: PTH118 - text
        fixed = re.split(r"[*?\[{]", pattern, maxsplit=1)[0].rpartition("/")[0]
        yield Search(fixed or "/", (pattern[len(fixed) + 1 :],), how="name a folder that does not hold {}")


def by_shell(part: Part) -> Iterator[Search]:
    """Yield the folders that a program reads with all that lies in them."""
    rest = part.words[1:]
    if part.program not in _RECURSIVE and not (part.program in _WITH_OPTION and any(map(_WHOLE.fullmatch, rest))):
        return
    globs: list[str] = []
    for word, before in zip(rest, ("", *rest), strict=False):
        if found := _LEFT_OUT.fullmatch(f"-g{word}" if before in {"-g", "--glob"} else word):
            globs.append(found[3] or f"!{(found[1] or found[2]).strip(chr(39) + chr(34))}")
        elif before == "--exclude-dir":
            globs.append(f"!{word}")
    is_finder = part.program in _FINDERS
    skips = is_finder and not any(map(_UNIGNORED.fullmatch, rest))
    plain = [word for word in rest if not word.startswith("-") and f"!{word}" not in globs and word not in globs]
    if is_finder or part.program in _GREPS:
        plain = plain[1:] or (["."] if plain else [])
    for root in plain:
        yield Search(root, tuple(globs), "", skips, "--exclude-dir={} (rg: -g '!**/{}/**')")


def leaves_out(search: Search, below: str, files: Sequence[str]) -> bool:
    """Tell whether a search provably shows nothing of a folder that is `below` its root and holds some files."""
    if search.endings and _none_ends(files, search.endings):
        return True
    if not search.globs:
        return False
    if any(_names(glob, below) for glob in search.globs) and all(glob.startswith("!") for glob in search.globs):
        return True
    ended = [_ENDING.fullmatch(glob) for glob in search.globs]
    return all(one is not None and _none_ends(files, one[1] or one[2]) for one in ended)


def _names(glob: str, below: str) -> bool:
    found = _NOT.fullmatch(glob)
    names = found[1].strip("{}").split(",") if found else ()
    return any(f"/{name}/" in f"/{below}/" for name in names if name)


def _none_ends(files: Sequence[str], endings: str) -> bool:
    return not any(name.casefold().endswith(f".{one.casefold()}") for name in files for one in endings.split(","))


def files_of(place: str, but: Sequence[str]) -> list[str] | None:
    """Return the names of the files in a folder, without some folders of it; None where there are too many to tell."""
    found: list[str] = []
    own = {os.path.basename(one) for one in but}  # noqa: PTH119 - text
    for base, folders, files in os.walk(place):
        folders[:] = [one for one in folders if base != place or one.casefold() not in own]
        found += files
        if len(found) > _LOOKED_AT:
            return None
    return found


def ignored_from(project: Folder, place: str) -> str:
    """Return the folder of the project, at `place` or above it, that git plainly ignores; empty for none.

    A rule that takes something back (`!x`) anywhere on the way is not followed: then nothing counts as ignored.
    """
    if not any(map(os.path.lexists, _repositories(str(project.path)))):
        return ""
    parts = place.split("/")
    folders = ["/".join(parts[:at]) for at in range(len(parts) + 1)]
    rules = {folder: list(_rules(project, folder)) for folder in folders}
    if any(rule.startswith("!") for listed in rules.values() for rule in listed):
        return ""
    for at, folder in enumerate(folders[1:]):
        for rule in rules[""]:
            core = rule.strip("/")
            if core and (core == folder or (core == parts[at] and "/" not in rule.rstrip("/"))):
                return folder
    return ""


def _repositories(path: str) -> Iterator[str]:
    while path != os.path.dirname(path):  # noqa: PTH120 - text
        yield os.path.join(path, ".git")  # noqa: PTH118 - text
        path = os.path.dirname(path)  # noqa: PTH120 - text


def _rules(project: Folder, folder: str) -> Iterator[str]:
    for name in _IGNORES:
        try:
            text = project.read(f"{folder}/{name}" if folder else name).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception:  # noqa: BLE001 - a link or a folder: nobody can tell what it says
            yield "!"
            continue
        rules = (line.rstrip() for line in text.splitlines() if not line.startswith("#"))
        yield from (rule for rule in rules if rule and (name == ".gitignore" or rule.startswith("!")))
