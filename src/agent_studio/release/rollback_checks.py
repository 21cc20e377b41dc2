"""What is looked at before a rollback, and after it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment import disabled
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, BusyError, StorageError
from agent_studio.release import backup_data, evidence, history, sessions
from agent_studio.release.candidate import candidate
from agent_studio.release.sides import SOURCE
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.release.sides import Sides

_SPARE_BYTES = 16 << 20
STAGING_DATA = "staging data"


class Step(NamedTuple):
    """One thing that was looked at or done."""

    name: str
    verdict: str
    """PASS, FAIL, INSUFFICIENT, or PLANNED in a dry run."""
    message: str


def before(sides: Sides, target: str, *, staging_only: bool, wait: bool) -> Iterator[Step]:
    """Yield what is there; `target` says where production goes, empty where it stays.

    Raises `BusyError` for sessions in staging and `StorageError` for a full disk where `staging_only` is acted on:
    production can be brought back whatever staging is like.
    """
    try:
        yield Step(STAGING_DATA, evidence.PASS, _folders(sides.staging.root))
    except AgentStudioError as error:
        if staging_only:
            raise
        yield Step(STAGING_DATA, evidence.FAIL, error.message)
    where = "staging" if staging_only else "production"
    live = sessions.running(sides.project, {where}) if staging_only else sessions.running(sides.production)
    if live and staging_only and not wait:
        raise BusyError(f"sessions are running in staging: {'; '.join(live)}", hint="end them, or: --wait")
    yield Step("sessions", evidence.PASS, "; ".join(live) or f"none runs in {where}")
    yield Step("disk", evidence.PASS, _room(sides))
    current = history.read(sides.project).current
    now = "has no release" if current is None else f"is {current.release[:12]}"
    yield Step("release", evidence.PASS, f"production {now} and {f'goes to {target}' if target else 'stays so'}")


def _folders(root: EnvironmentRoot) -> str:
    there = [kind for kind in KINDS if root.folder(kind).has_folder()]
    return f"{len(there)} of {len(KINDS)} data folders are there"


def _room(sides: Sides) -> str:
    """Return how much room there is; raise `StorageError` when staging's data would not fit a second time."""
    free = shutil.disk_usage(sides.project.path).free
    try:
        root = sides.staging.root
        needed = sum(one.st_size for kind in KINDS for one in backup_data.listed(root, kind).files.values())
    except AgentStudioError:
        return f"{free:,} bytes are free"
    if free < needed + _SPARE_BYTES:
        raise StorageError(
            f"staging's data has {needed:,} bytes and {free:,} are free on its disk",
            hint="free space on the disk, then run the command again",
        )
    return f"{free:,} bytes are free, staging's data has {needed:,}"


def held(sides: Sides) -> int:
    """Return how many pieces of evidence there are in staging."""
    return len(chained.read(sides.project.state(SOURCE).at(evidence.FOLDER), evidence.JOURNAL).records)


def after(sides: Sides, held_before: int) -> Iterator[Step]:
    """Yield what staging is like now, and that no evidence went."""
    now = held(sides)
    kept = now >= held_before
    yield Step("evidence", evidence.PASS if kept else evidence.FAIL, f"{now} pieces are kept, {held_before} were there")
    try:
        disabled.refuse_disabled(sides.project, SOURCE)
    except disabled.DisabledError as error:
        yield Step("staging", evidence.PASS, error.message)
        return
    try:
        told = _folders(sides.staging.root)
        whole = told.startswith(f"{len(KINDS)} ")
        yield Step("staging", evidence.PASS if whole else evidence.FAIL, f"in use; {told}; {_burn_in(sides)}")
    except AgentStudioError as error:
        yield Step("staging", evidence.FAIL, error.message)


def _burn_in(sides: Sides) -> str:
    try:
        return f"a burn-in of {candidate(sides.project).sha256[:12]} starts anew"
    except AgentStudioError as error:
        return f"the checkout has no hash: {error.message}"
