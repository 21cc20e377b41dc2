"""Harmless files and folders that stand, read-only, where a run must not make others; they are removed afterwards.

What is not there cannot be mounted over. One that a killed run left is known by its content, and removed by the next.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from agent_studio.isolation import held

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MODE, _FOLDER_MODE = 0o644, 0o755


@contextmanager
def made(absent: Sequence[tuple[Path, bytes | None]]) -> Iterator[tuple[list[Path], list[str]]]:
    """Make what is absent, and yield what stands there now, and what could not be made.

    Removed afterwards are those that are still as we made them, unless another run uses the folder.
    Raises `NotIsolatedError` when that cannot be told.
    """
    there: list[Path] = []
    gaps: list[str] = []
    with ExitStack() as stack:
        folders = dict.fromkeys(path.parent for path, _ in absent)
        alone = {folder: stack.enter_context(held.in_use(folder)) for folder in folders}
        ours: list[tuple[Path, bytes | None]] = []
        try:
            for path, data in absent:
                try:
                    is_ours = _create(path, data)
                except OSError as error:
                    gaps.append(f"{path} can be made ({error.strerror})")
                    continue
                there.append(path)
                if is_ours:
                    ours.append((path, data))
            yield there, gaps
        finally:
            for path, data in ours:
                if alone[path.parent]():
                    remove(path, data)


def remove(path: Path, data: bytes | None) -> None:
    """Remove a file or folder that is still as it was made."""
    with suppress(OSError):
        if data is None:
            path.rmdir()
        elif not path.is_symlink() and path.read_bytes() == data:
            path.unlink()


def _create(path: Path, data: bytes | None) -> bool:
    """Make it where nothing is; return whether it is ours, now or from a run before."""
    try:
        if data is None:
            path.mkdir(_FOLDER_MODE)
            return True
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    except FileExistsError:
        return data is not None and not path.is_symlink() and path.read_bytes() == data
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return True
