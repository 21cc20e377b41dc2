"""What belongs to another environment than the daemon's: kept in `.agent-studio/unrouted.jsonl`, never dropped."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from agent_studio.capture.inbox import KEPT_BYTES
from agent_studio.capture.otlp.decode_json import refuse
from agent_studio.capture.recorder.routes import UNROUTED
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STATE
from agent_studio.storage import journal
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_studio.environment.roots import EnvironmentRoot

_LIMIT_BYTES = 64 << 20
"""As the recorder has it: above, only the start of a payload is kept."""
_NAME_KEPT = 64


def append(root: EnvironmentRoot, kind: str, payloads: Iterable[tuple[str, bytes]]) -> None:
    """Append payloads with the environment each one names, by one write; raise `StorageError`, then none is written."""
    folder = Folder(root.project.path, STATE)
    status = folder.status(UNROUTED)
    left = _LIMIT_BYTES - (status.st_size if status else 0)
    ts, records = time.time_ns(), []
    for environment, payload in payloads:
        known = environment.strip().lower() in list(Environment)
        reason = f"sent to the daemon of {root.environment}" if known else "unknown environment"
        left -= len(payload)
        record = {"ts": ts, "pid": os.getpid(), "kind": kind, "env": environment[:_NAME_KEPT], "reason": reason}
        records.append({**record, **_kept(payload, whole=left >= 0)})
    if records:
        journal.append(folder, UNROUTED, records)


def _kept(payload: bytes, *, whole: bool) -> dict[str, Any]:
    if not payload.strip(b" \t\r\n"):
        return {"payload": None}
    try:
        if whole:
            return {"payload": json.loads(payload.decode(), parse_constant=refuse)}
    except (ValueError, RecursionError):
        pass
    return {"bytes": len(payload), "payload": payload[:KEPT_BYTES].decode("utf-8", "replace")}
