"""Where `elicit` takes its texts from: a file that is named, or standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError
from agent_studio.reasoning.elicitation import draft

if TYPE_CHECKING:
    from agent_studio.cli.dispatch import Session

STDIN = "standard input"


class Given(NamedTuple):
    """The bytes of a text and where they are from."""

    data: bytes
    name: str
    """For messages."""
    file: str
    """The file's path from the project's root; empty where changes cannot be made: standard input, a file outside."""


def read(file: str | None, session: Session) -> Given:
    """Return what a file holds, else what standard input does; raise `UsageError` where nothing comes."""
    if file is None or file == "-":
        return Given(_stdin(), STDIN, "")
    place = Path(file).expanduser()
    try:
        if not place.is_file():
            raise UsageError(
                f"{file} is no file" if place.exists() else f"{file} is not there", hint="name a text file"
            )
        with place.open("rb") as opened:
            data = opened.read(draft.FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="name a file that you may read") from None
    real, root = Path(os.path.realpath(place)), Path(os.path.realpath(session.project.path))
    inside = real.is_relative_to(root)
    return Given(data, file, real.relative_to(root).as_posix() if inside else "")


def _stdin() -> bytes:
    stream = sys.stdin
    if stream is None or stream.isatty():
        raise UsageError("there is no text to look at", hint="--file FILE, or pipe a text in")
    buffer = getattr(stream, "buffer", None)
    if buffer is not None:
        data: bytes = buffer.read(draft.FILE_BYTES + 1)
        return data
    return stream.read(draft.FILE_BYTES + 1).encode("utf-8", "surrogatepass")
