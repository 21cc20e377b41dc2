"""The journal of a run, a chain: what began, what ended, what was settled. All that a run is can be read from it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.evals.attempts.facts import CANCELLED
from agent_studio.redaction.structure import redacted_json
from agent_studio.release.eval_runs import ATTEMPT, JOURNAL, JUDGED
from agent_studio.storage import chain_file, chained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.storage.chain import Head
    from agent_studio.storage.chain_file import ChainFile
    from agent_studio.storage.folder import Folder

BEGIN, VOID, ABANDONED, SETTLED = "begin", "void", "abandoned", "settled"


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


class Log:
    """A run's journal, open to be added to; threads may share it."""

    def __init__(self, folder: Folder, file: ChainFile) -> None:
        self._folder, self._file, self._lock = folder, file, threading.Lock()

    def add(self, kind: str, record: Mapping[str, Any]) -> None:
        """Append a line without secrets, durably."""
        line = json.loads(redacted_json({"kind": kind, **record}, ensure_ascii=False, default=str))
        with self._lock:
            self._file.append([line], self._note)

    def _note(self, heads: Sequence[Head]) -> None:
        """Keep beside the journal how far it has come, once it has: what is cut off its end is missed then."""
        if len(heads) == 1:
            text = json.dumps(heads[0]._asdict()).encode() + b"\n"
            self._folder.replace(f"{JOURNAL}{chained.HEAD}", text, durable=False)


@contextmanager
def opened(folder: Folder) -> Iterator[Log]:
    """Open a run's journal, whose run nobody else is at work on; what a killed writer began of a line is cut off."""
    with chain_file.opened(folder, JOURNAL) as file:
        yield Log(folder, file)


def read(folder: Folder) -> State:
    """Return what a run's journal says, nothing where there is none yet.

    Raises `IntegrityError` for a journal that was changed, reordered or cut.
    """
    attempts: dict[str, dict[str, Any]] = {}
    begun: dict[str, str] = {}
    used: dict[str, dict[str, Any]] = {}
    settled: set[str] = set()
    spent: list[Decimal] = []
    for line in chain_file.read(folder, JOURNAL).records:
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
    return State(attempts, begun, unsettled, spent)
