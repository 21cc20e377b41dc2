"""What is looked at before a rollback, and after it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment import disabled
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, BusyError, IntegrityError, StorageError
from agent_studio.release import evidence
from agent_studio.release.backups import contents, places
from agent_studio.release.content import git
from agent_studio.release.content.candidate import candidate
from agent_studio.release.production import history, sessions
from agent_studio.release.production.sides import SOURCE
from agent_studio.storage import chained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.release.production.history import History
    from agent_studio.release.production.sides import Sides

STAGING_DATA = "staging data"


class Step(NamedTuple):
    """One thing that was looked at or done."""

    name: str
    verdict: str
    """PASS, FAIL, INSUFFICIENT, or PLANNED in a dry run."""
    message: str


class NothingToReturnToError(AgentStudioError):
    """No release was live and healthy before the current one."""

    code = "no-healthy-release"


def refuse_nowhere(project: Project, past: History, *, by_git: bool) -> None:
    """Raise `GitError` or `NothingToReturnToError` where level 2 has nowhere to go."""
    if by_git:
        dirty = git.changes(project.path)
        if dirty is None or dirty:
            what = "is no git repository" if dirty is None else f"has changes that are not committed: {dirty[0]}"
            raise git.GitError(f"the checkout {what}", hint="commit or put them aside, then run the command again")
        git.refuse_irreversible(project.path)
    elif not past.way_back:
        raise NothingToReturnToError(
            "no other release was live and healthy in production before",
            hint="mend the definitions and promote, or revert the checkout: "
            "agent-studio rollback --level 2 --git --reason TEXT",
        )


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
    try:
        yield Step("disk", evidence.PASS, _room(sides))
    except StorageError as error:
        if staging_only:
            raise
        yield Step("disk", evidence.FAIL, error.message)
    current = history.read(sides.project).current
    now = "has no release" if current is None else f"is {current.release[:12]}"
    yield Step("release", evidence.PASS, f"production {now} and {f'is to be {target}' if target else 'stays so'}")


def _folders(root: EnvironmentRoot) -> str:
    there = [kind for kind in KINDS if root.folder(kind).has_folder()]
    return f"{len(there)} of {len(KINDS)} data folders are there"


def _room(sides: Sides) -> str:
    """Return how much room there is; raise `StorageError` when staging's data would not fit a second time."""
    free = shutil.disk_usage(sides.project.path).free
    try:
        root = sides.staging.root
        needed = sum(one.st_size for kind in KINDS for one in contents.listed(root, kind).files.values())
    except AgentStudioError:
        return f"{free:,} bytes are free"
    if free < needed + places.SPARE_BYTES:
        raise StorageError(
            f"staging's data has {needed:,} bytes and {free:,} are free on its disk",
            hint="free space on the disk, then run the command again",
        )
    return f"{free:,} bytes are free, staging's data has {needed:,}"


def held(sides: Sides, *, is_needed: bool = True) -> int | None:
    """Return how many pieces of evidence there are in staging; None for damaged ones, which raise if `is_needed`."""
    try:
        return len(chained.read(sides.project.state(SOURCE).at(evidence.FOLDER), evidence.JOURNAL).records)
    except IntegrityError:
        if is_needed:
            raise
        return None


def after(sides: Sides, held_before: int | None) -> Iterator[Step]:
    """Yield what staging is like now, and that no evidence went."""
    now = held(sides, is_needed=False)
    if now is None or held_before is None:
        yield Step("evidence", evidence.FAIL, "what was found in staging cannot be read")
    else:
        told = f"{now} pieces are kept, {held_before} were there"
        yield Step("evidence", evidence.PASS if now >= held_before else evidence.FAIL, told)
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
