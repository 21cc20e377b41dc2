"""Cleaning the store up: what no release, evidence, sign-off, young candidate or kept edit needs goes.

What is to go is noted first, so that `release verify` knows of it; a process that dies on the way leaves objects that
nothing refers to, and the next run takes them away.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from agent_studio import clock
from agent_studio.environment.detect import Environment
from agent_studio.environment.flags import default_who
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError
from agent_studio.release import evidence
from agent_studio.release.content import candidates, manifest
from agent_studio.release.content.candidate import candidate
from agent_studio.release.content.store import Store
from agent_studio.release.production import history, switch
from agent_studio.release.signing import signoff
from agent_studio.storage import chained
from agent_studio.storage.contents import FOLDER as OBJECTS
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_studio.environment.roots import Project
    from agent_studio.release.production.history import History

KEEP = 10
YOUNG_DAYS = 30
_NEW_S = 3_600


class Pruned(NamedTuple):
    """What went, or would."""

    releases: list[str]
    candidates: list[str]
    """Candidates that were made and are forgotten."""
    objects: int
    left: int
    """Objects that stay."""


def prune(
    project: Project, agree: Callable[[Pruned], None], *, keep: int = KEEP, baseline: str = "", dry_run: bool = False
) -> Pruned:
    """Remove what nothing needs; `agree` is shown what would go, and raises to stop.

    The live release, those that proved themselves, the last few of the others, what has evidence or sign-offs,
    candidates of the last 30 days and the checkout's own, edits that a switch found in its way, what was written in the
    last hour, and `baseline`, the manifest of what production held when it was made, stay. Raises `BusyError` while a
    promotion goes on, `RecoveryNeededError`, and `IntegrityError` for a damaged history or manifest of what stays;
    nothing goes then.
    """
    with switch.alone(project, "old releases are removed"):
        switch.refuse_pending(project)
        store, past = Store(project), history.read(project)
        wanted, there = _wanted_candidates(project), list(store.names())
        forgotten = [one for one in candidates.made(project) if one not in wanted]
        gone, needed = _sort(project, past, keep, {baseline} - {""}, set(forgotten))
        needed |= {name for name in there if _is_new(project, name)}
        objects = [name for name in there if name not in needed]
        found = Pruned(gone, forgotten, len(objects), len(there) - len(objects))
        if dry_run:
            return found
        agree(found)
        _note(project, gone)
        _forget(project, forgotten)
        return found._replace(objects=store.collect(needed))


def _is_new(project: Project, name: str) -> bool:
    """Tell whether an object was written so lately that another command may be about to name it."""
    status = Folder(project.path, f"{STATE}/{OBJECTS}/{name[:2]}").status(name[2:])
    return status is not None and clock.now().timestamp() - status.st_mtime < _NEW_S


def _sort(
    project: Project, past: History, keep: int, baseline: set[str], forgotten: set[str]
) -> tuple[list[str], set[str]]:
    """Return the releases that may go, and every object that is needed."""
    store = Store(project)
    witnessed = _witnessed(project)
    last = {one.release for one in past.releases[max(len(past.releases) - keep, 0) :]}
    governing = past.governing
    staying = last | {
        one.release
        for one in past.releases
        if one.healthy or {one.release, one.candidate} & witnessed or one in (past.current, governing)
    }
    known = {one.release for one in past.releases} - past.pruned
    manifests = (known & staying) | baseline | witnessed | (set(candidates.made(project)) - forgotten)
    manifests |= {one.candidate for one in past.releases if one.release in staying}
    manifests |= {str(one.record["before"]) for one in past.releases if one.release in staying and _before(one)}
    there = {name for name in manifests if store.has(name)}
    edits = past.kept
    needed = there | edits | manifest.objects(store.manifest(name) for name in there)
    return sorted(known - staying), needed


def _before(one: history.Release) -> bool:
    return bool(one.record.get("before"))


def _witnessed(project: Project) -> set[str]:
    """Return what has evidence or sign-offs."""
    found: set[str] = set()
    for environment in Environment:
        held = chained.read(project.state(environment).at(evidence.FOLDER), evidence.JOURNAL)
        found |= {str(one["candidate"]) for one in held.records}
    signed = Folder(project.path, signoff.FOLDER)
    return found | set(signed.names() if signed.has_folder() else ())


def _wanted_candidates(project: Project) -> set[str]:
    """Return the candidates that stay for their own sake: young ones, and what the checkout is now."""
    since = clock.now() - timedelta(days=YOUNG_DAYS)
    wanted = _witnessed(project)
    with suppress(AgentStudioError):  # a checkout that has no hash has no candidate either
        wanted.add(candidate(project).sha256)
    for name in candidates.made(project):
        if datetime.fromisoformat(candidates.of(project, name).time) >= since:
            wanted.add(name)
    return wanted


def _note(project: Project, gone: list[str]) -> None:
    if gone:
        history.append(
            project, {"step": history.PRUNED, "id": history.new_id(), "releases": gone, "who": default_who(project)}
        )


def _forget(project: Project, forgotten: list[str]) -> None:
    folder = Folder(project.path, candidates.FOLDER)
    for name in forgotten:
        with suppress(FileNotFoundError):
            folder.remove(f"{name}.json")
    if forgotten:
        folder.sync()
