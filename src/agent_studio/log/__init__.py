"""Our own log, `.agent-studio/<environment>/log.jsonl`: what commands and the daemon did, one JSON object a line.

It is written beside the work and never in its way: nothing here raises, waits for another process or makes a folder;
an environment without a state folder has no log. Every text passes `redaction.redact`. Who writes here hands in names,
counts and times, never what a person or a model said. structlog takes 90 ms to import, so it is there for what it does
better than a line of JSON: exceptions with their causes and frames.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.redaction import redact_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

FILE = "log.jsonl"
LOCK = "log.lock"
LEVELS = ("debug", "info", "warning", "error")
"""From the least to the most serious; debug is written only where `monitoring.verboseLogging` is on."""
SIZE_MAX_BYTES = 4 << 20
"""A file that has grown over this is put aside as `log.<n>.jsonl`."""
KEPT_FILES = 3
"""Files put aside that are kept; the higher the number, the newer."""
_ASIDE = r"log\.([1-9][0-9]{0,8})\.jsonl"
_TEXT_MAX = 2_000
_ITEMS_MAX = 100
_DEPTH_MAX = 8
_LINE_MAX_BYTES = 64 << 10
_SAFE_INTEGER = 1 << 63


def debug(context: Context, event: str, /, **fields: object) -> None:
    """Write what only a search for a fault needs."""
    write(context, "debug", event, fields)


def info(context: Context, event: str, /, **fields: object) -> None:
    """Write what was done."""
    write(context, "info", event, fields)


def warning(context: Context, event: str, /, **fields: object) -> None:
    """Write what somebody should look at."""
    write(context, "warning", event, fields)


def error(context: Context, event: str, /, **fields: object) -> None:
    """Write what failed."""
    write(context, "error", event, fields)


def exception(context: Context, event: str, raised: BaseException, /, **fields: object) -> None:
    """Write an error with its causes and frames, without the values of variables."""
    told: object = f"{type(raised).__name__}"
    with suppress(Exception):
        from structlog.tracebacks import ExceptionDictTransformer  # noqa: PLC0415 - 90 ms, only after a failure

        told = ExceptionDictTransformer(show_locals=False)((type(raised), raised, raised.__traceback__))
    write(context, "error", event, {**fields, "exception": told})


def write(context: Context, level: str, event: str, fields: Mapping[str, object]) -> None:
    """Append one entry, `timestamp, level, event, environment, pid` and its fields, if its level is written here."""
    with suppress(Exception):  # whatever is wrong with the log, the work goes on
        if level != "debug" or context.config["monitoring.verboseLogging"]:
            _append(context.root.state, _line(str(context.environment), level, event, fields))


def put_aside(folder: Folder) -> list[tuple[int, str]]:
    """Return number and name of the files put aside, oldest first."""
    found = (re.fullmatch(_ASIDE, name) for name in folder.names())
    return sorted((int(match[1]), match[0]) for match in found if match)


def _line(environment: str, level: str, event: str, fields: Mapping[str, object]) -> bytes:
    head = {
        "timestamp": clock.timestamp(clock.now()), "level": level, "event": _text(event), "environment": environment,
        "pid": os.getpid(),
    }  # fmt: skip
    told = _cleaned(fields)
    line = _encoded({**head, **{name: value for name, value in told.items() if name not in head}})
    return line if len(line) <= _LINE_MAX_BYTES else _encoded({**head, "droppedBytes": len(line)})


def _encoded(record: Mapping[str, Any]) -> bytes:
    """Return a line that acts on no terminal: what cannot be printed stands as an escape of JSON."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (text if text.isprintable() else json.dumps(record, separators=(",", ":"))).encode() + b"\n"


def _cleaned(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it, bounded and without secrets."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_SAFE_INTEGER < value < _SAFE_INTEGER else _text(hex(value))
    if isinstance(value, float) and abs(value) < float("inf"):
        return float(value)
    if depth < _DEPTH_MAX:
        if isinstance(value, dict):
            some = list(value.items())[:_ITEMS_MAX]
            return {_text(name): _cleaned(inner, depth + 1) for name, inner in some}
        if isinstance(value, list | tuple | set | frozenset):
            return [_cleaned(inner, depth + 1) for inner in list(value)[:_ITEMS_MAX]]
    return _text(value)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a thing that cannot even say what it is
        text = type(value).__name__
    return redact_head(text, _TEXT_MAX)


def _append(folder: Folder, line: bytes) -> None:
    """Append by one write; the torn end that a killed writer or a full disk left is ended first."""
    descriptor = folder.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            line = line if os.read(descriptor, 1) == b"\n" else b"\n" + line
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    if size + len(line) > SIZE_MAX_BYTES:
        _rotate(folder)


def _rotate(folder: Folder) -> None:
    """Put the file aside in one step; whoever still has it open goes on in it, and nothing is lost."""
    from agent_studio.storage.locks import exclusive  # noqa: PLC0415 - once in thousands of entries

    with exclusive(folder, LOCK, doing="putting the log aside"):
        status = folder.status(FILE)
        if status is None or status.st_size <= SIZE_MAX_BYTES:
            return  # somebody else has just done it
        aside = put_aside(folder)
        folder.move(FILE, folder, f"log.{aside[-1][0] + 1 if aside else 1}.jsonl")
        for _, name in aside[: len(aside) + 1 - KEPT_FILES]:
            folder.remove(name)
