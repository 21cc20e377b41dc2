"""What runs have changed in copies of the project: list, show, apply, discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result, ask, harmless, warn
from agent_studio.errors import ExitCode, UsageError, did_you_mean
from agent_studio.isolation import changes, copies
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.isolation.changes import Change
    from agent_studio.isolation.copies import Copy

ACTIONS = ("list", "show", "apply", "discard")
_LINES = 400
"""Lines of a diff on stderr at most."""


def run(words: Sequence[str], context: Context, *, yes: bool, dry_run: bool) -> Result:
    """Do one action on a kept copy; `words` are the action and, where several copies are kept, an id."""
    action, name = words[0], words[1] if len(words) > 1 else None
    if action not in ACTIONS:
        raise UsageError(f"--changes knows no {action!r}", hint=did_you_mean(action, ACTIONS))
    if len(words) > 2:  # noqa: PLR2004 - ACTION ID
        raise UsageError(
            f"--changes {action} takes one id",
            hint=f"agent-studio run --env {context.environment} --changes {action} ID",
        )
    if action == "list":
        return _list(context)
    copy = copies.find(context.root.state, name)
    if action == "show":
        return _show(copy, context)
    return (_apply if action == "apply" else _discard)(copy, context, yes=yes, dry_run=dry_run)


def after_run(copy: Copy, context: Context, *, apply: bool, yes: bool) -> list[Change]:
    """Show what a run has changed, and apply it when that was asked for and is agreed to; return the changes."""
    found = changes.find(copy)
    if not found:
        copies.discard(context.root.state, copy.id)
        warn("the run changed nothing in its copy of the project")
        return []
    lines = [line for change in found for line in changes.diff(copy, change, context.project.path)]
    for line in lines[:_LINES]:
        warn(f"| {harmless(line)}")
    if len(lines) > _LINES:
        warn(f"| ... and {len(lines) - _LINES} more lines")
    if apply:
        ask(f"apply {_counted(found)} to {context.project.path}?", yes=yes)
        _bring(copy, found, context)
    else:
        warn(
            f"{_counted(found)}, kept apart from the project as {copy.id}",
            f"agent-studio run --env {context.environment} --changes apply {copy.id}  (or show, discard)",
        )
    return found


def _list(context: Context) -> Result:
    rows = [(copy, changes.find(copy)) for copy in copies.kept(context.root.state)]
    data = {
        "copies": [
            {"id": copy.id, "madeAt": copy.made_at, "command": copy.command, "changes": len(found)}
            for copy, found in rows
        ]
    }

    def render(screen: Screen) -> None:
        if not rows:
            screen.line("No copies are kept.")
            return
        cells = [(copy.id, copy.made_at, len(found), copy.command) for copy, found in rows]
        screen.table(("id", "made", "changes", "command"), cells, numbers=("changes",))

    return Result(data, render)


def _show(copy: Copy, context: Context) -> Result:
    found = changes.find(copy)
    lines = [redact(harmless(line)) for change in found for line in changes.diff(copy, change, context.project.path)]

    def render(screen: Screen) -> None:
        for line in lines or ["Nothing is changed."]:
            screen.line(line)

    return Result({"id": copy.id, "changes": [_row(change) for change in found], "diff": lines}, render)


def _apply(copy: Copy, context: Context, *, yes: bool, dry_run: bool) -> Result:
    found = changes.find(copy)
    wanted = [change for change in found if not change.refusal]
    conflicts = changes.conflicts(wanted, context.project.path)
    data: dict[str, Any] = {"id": copy.id, "changes": [_row(change) for change in found], "conflicts": conflicts}
    if dry_run:
        return _said(data, [f"would apply {_counted(found)}"], ExitCode.FAILED if conflicts else ExitCode.DONE)
    if wanted and not conflicts:
        ask(f"apply {_counted(found)} to {context.project.path}?", yes=yes)
    done = _bring(copy, found, context)
    return _said({**data, "applied": done}, [f"applied {len(done)} of {len(found)} changes"], ExitCode.DONE)


def _discard(copy: Copy, context: Context, *, yes: bool, dry_run: bool) -> Result:
    found = changes.find(copy)
    if not dry_run:
        ask(f"remove the copy {copy.id} with {_counted(found)}?", yes=yes)
        copies.discard(context.root.state, copy.id)
    said = f"{'would remove' if dry_run else 'removed'} {copy.id} with {_counted(found)}"
    return _said({"id": copy.id, "changes": [_row(change) for change in found]}, [said], ExitCode.DONE)


def _bring(copy: Copy, found: list[Change], context: Context) -> list[str]:
    done = changes.apply(copy, found, context.project.folder)
    left = [change for change in found if change.refusal]
    for change in left:
        warn(f"not applied: {harmless(change.path)}: {change.refusal}")
    if left:
        remedy = f"agent-studio run --env {context.environment} --changes discard {copy.id}"
        warn(f"what was not applied is kept in {copy.path}", remedy)
    else:
        copies.discard(context.root.state, copy.id)
    return done


def _said(data: dict[str, Any], lines: list[str], code: int) -> Result:
    def render(screen: Screen) -> None:
        for line in lines:
            screen.line(line)

    return Result(data, render, code)


def _row(change: Change) -> dict[str, str | None]:
    return {"path": change.path, "kind": change.kind, "refusal": change.refusal or None}


def _counted(found: list[Change]) -> str:
    return f"{len(found)} change{'' if len(found) == 1 else 's'}"
