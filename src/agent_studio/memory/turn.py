"""One writer after the other: each waits its turn in the kernel's own queue, so none starves behind many."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_studio.storage.descriptors import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.storage.folder import Folder


@contextmanager
def in_turn(folder: Folder, name: str) -> Iterator[None]:
    """Hold the lock file `name`, which is never removed; the system drops the lock when its holder dies."""
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)
