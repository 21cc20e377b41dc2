"""What makes a page look again: a revision that changes with the journals, and the stream that tells of it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from agent_studio.dashboard.shell import HEADERS
from agent_studio.monitor import alert_history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio import CapacityLimiter

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

LOOK_SECONDS = 1.0
"""Between two looks at the files."""
SHARED_SECONDS = 10.0
"""Between two looks at what many machines share, at least."""
BEAT_SECONDS = 15.0
"""Between two signs of life of a stream on which nothing happens."""
STREAMS = 64
"""Pages that are told at once."""
_INBOX = "events."
_STATE = ("alerts.jsonl", "knowledge.sqlite3", "burnin.json", "evals.json", "party-heads")
_PARTIES = 5
"""Newest parties that may be under way."""


class Revision:
    """A name for what an environment's journals hold now: another one once anything was appended, sealed or removed."""

    def __init__(self, root: EnvironmentRoot) -> None:
        self._root = root
        self._known = ""
        self._until = 0.0
        self._looking = threading.Lock()

    def __call__(self) -> str:
        """Return it, at most a second old."""
        with self._looking:
            if time.monotonic() >= self._until:
                self._known = self._look()
                self._until = time.monotonic() + LOOK_SECONDS
            return self._known

    def forget(self) -> None:
        """Look anew when asked next: who has just done something wants to see it."""
        with self._looking:
            self._until = 0.0

    def _look(self) -> str:
        seen = hashlib.sha256()
        for kind in ("metrics", "sessions"):
            folder = self._root.folder(kind)
            for name in _names(folder):
                if name.startswith(_INBOX):
                    continue  # what waits there is nobody's figure yet
                # A sealed segment says all by its name; only the live file grows.
                size = _size(folder, name) if name.count(".") == 1 else ""
                seen.update(f"{kind}/{name} {size}\n".encode())
        parties = self._root.folder("context").at("party")
        for name in _names(parties)[-_PARTIES:]:
            seen.update(f"party/{name} {_size(parties, f'{name}/transcript.jsonl')}\n".encode())
        for name in _STATE:
            status = self._root.state.status(name)
            seen.update(f"{name} {(status.st_size, status.st_mtime_ns) if status else 0}\n".encode())
        seen.update(f"evolution {_size(self._root.folder('context'), 'evolution.jsonl')}\n".encode())
        return seen.hexdigest()[:16]


class SharedRevision(Revision):
    """One for what many machines share: another one every so often, since nobody tells of what they send."""

    def __init__(self, context: Context) -> None:
        super().__init__(alert_history.root_of(context))
        self._every_s = max(context.config["monitoring.dashboardRefreshMs"] / 1000, SHARED_SECONDS)

    def _look(self) -> str:
        seen = [f"{name} {_size(self._root.state, name)}" for name in _STATE]
        return hashlib.sha256("\n".join([*seen, str(time.time() // self._every_s)]).encode()).hexdigest()[:16]


class Stream:
    """Tells pages of new revisions, as server-sent events."""

    def __init__(self, is_stopping: Callable[[], bool], limiter: CapacityLimiter) -> None:
        """`is_stopping` ends every stream, so that the server need not wait for its pages."""
        self._is_stopping = is_stopping
        self._limiter = limiter
        self._open = 0

    def response(self, revision: Revision) -> Response:
        """Return the stream of one page."""
        if self._open >= STREAMS:
            return Response("too many pages are open\n", 503, headers={**HEADERS, "retry-after": "60"})
        headers = {**HEADERS, "cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._events(revision), headers=headers, media_type="text/event-stream")

    async def _events(self, revision: Revision) -> AsyncIterator[str]:
        self._open += 1
        try:
            told, beat = "", time.monotonic()
            while not self._is_stopping():
                now = await anyio.to_thread.run_sync(revision, limiter=self._limiter)
                if now != told:
                    yield f"event: revision\ndata: {now}\n\n"
                    told, beat = now, time.monotonic()
                elif time.monotonic() - beat >= BEAT_SECONDS:
                    yield ": still here\n\n"
                    beat = time.monotonic()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._open -= 1


def _names(folder: Folder) -> list[str]:
    try:
        return folder.names()
    except FileNotFoundError:
        return []


def _size(folder: Folder, name: str) -> int:
    status = folder.status(name)
    return 0 if status is None else status.st_size
