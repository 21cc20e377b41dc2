"""A line a step in `.agent-studio/<environment>/alerts.log`, for people and for what follows logs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_studio.monitor.channels import line_of
from agent_studio.storage.descriptors import locked, write_all
from agent_studio.storage.folder import disk_faults
from agent_studio.storage.journal import ends_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.channels import Batch
    from agent_studio.monitor.destinations import Destination

FILE = "alerts.log"
_TAIL_BYTES = 1 << 20


def send(root: EnvironmentRoot, where: Destination, batch: Batch, variables: Mapping[str, str]) -> None:  # noqa: ARG001 - one signature for all
    """Append the steps, unless they stand at the end already."""
    folder = root.state
    descriptor = folder.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        with disk_faults(folder.path / FILE), locked(descriptor):
            size = os.fstat(descriptor).st_size
            os.lseek(descriptor, max(size - _TAIL_BYTES, 0), os.SEEK_SET)
            known = os.read(descriptor, _TAIL_BYTES).decode("utf-8", "replace")
            lines = [
                f"{one['timestamp']} {line_of(one)} ({one['id']})"
                for one in batch.steps
                if f"({one['id']})\n" not in known
            ]
            if lines:
                start = "" if ends_whole(descriptor) else "\n"
                write_all(descriptor, (start + "\n".join(lines) + "\n").encode())
    finally:
        os.close(descriptor)
