"""Shipping beside the daemon of an environment: on a thread of its own, and nothing that fails there disturbs it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent_studio import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context

_LAST_SECONDS = 2.0


def wants_shipping(context: Context) -> bool:
    """Tell whether the daemon ships: an engine or a stream is set, and `fleet.ship` is not off."""
    config = context.config
    return bool(config["fleet.ship"] and (config["fleet.engine"] or config["fleet.ingest"]))


class Shipping:
    """Ships what is recorded, again and again; while another process ships, nothing."""

    def __init__(
        self, opened: Callable[[], Context], variables: Mapping[str, str], say: Callable[[str], None]
    ) -> None:  # fmt: skip
        """Take what `opened` returns for the environment as its files are now."""
        self._opened, self._variables, self._say = opened, variables, say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """End after what is under way; what takes longer is sent again the next time."""
        self._stop.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        from agent_studio.fleet.ship import Following, alone  # noqa: PLC0415 - a daemon's start does without

        def say(text: str) -> None:
            self._say(f"fleet: {text}")

        while not self._stop.is_set():
            try:
                Following(self._opened, self._variables, self._stop, say).run(guard=alone)
            except Exception as error:  # noqa: BLE001 - the daemon outlives a bug
                log.exception(self._opened(), "fleet.crashed", error)
                say(f"{type(error).__name__}: {error}")
                self._stop.wait(60)
