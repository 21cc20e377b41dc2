"""How far each signal of each journal has reached a collector; saved after every request that it acknowledged."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from agent_studio.capture.export.journals import Position

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent_studio.storage.folder import Folder

PLACE = "export"


class Cursor:
    """The positions of one endpoint, `.agent-studio/<environment>/export/<hash>.json`."""

    def __init__(self, state: Folder, endpoint: str) -> None:
        state.make(PLACE)
        self.folder = state.at(PLACE)
        self.name = f"{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}.json"
        self._endpoint = endpoint
        self._signals: dict[str, dict[str, Position]] = {}

    @property
    def lock(self) -> str:
        """The lock file of whoever exports to this endpoint."""
        return self.name.replace(".json", ".lock")

    def load(self) -> None:
        """Read what was saved; a damaged file counts as none, so that more is sent rather than less."""
        try:
            found = json.loads(self.folder.read(self.name))["signals"]
            self._signals = {
                signal: {name: Position(int(one["offset"]), str(one["anchor"])) for name, one in files.items()}
                for signal, files in found.items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._signals = {}

    def of(self, signal: str) -> dict[str, Position]:
        """Return the position of every file for one signal, by what names the file for good."""
        return self._signals.get(signal, {})

    def forget(self, signal: str, journal: str, *, but: Collection[str]) -> None:
        """Drop the positions of a journal's files that are there no more."""
        files = self._signals.get(signal, {})
        gone = [key for key in files if key.startswith(f"{journal}:") and key not in but]
        for key in gone:
            del files[key]
        if gone:
            self._write()

    def save(self, signal: str, key: str, position: Position) -> None:
        """Note how far a file has reached the collector."""
        self._signals.setdefault(signal, {})[key] = position
        self._write()

    def _write(self) -> None:
        signals = {
            signal: {name: vars(position) for name, position in files.items()}
            for signal, files in self._signals.items()
        }
        data = {"endpoint": self._endpoint, "signals": signals}
        self.folder.replace(self.name, json.dumps(data, indent=1).encode() + b"\n")
