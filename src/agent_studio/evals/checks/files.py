"""Checks of files: there or not, what they hold, a value in JSON, and what changed."""

from __future__ import annotations

import difflib
import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio.evals.attempts import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.evals.checks.outcome import Scene

Found = tuple[bool | None, str]
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def file(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check one file; a link that leads out of the copy is no file."""
    name = value["file"]
    text = text_of(scene, name)
    if value.get("exists") is False:
        return text is None, f"{name} is {'not ' if text is None else ''}there"
    if text is None:
        return False, f"{name} is not there"
    return text_fits(text, value, name)


def text_fits(text: str, value: Mapping[str, Any], shown: str) -> Found:
    """Check a text by `matches` and `lacks`, both searched for anywhere, line by line."""
    for word, wanted in (("matches", True), ("lacks", False)):
        if word in value and bool(search(value[word], text)) is not wanted:
            return False, f"{shown} {'does not match' if wanted else 'matches'} {value[word]!r}"
    return True, f"{shown} is as it should be"


def search(pattern: str, text: str) -> re.Match[str] | None:
    """Search for a regular expression, line by line."""
    return re.search(pattern, text, re.MULTILINE)


def text_of(scene: Scene, name: str) -> str | None:
    """Return the text of a file of the copy, None where there is none in it."""
    return _decoded(reading.within(scene.room.copy, name))


def _decoded(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")


def json_value(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check a value in a JSON file."""
    name, at = value["json"], value.get("at", "")
    text = text_of(scene, name)
    if text is None:
        return False, f"{name} is not there"
    try:
        found = _at(json.loads(text), at)
    except (ValueError, RecursionError) as error:
        return False, f"{name} is no JSON: {error}"
    except (KeyError, IndexError, TypeError):
        return False, f"{name} has nothing at {at}"
    shown = f"{name} at {at or 'its top'}"
    if "equals" in value and found != value["equals"]:
        return False, f"{shown} is {json.dumps(found)[:100]}, not {json.dumps(value['equals'])[:100]}"
    if "matches" in value:
        return text_fits(found if isinstance(found, str) else json.dumps(found), {"matches": value["matches"]}, shown)
    return True, f"{shown} is {json.dumps(found)[:100]}"


def _at(value: Any, path: str) -> Any:
    for name, number in _STEP.findall(path):
        value = value[int(number)] if number else value[name]
    return value


def diff(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check what changed between start and end."""
    wanted, changed = value["diff"], [path for path in scene.changed if not _is_passing(path)]
    if "only" in wanted:
        other = [path for path in changed if not fits(path, wanted["only"])]
        if other:
            return False, f"changed besides {', '.join(wanted['only'])}: {', '.join(other[:5])}"
    for pattern in wanted.get("changed", ()):
        if not any(fits(path, [pattern]) for path in changed):
            return False, f"nothing changed in {pattern}"
    if len(changed) > wanted.get("files", len(changed)):
        return False, f"{len(changed)} files changed, at most {wanted['files']} may"
    if "lines" in wanted and (count := _lines(scene, changed)) > wanted["lines"]:
        return False, f"{count} lines changed, at most {wanted['lines']} may"
    return True, f"{len(changed)} files changed"


def _is_passing(path: str) -> bool:
    """Tell whether a path is what tools leave behind."""
    return "__pycache__/" in path or path.startswith(".pytest_cache/")


def fits(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether a path is meant by one of some patterns, or lies in a folder that is."""
    return any(fnmatchcase(path, pattern) or path.startswith(f"{pattern.rstrip('/')}/") for pattern in patterns)


def _lines(scene: Scene, changed: Iterable[str]) -> int:
    """Count the lines that were added and removed since the start, as we kept it.

    The copy's own repository is the agent's: what it says of the start may be anything, and git would do as it is told.
    """
    count = 0
    for path in changed:
        old = _decoded(reading.within(scene.room.begins, path)) or ""
        new = text_of(scene, path) or ""
        told = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))[2:]
        count += sum(not line.startswith("@@") for line in told)
    return count
