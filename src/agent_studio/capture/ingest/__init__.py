"""From the inbox and the transcripts to typed records, each event once, whatever crashes in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.capture.ingest.report import Report

if TYPE_CHECKING:
    from agent_studio.environment.context import Context

__all__ = ["Report", "ingest"]


def ingest(context: Context, *, wait_s: float = 5.0, settle_s: float = 0.0) -> Report:
    """Turn what the environment's inbox and its sessions' transcripts hold into records; return what was done.

    `wait_s` is how long to wait while another process ingests, `settle_s` how long a session's end waits for its
    cost. Running it again adds nothing. Raises `StorageError` when something cannot be written: then the cursor stays.
    """
    from agent_studio.capture.ingest.run import run  # noqa: PLC0415 - the parts import this package

    return run(context, wait_s=wait_s, settle_s=settle_s)
