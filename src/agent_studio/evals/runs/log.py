"""The journal of a run: what began, what ended, what was settled. All that a run is can be read from it."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evals.attempts.facts import CANCELLED
from agent_studio.evals.runs.header import JOURNAL
from agent_studio.redaction.structure import redacted_json
from agent_studio.storage import journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.storage.folder import Folder

BEGIN, ATTEMPT, VOID, ABANDONED, SETTLED, JUDGED = "begin", "attempt", "void", "abandoned", "settled", "judged"


class State(NamedTuple):
    """What a journal says."""

    attempts: dict[str, dict[str, Any]]
    """Finished attempts by name."""
    open: dict[str, str]
    """Attempts that began and did not end: their worst cost in USD, by name."""
    unsettled: list[dict[str, Any]]
    """Records of what was used that may not be in the ledger."""
    spent: list[Decimal]
    """What every try cost; at its worst where that is not known, or it was broken off while it may have been billed."""
    damaged: int
    """Lines that cannot be read."""


class Log:
    """Appends to a run's journal; threads may share it."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._lock = folder, threading.Lock()

    def add(self, kind: str, record: Mapping[str, Any]) -> None:
        """Append a line without secrets."""
        line = json.loads(redacted_json({"kind": kind, **record}, ensure_ascii=False, default=str))
        with self._lock:
            journal.append(self._folder, JOURNAL, [line])


def read(folder: Folder) -> State:
    """Return what a run's journal says; nothing where there is none yet."""
    attempts: dict[str, dict[str, Any]] = {}
    begun: dict[str, str] = {}
    used: dict[str, dict[str, Any]] = {}
    settled: set[str] = set()
    spent: list[Decimal] = []
    reading = journal.read(folder, JOURNAL)
    for line in reading.records:
        kind, name = line.get("kind"), str(line.get("attempt"))
        if kind == BEGIN:
            begun[name] = str(line["worstUsd"])
        elif kind in {ATTEMPT, VOID, ABANDONED}:
            worst = begun.pop(name, "0")
            broken_off = kind == ABANDONED or line.get("facts", {}).get("ended") == CANCELLED
            spent.append(Decimal(str(worst if broken_off or line.get("usd") is None else line["usd"])))
            used[str(line["try"])] = line
            if kind == ATTEMPT:
                attempts[name] = line
        elif kind == SETTLED:
            settled.add(str(line["try"]))
        elif kind == JUDGED and name in attempts:
            spent.append(Decimal(str(line["usd"])))
            attempts[name] = {**attempts[name], **{key: line[key] for key in ("checks", "passed")}}
    unsettled = [line for one, line in used.items() if one not in settled]
    return State(attempts, begun, unsettled, spent, reading.damaged_lines)
