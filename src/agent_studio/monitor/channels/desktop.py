"""A notification on the desktop: `notify-send`, or AppleScript on macOS."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from agent_studio.monitor.channels import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.channels import Batch
    from agent_studio.monitor.destinations import Destination

_APPLE = (
    "on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run",
)  # fmt: skip
_SHOWN = 500


def send(root: EnvironmentRoot, where: Destination, batch: Batch, variables: Mapping[str, str]) -> None:  # noqa: ARG001 - one signature for all
    """Show the steps in one notification."""
    command = _command(batch.title, batch.text[:_SHOWN])
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=where.timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeliveryError(f"{command[0]} could not be run: {error}") from None
    if done.returncode:
        raise DeliveryError(f"{command[0]} ended with {done.returncode}: is there a desktop?")


def _command(title: str, text: str) -> Sequence[str]:
    """Return what shows a notification; texts are arguments, never part of a script."""
    if shutil.which("notify-send"):
        return ("notify-send", "--app-name=agent-studio", "--", title, text)
    if shutil.which("osascript"):
        return ("osascript", *(part for line in _APPLE for part in ("-e", line)), title, text)
    raise DeliveryError("neither notify-send nor osascript is here to show a notification")
