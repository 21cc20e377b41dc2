"""Work that ends in order when its process is told to end: by Ctrl-C, by SIGTERM, by a terminal that is closed."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
_SIGNALS = ("SIGTERM", "SIGHUP")


def run(work: Coroutine[None, None, T]) -> T:
    """Do some work; raise `KeyboardInterrupt` once it has been cancelled by a signal and has cleaned up."""
    try:
        return asyncio.run(_endable(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _endable(work: Coroutine[None, None, T]) -> T:
    task = asyncio.current_task()
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, and threads other than the first
            # One that is ignored, as under nohup, stays so.
            if task is not None and number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await work
