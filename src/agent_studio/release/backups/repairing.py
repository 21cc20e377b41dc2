"""A journal of backups that cannot be relied on: found, put aside, and begun anew with every backup that is whole.

The new journal takes what manifests say as it finds them: their own hashes were in the one that is damaged.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.findings import Finding, Severity
from agent_studio.errors import IntegrityError
from agent_studio.release.backups import backup, places, verifying
from agent_studio.release.backups.places import CHAIN, Pieces, alone, folder_of
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

REPAIRED = "repaired"
_END = ".json"


class Repaired(NamedTuple):
    """What was done."""

    fault: str
    """What was wrong with the journal."""
    aside: str
    """Where it is kept; empty when it was gone."""
    kept: list[str]
    left_out: dict[str, str]
    """Manifests that name no whole backup, and why; the next removal of old backups takes them away."""


def fault(root: EnvironmentRoot) -> str:
    """Return why the journal cannot be relied on, empty when it can."""
    try:
        lines = places.steps(root)
    except IntegrityError as error:
        return error.message
    if not lines and (manifests := _manifests(folder_of(root))):
        return f"{folder_of(root).path / CHAIN} names none of the {len(manifests)} manifests beside it"
    return ""


def findings(root: EnvironmentRoot) -> Iterator[Finding]:
    """Yield what is wrong with the backups of an environment."""
    if wrong := fault(root):
        yield Finding("backups", Severity.ERROR, wrong, places.repairing(root))


def repair(root: EnvironmentRoot) -> Repaired | None:
    """Begin the journal anew, naming every backup whose pieces are all as they were; None where nothing is wrong."""
    with alone(root, "the journal of backups is repaired") as folder:
        wrong = fault(root)
        if not wrong:
            return None
        aside, lines, left_out = _put_aside(folder), list[dict[str, Any]](), dict[str, str]()
        for own in _manifests(folder):
            line, why = _line(root, own)
            if why:
                left_out[own] = why
            else:
                lines.append(line)
        lines.sort(key=lambda one: (one["time"], one["id"]))
        first = {"step": REPAIRED, "id": clock.file_stamp(clock.now()), "time": clock.timestamp(clock.now()),
                 "damaged": aside, "fault": wrong}  # fmt: skip
        chained.renew(folder, CHAIN, [first, *lines])
        place = str(folder.path / aside) if aside else ""
        return Repaired(wrong, place, [str(one["id"]) for one in lines], left_out)


def _put_aside(folder: Folder) -> str:
    """Keep the journal as it is found and return its new name; the old one stays until the new one is there."""
    with suppress(FileNotFoundError):
        data = folder.read(CHAIN)
        name = f"{CHAIN}.damaged-{clock.file_stamp(clock.now())}"
        folder.replace(name, data)
        return name
    return ""


def _manifests(folder: Folder) -> list[str]:
    names = folder.names() if folder.has_folder() else []
    return sorted(name.removesuffix(_END) for name in names if name.endswith(_END) and name != places.JOURNAL)


def _line(root: EnvironmentRoot, own: str) -> tuple[dict[str, Any], str]:
    """Return the journal's line of a backup, or why it gets none."""
    written = folder_of(root).read(f"{own}{_END}")
    try:
        made = backup.parsed(json.loads(written.decode("utf-8", "surrogateescape")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, "its manifest is damaged"
    if (made.id, made.environment) != (own, str(root.environment)):
        return {}, f"its manifest is that of {made.id} of {made.environment}"
    why = verifying.reread(Pieces(root), made)
    return {"step": places.MADE, "id": own, **backup.line(made, written)}, why
