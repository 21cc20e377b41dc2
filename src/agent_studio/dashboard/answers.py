"""Answers kept as long as nothing changed: many pages that ask the same cost one computation."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from agent_studio.redaction.structure import redacted_json

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

KEPT = 32
FRESH_SECONDS = 15.0
"""Stretches of time move on even when nothing is written."""


class Answers:
    """JSON by question; asked twice at once, it is computed once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._asked: dict[Hashable, threading.Lock] = {}
        self._looking = threading.Lock()

    def get(self, question: Hashable, compute: Callable[[], dict[str, Any]]) -> bytes:
        """Return the answer; a question names everything its answer depends on but the time."""
        with self._looking:
            asking = self._asked.setdefault(question, threading.Lock())
        with asking:
            known = self._known(question)
            if known is None:
                text = redacted_json(compute(), ensure_ascii=False, separators=(",", ":"), default=str)
                known = text.encode("utf-8", "backslashreplace")
                self._keep(question, known)
            return known

    def _known(self, question: Hashable) -> bytes | None:
        with self._looking:
            until, data = self._kept.get(question, (0.0, b""))
            return data if time.monotonic() < until else None

    def _keep(self, question: Hashable, data: bytes) -> None:
        with self._looking:
            now = time.monotonic()
            for old in [key for key, (until, _) in self._kept.items() if until <= now]:
                del self._kept[old]
            self._kept[question] = now + FRESH_SECONDS, data
            self._kept.move_to_end(question)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            # Whoever still waits holds its lock; what nobody holds and nothing is kept of can go.
            for old in [key for key, lock in self._asked.items() if key not in self._kept and not lock.locked()]:
                del self._asked[old]
