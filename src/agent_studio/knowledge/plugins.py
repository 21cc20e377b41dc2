"""Plugins as the client finds them: folders that hold `.claude-plugin/plugin.json`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = ".claude-plugin"
MANIFEST = f"{_MARK}/plugin.json"
_MARKETPLACE = f"{_MARK}/marketplace.json"
_INSTALLED = "installed_plugins.json"
_MAX_MANIFEST_BYTES = 1 << 20
_DEPTH = 4


class Plugin(NamedTuple):
    """One plugin and where it lies."""

    name: str
    place: str
    """Its folder."""
    path: str
    """The same, as it is shown; empty for the project's root."""
    more: dict[str, tuple[str, ...]]
    """Folders or files beside the usual ones, from the manifest, by kind: `skills`, `agents`, `commands`."""


def plugins_of(root: str | None, root_path: str, definitions: str, definitions_path: str) -> list[Plugin]:
    """Return the plugins of a repository (its root, what its marketplace names, `plugins/*`) and of `.claude/plugins/`.

    Each folder counts once; a folder that its marketplace names needs no manifest.
    """
    found: dict[str, Plugin] = {}
    candidates = [] if root is None else list(_in_repository(root, root_path))
    candidates += _in_definitions(f"{definitions}/plugins", f"{definitions_path}/plugins")
    for place, path, name in candidates:
        real = os.path.realpath(place)
        manifest = read_json(f"{place}/{MANIFEST}")
        if real in found or not (manifest or name):
            continue
        stated = manifest.get("name") if isinstance(manifest.get("name"), str) else ""
        title = str(stated or name or os.path.basename(real))  # noqa: PTH119 - paths are text here
        more = {kind: _folders(manifest.get(kind)) for kind in ("skills", "agents", "commands")}
        found[real] = Plugin(title, place, path, {kind: folders for kind, folders in more.items() if folders})
    return list(found.values())


def _in_repository(root: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield place, path and name of what may be a plugin; the name is empty where only a manifest makes it one."""
    yield root, path, ""
    for entry in _list(read_json(f"{root}/{_MARKETPLACE}").get("plugins")):
        source = entry.get("source") if isinstance(entry, dict) else None
        if isinstance(source, str) and (inner := _relative(source)) is not None:
            yield f"{root}/{inner}".rstrip("/"), f"{path}/{inner}".strip("/"), str(entry.get("name") or "")
    for name in _names(f"{root}/plugins"):
        yield f"{root}/plugins/{name}", f"{path}/plugins/{name}".lstrip("/"), ""


def _in_definitions(place: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield what the client has installed, or else every folder with a manifest, not too deep."""
    installed = read_json(f"{place}/{_INSTALLED}").get("plugins")
    if isinstance(installed, dict):
        for name, entries in installed.items():
            for entry in _list(entries):
                folder = entry.get("installPath") if isinstance(entry, dict) else None
                if isinstance(folder, str):
                    shown = f"{path}/{folder[len(place) + 1 :]}" if folder.startswith(f"{place}/") else folder
                    yield folder, shown, str(name).partition("@")[0]
        return
    pending = [(place, path, 0)]
    while pending:
        place, path, depth = pending.pop()
        for name in _names(place):
            inner = (f"{place}/{name}", f"{path}/{name}")
            if os.path.isfile(f"{inner[0]}/{MANIFEST}"):  # noqa: PTH113 - as above
                yield *inner, ""
            elif depth < _DEPTH:
                pending.append((*inner, depth + 1))


def _folders(stated: Any) -> tuple[str, ...]:
    names = [stated] if isinstance(stated, str) else _list(stated)
    return tuple(inner for name in names if isinstance(name, str) and (inner := _relative(name)))


def _relative(written: str) -> str | None:
    """Return a path below its folder without `./`, or None for one that leads elsewhere."""
    parts = [part for part in written.replace("\\", "/").split("/") if part not in {"", "."}]
    if written.startswith("/") or ".." in parts or ":" in written:
        return None
    return "/".join(parts)


def _names(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def read_json(place: str) -> dict[str, Any]:
    """Return the object that a file holds; empty where there is none, or nothing that is one."""
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - as above
            parsed = json.loads(file.read(_MAX_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
