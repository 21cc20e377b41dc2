"""Which candidate or release a session of the client ran with: every record of it says so.

In a working checkout that is the candidate, if no definition has changed since the session began; in production it is
the release that was live then. What cannot be known is None, never a guess.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.capture.ingest import run
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError
from agent_studio.release.backups.places import refuse_interrupted
from agent_studio.release.content.candidate import candidate
from agent_studio.release.content.fence import changed_at
from agent_studio.release.production import history, whose

if TYPE_CHECKING:
    from agent_studio.capture.ingest.report import Report
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.release.production.history import Release

_STAMP = "%Y%m%dT%H%M%S.%fZ"


def ingest(context: Context, *, wait_s: float = 5.0, settle_s: float = 0.0) -> Report:
    """Ingest as `capture.ingest.run` does, with the release in every record of a session whose start was seen.

    Raises `RestoreInterruptedError` while a restore of that data is not brought to its end.
    """
    refuse_interrupted(context.root)
    return run.ingest(context, wait_s=wait_s, settle_s=settle_s, release_of=Attribution(context.project).release)


class Attribution:
    """What one project's sessions ran with, as it is known now; definitions are read once, when they are asked for."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def release(self, environment: str, started: datetime) -> str | None:
        """Return the candidate or release that a session of an environment began with, None where nobody can know."""
        if started > clock.now():
            return None  # a clock was set back: what changed since cannot be told
        if environment == Environment.PRODUCTION:
            return live_at(self._releases, started)
        if self._working is None:
            return None
        sha256, changed = self._working
        return sha256 if changed < started else None

    @cached_property
    def _working(self) -> tuple[str, datetime] | None:
        """The working checkout's candidate, and when a definition last changed, looked at in this order."""
        try:
            return candidate(self._project).sha256, changed_at(self._project)
        except AgentStudioError:
            return None  # `smoke`, `candidate` and `doctor` say what is wrong with it

    @cached_property
    def _releases(self) -> list[Release]:
        try:
            return history.read(whose.owner(self._project) or self._project).releases
        except AgentStudioError:
            return []  # `release verify` says what is wrong with it


def live_at(releases: list[Release], moment: datetime) -> str | None:
    """Return the release that was live at a moment; None before the first, and while one was being switched to."""
    at, live = clock.timestamp(moment), None
    for one in releases:
        if one.time <= at:
            live = one.release
        elif clock.timestamp(_begun(one)) <= at:
            return None
    return live


def _begun(release: Release) -> datetime:
    """Return when its switch began: its id says so, its time is when the switch was done."""
    try:
        return datetime.strptime(release.id.rpartition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromisoformat(release.time)
