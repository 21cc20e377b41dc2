"""What is open and grave in an environment: entries of its issues file, and alerts that nobody looks after.

Checklists and the gate ask the same, so that an issue that is opened after a checklist held still stops a promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.memory import issues
from agent_studio.monitor import alerts
from agent_studio.monitor.alert import FIRING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agent_studio.environment.context import Context

SEVERITIES = (issues.CRITICAL, issues.HIGH)


class Open(NamedTuple):
    """What was found, each with file and line."""

    grave: list[str]
    unclear: list[str]
    """What nobody can tell the severity of, and files that cannot be read."""


def of(staging: Context) -> Open:
    """Return what is open and CRITICAL or HIGH in staging now."""
    found = told([issues.read(staging.root)], SEVERITIES)
    return found._replace(grave=[*found.grave, *fired(staging, SEVERITIES)])


def told(readings: Iterable[issues.Reading], severities: Collection[str]) -> Open:
    """Return what issues files say."""
    found = Open([], [])
    for reading in readings:
        found.unclear.extend([reading.fault] if reading.fault else [])
        for one in reading.issues:
            line = f"{reading.place}:{one.line} {one.severity or '?'}: {one.title}"
            if one.is_open and one.severity in severities:
                found.grave.append(line)
            elif one.fault:
                found.unclear.append(f"{line} ({one.fault})")
    return found


def fired(staging: Context, severities: Collection[str]) -> list[str]:
    """Return the alerts that fire and that nobody looks after, silenced or not."""
    return [
        f"alert {one.id} {one.severity}: {one.message}"
        for one in alerts.current(staging)
        if one.state == FIRING and one.severity in severities and one.acknowledged is None
    ]
