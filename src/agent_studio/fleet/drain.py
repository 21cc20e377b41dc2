"""From the stream into the engine: a message is acknowledged once its rows are committed.

Any number may drain at once; what one of them had taken when it died is delivered again. A message that is no batch,
or one of another machine than its subject says, is ended and kept aside.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.fleet import refused
from agent_studio.fleet.delivery import BackOff, Delivery, StoppedError
from agent_studio.fleet.engines import UnreachableError
from agent_studio.fleet.refused import Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from agent_studio.environment.context import Context
    from agent_studio.fleet.delivery import Sink
    from agent_studio.fleet.jetstream import Message, Stream

_AT_ONCE = 8
_WAIT_S = 1.0
_SAMPLE_BYTES = 4_096


@dataclass
class Drained:
    """What was taken from the stream."""

    messages: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    """Rows that the engine took for wrong."""
    poisoned: int = 0
    """Messages that are no batch, or not of the machine whose subject they came on."""
    is_stopped: bool = False


class Drainer:
    """Moves batches from the stream into an engine."""

    def __init__(
        self, context: Context, stream: Callable[[], Stream], engine: Callable[[], Sink], stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Connect to nothing yet."""
        self._context, self._stream, self._stop, self._say = context, stream, stop, say
        self._delivery = Delivery(engine, stop, say, patient=True)
        self.done = Drained()

    def run(self, *, follow: bool, patient: bool) -> Drained:
        """Drain until the stream is empty, or with `follow` until the end is asked for.

        Unless patient, raises `UnreachableError` for a stream that cannot be reached.
        """
        back_off = BackOff(self._stop)
        try:
            while not self._stop.is_set():
                try:
                    with self._stream() as stream:
                        if self._connected(stream, back_off, follow=follow):
                            return self.done
                except UnreachableError as error:
                    if not patient:
                        raise
                    if not back_off.failures:
                        self._say(error.message)
                    back_off.wait()
        except StoppedError:
            pass
        finally:
            self._delivery.close()
        self.done.is_stopped = True
        return self.done

    def _connected(self, stream: Stream, back_off: BackOff, *, follow: bool) -> bool:
        """Drain over one connection; return whether the stream is empty and that is enough."""
        while not self._stop.is_set():
            messages = stream.take(_AT_ONCE, _WAIT_S)
            back_off.failures = 0
            if not messages and not follow and ((held := stream.held()) is None or not held.messages):
                return True
            for number, message in enumerate(messages):
                try:
                    self._move(message)
                except (AgentStudioError, StoppedError):
                    _give_back(messages[number:])
                    raise
        return False

    def _move(self, message: Message) -> None:
        try:
            batch = message.batch()
        except UsageError as error:
            self._put_aside(message, error)
            return
        left_out = self._delivery.send(batch)
        refused.keep(self._context.root.state, left_out)
        message.acknowledge()
        self.done.messages += 1
        self.done.refused += len(left_out)
        for table, rows in batch.rows.items():
            self.done.rows[table] = self.done.rows.get(table, 0) + len(rows)

    def _put_aside(self, message: Message, error: AgentStudioError) -> None:
        sample = base64.b64encode(message.data[:_SAMPLE_BYTES]).decode()
        refused.keep(self._context.root.state, [Refused(message.subject, (sample,), error.message)])
        message.terminate()
        self.done.poisoned += 1
        log.warning(self._context, "fleet.poisoned", subject=message.subject, message=error.message)
        self._say(f"{message.subject}: {error.message}")


def _give_back(messages: list[Message]) -> None:
    """Have others take what was not done; without a connection they get it when its time is over."""
    with suppress(AgentStudioError):
        for message in messages:
            message.give_back()
