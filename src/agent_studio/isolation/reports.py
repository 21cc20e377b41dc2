"""The file that says how a run went; that it can be written is known before the run starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio.errors import StorageError
from agent_studio.redaction.structure import redacted_json

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReportFile:
    """A file named by the user, replaced in one step; a device such as /dev/stdout is written to."""

    def __init__(self, name: str) -> None:
        """Raise `StorageError` when nothing can be written there."""
        self._name = name
        given = Path(name)
        self.is_device = given.exists() and not given.is_file() and not given.is_dir()
        self._place = given if self.is_device else Path(os.path.realpath(name))
        reason = self._fault()
        if reason:
            raise StorageError(f"cannot write {name}: {reason}", hint="name a file in a folder that can be written to")

    def write(self, report: Mapping[str, Any]) -> None:
        """Write the report; raise `StorageError` when that fails."""
        text = redacted_json(report, ensure_ascii=False, indent=1)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self.is_device:
                self._place.write_bytes(data)
                return
            beside = self._place.with_name(f".{self._place.name}.{os.getpid()}.tmp")
            try:
                beside.write_bytes(data)
                beside.replace(self._place)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {self._name}: {error.strerror}", hint="name another file") from error

    def _fault(self) -> str:
        folder = self._place.parent
        if self.is_device:
            return ""
        if not self._name or self._place.is_dir():
            return "it is a folder"
        if not folder.is_dir():
            return f"{folder} is not a folder"
        return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written to"
