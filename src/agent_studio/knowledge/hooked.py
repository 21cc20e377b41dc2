"""Which scripts of a hooks folder are hooks: those that the client is told to run, and those that it might be.

A hook that no settings name is still one, not in use. What is none: a script whose name, or folder's, says that it
helps, and one beside a named script of the same name, which that one starts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent_studio.knowledge.plugins import MANIFEST, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SETTINGS = ("settings.json", "settings.local.json")
"""Files of `.claude/` that name hooks."""
OF_PLUGIN = ("hooks/hooks.json", MANIFEST)
"""The same of a plugin."""
TWIN, HELPER = "what the hook of the same name starts", "a helper of hooks"
_WORD = re.compile(r"[\w.@+/-]+")
_HELPERS = frozenset(("common", "helper", "helpers", "lib", "libs", "shared", "types", "util", "utils"))


def named_in(files: Iterable[str]) -> set[str]:
    """Return what the hook commands of these files may name, each as the end of a path."""
    told = " ".join(text for file in files for text in _texts(read_json(file).get("hooks")))
    found = set()
    for word in _WORD.findall(told.replace("\\", "/")):
        _, folder, inner = f"/{word}".rpartition("/hooks/")
        end = f"hooks/{inner}" if folder else word.removeprefix("./").lstrip("/")
        if "/" in end or "." in end:  # a word alone is a program or an argument
            found.add(end)
    return found


def parts(paths: Sequence[str], named: set[str]) -> dict[str, str]:
    """Return which scripts of a hooks folder are no hooks, and why."""
    hooks = {path for path in paths if any(end in named for end in _ends(path))}
    started = {path.rpartition(".")[0] for path in hooks}
    others = [path for path in paths if path not in hooks]
    twins = dict.fromkeys((path for path in others if path.rpartition(".")[0] in started), TWIN)
    return dict.fromkeys(filter(_helps, others), HELPER) | twins


def _texts(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict | list):
            pending += one.values() if isinstance(one, dict) else one


def _ends(path: str) -> Iterator[str]:
    """Yield every end of a path, as it is and without its suffix, which node may be spared."""
    while path:
        yield path
        yield path.rpartition(".")[0]
        path = path.partition("/")[2]


def _helps(path: str) -> bool:
    inner = f"/{path}".rpartition("/hooks/")[2].casefold()
    *folders, file = inner.split("/")
    return file.startswith("_") or any(name in _HELPERS or name.startswith("_") for name in folders)
