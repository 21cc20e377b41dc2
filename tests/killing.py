"""Killing what a test watches: a function in a process of its own, or `ingest` at any system call of a plan."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bench import kills

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Victim(Protocol):
    """A project that can be killed."""

    path: Path


Chosen = TypeVar("Chosen", bound=Victim)


def child(work: Callable[[], object]) -> int:
    """Run something in a process of its own and return how it ended."""
    forked = os.fork()
    if not forked:
        code = 70
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])


class Plan(Generic[Chosen]):
    """The system calls of one `ingest` that change a file, and copies of a project killed at them."""

    def __init__(self, copy: Callable[[Path], Chosen], folder: Path) -> None:
        """`copy` makes a copy of the project at a place."""
        self._copy, self._folder, self._log = copy, folder, folder / "log"
        self.plan()

    def plan(self) -> None:
        """Find out which calls there are."""
        for _ in range(2):  # the first one may compile what is to be compiled
            assert self._run() == 0
        self.points = self._made()

    def kill(self, place: int) -> kills.Point | None:
        """Kill a copy at a point; None when that did not come to pass: where threads run, calls change places."""
        point = self.points[min(place, len(self.points) - 1)]
        code = self._run("-e", f"inject={point.call}:signal=KILL:when={point.ordinal}")
        return point if code == -signal.SIGKILL else None

    def kill_exactly(self, place: int) -> kills.Point:
        """Kill a copy at a point and at no other."""
        for _ in range(4):  # modules compiled meanwhile move the calls: plan again
            point = self.kill(place)
            if point is not None and self._made()[-1:] == [point]:
                return point
            self.plan()
        raise AssertionError("the planned kill did not happen")

    def _run(self, *inject: str) -> int:
        place = self._folder / "victim"
        shutil.rmtree(place, ignore_errors=True)
        self.victim = self._copy(place)
        return kills._traced(place, ("ingest",), self._log, *inject)

    def _made(self) -> list[kills.Point]:
        return list(kills._points(self._log, self.victim.path))
