"""How commands say what evidence on the candidate they have left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem

if TYPE_CHECKING:
    from agent_studio.cli.output import Screen
    from agent_studio.release.checked import Kept


def data(kept: Kept | None) -> dict[str, Any] | None:
    """Return what programs are told; None where there is no evidence."""
    if kept is None or not kept.candidate:
        return None
    return {"candidate": kept.candidate, "kind": kept.kind, "verdict": kept.verdict, "recorded": kept.is_new}


def problems(kept: Kept | None) -> list[Problem]:
    """Return why a finding is no evidence, or not of what it says; it is not why the command failed."""
    return [Problem(kept.code, kept.fault, kept.hint, is_note=True)] if kept is not None and kept.fault else []


def show(screen: Screen, kept: Kept | None, *, indent: str = "") -> None:
    """Write one line about it; nothing where there is none."""
    if kept is not None and kept.candidate:
        was = "" if kept.is_new else " (on record already)"
        screen.line(f"{indent}evidence on {kept.candidate[:12]}: {kept.kind} {kept.verdict}{was}")
