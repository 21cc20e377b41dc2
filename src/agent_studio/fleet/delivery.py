"""Batches on their way to where records go: one at a time, again and again until it is known that they have arrived."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol, Self

from agent_studio.errors import AgentStudioError
from agent_studio.fleet.batch import Batch
from agent_studio.fleet.engines import FleetError, RefusedError, UnreachableError
from agent_studio.fleet.refused import Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from types import TracebackType

LONGEST_WAIT_S = 60.0
_SHORTEST_WAIT_S = 0.25
_WHOLESALE = 16
"""So many refused rows and none that was taken: it is not the rows."""
_chance = random.SystemRandom()


class Sink(Protocol):
    """Where batches go: an engine, or the stream before it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, batch: Batch) -> None:
        """Return when a batch is kept; raise `UnreachableError` or `RefusedError` as an engine does."""
        ...

    def ask(self) -> None:
        """Send nothing, and raise what would keep every batch from being taken, as far as that is known."""
        ...


class StoppedError(Exception):
    """The end was asked for while something waited to be sent."""


class BackOff:
    """Waits longer each time that something fails, by a little more or less than others do."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.failures = 0
        """In a row."""

    def wait(self) -> bool:
        """Wait for the next try; return whether the end was asked for meanwhile."""
        longest = min(LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2 ** min(self.failures, 10))
        self.failures += 1
        return self._stop.wait(longest * _chance.uniform(0.5, 1))


class Delivery:
    """Sends batches in order, waiting longer and longer while nobody takes them."""

    def __init__(
        self, opened: Callable[[], Sink], stop: threading.Event, say: Callable[[str], None], *, patient: bool
    ) -> None:
        """`patient` waits for what cannot be reached, for as long as it takes; `say` is told when that begins."""
        self._opened, self._say, self._patient = opened, say, patient
        self._sink: Sink | None = None
        self._back_off = BackOff(stop)
        self.has_sent = False
        """Whether something was taken."""

    def close(self) -> None:
        """Close the connection; the next batch opens one."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.__exit__(None, None, None)

    def send(self, batch: Batch) -> list[Refused]:
        """Return once all of a batch is kept but the rows that are returned.

        Raises `StoppedError`, then it is sent again the next time; `UnreachableError` unless patient; `FleetError` when
        somebody has to mend something.
        """
        refused: list[Refused] = []
        taken = self._halve(batch, refused)
        if not taken and len(refused) > 1:
            raise FleetError(f"all {len(refused)} rows of a batch are refused: {refused[0].reason}")
        return refused

    def connect(self) -> None:
        """Return once there is a connection, raise as `send` does."""
        self._insist(lambda _: None)

    def ask(self) -> None:
        """Where nothing was sent, ask once whether it would be taken; raise what says that it would not."""
        if not self.has_sent:
            self._try(lambda sink: sink.ask())

    def _halve(self, batch: Batch, refused: list[Refused]) -> int:
        """Send a batch, halves of it where it is refused; return how many rows were taken."""
        try:
            self._insist(lambda sink: sink.send(batch))
            self.has_sent = True
        except RefusedError as error:
            if batch.size > 1:
                taken = 0
                for half in halves(batch):
                    taken += self._halve(half, refused)
                    if not taken and len(refused) >= _WHOLESALE:
                        raise FleetError(f"every row is refused: {error.message}", hint=error.hint) from error
                return taken
            refused += [Refused(table, row, error.message) for table, rows in batch.rows.items() for row in rows]
            return 0
        return batch.size

    def _try(self, act: Callable[[Sink], None]) -> None:
        """Do something by the connection, made where there is none; it is given up when that fails."""
        try:
            if self._sink is None:
                sink = self._opened()
                sink.__enter__()
                self._sink = sink
            act(self._sink)
        except RefusedError:
            raise
        except AgentStudioError:
            self._drop()
            raise

    def _insist(self, act: Callable[[Sink], None]) -> None:
        while True:
            try:
                self._try(act)
            except UnreachableError as error:
                if not self._patient:
                    raise
                self._wait(error)
            else:
                if self._back_off.failures:
                    self._say("records are taken again")
                    self._back_off.failures = 0
                return

    def _wait(self, error: AgentStudioError) -> None:
        if not self._back_off.failures:
            self._say(f"{error.message}: what is recorded waits in the journals")
        if self._back_off.wait():
            raise StoppedError from error

    def _drop(self) -> None:
        """Close a connection that may be of no use any more."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.__exit__(None, None, None)
            except AgentStudioError:
                return


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Return the first and the second half of a batch of more than one row."""
    flat = [(table, row) for table, rows in batch.rows.items() for row in rows]
    middle = len(flat) // 2
    return _of(batch, flat[:middle]), _of(batch, flat[middle:])


def _of(batch: Batch, flat: list[tuple[str, tuple[object, ...]]]) -> Batch:
    rows: dict[str, list[tuple[object, ...]]] = {}
    for table, row in flat:
        rows.setdefault(table, []).append(row)
    return Batch(batch.project, batch.machine, rows)
