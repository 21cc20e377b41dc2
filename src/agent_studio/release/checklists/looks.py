"""What a checklist looks at by itself: each look returns a verdict, why, and where that can be seen.

Nothing is changed by a look; what cannot be looked at is INSUFFICIENT.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agent_studio.environment.config import file_name
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.memory import issues
from agent_studio.monitor import alerts, metrics, rules
from agent_studio.monitor.alert import FIRING
from agent_studio.monitor.verdict import BREACH
from agent_studio.release.checklists import grave, plan, probes
from agent_studio.release.checklists.scene import Scene, Seen
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.production.sides import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from agent_studio.environment.context import Context

_DAY_HOURS = 24


def environment(scene: Scene) -> Seen:
    """See whether staging can be chosen, and its configuration loads."""
    try:
        staging = scene.staging
    except IntegrityError:
        raise
    except AgentStudioError as error:
        return Seen(FAIL, error.message)
    return Seen(PASS, f"{staging.environment} loads, its data is in {staging.root.root}", str(staging.root.path))


def init(scene: Scene) -> Seen:
    """See whether all data folders are there."""
    root = scene.staging.root
    missing = [kind for kind in KINDS if not root.folder(kind).has_folder()]
    if missing:
        return Seen(FAIL, f"{root.root} lacks {', '.join(missing)}", str(root.path))
    return Seen(PASS, f"{len(KINDS)} data folders are in {root.root}", str(root.path))


def configuration(scene: Scene) -> Seen:
    """See whether what staging's own file says is in force."""
    config, name = scene.staging.config, file_name(SOURCE)
    shown = scene.sides.project.shown(name)
    wins = [key for key, layers in config.layers.items() if layers[-1].source == name]
    if name not in config.files or not wins:
        return Seen(FAIL, f"no value of {shown} is in force", shown)
    sha256 = hashlib.sha256(scene.sides.project.read_definition(name)).hexdigest()
    return Seen(PASS, f"{len(wins)} values of {shown} (sha256 {sha256[:12]}) are in force", shown)


def open_issues(scene: Scene) -> Seen:
    """See whether anything CRITICAL or HIGH is open in staging, in production or among staging's alerts."""
    readings = [issues.read(scene.staging.root)]
    try:
        live = scene.sides.live()
    except IntegrityError:
        raise
    except AgentStudioError as error:
        readings.append(issues.Reading("production", (), f"production cannot be opened: {error.message}"))
    else:
        held = issues.read(live.root)
        readings.append(held._replace(place=f"production's {held.place}"))
    return _issues(scene.staging, readings, (issues.CRITICAL, issues.HIGH))


def critical_issues(scene: Scene) -> Seen:
    """See whether anything CRITICAL is open in staging or among its alerts."""
    return _issues(scene.staging, [issues.read(scene.staging.root)], (issues.CRITICAL,))


def _issues(staging: Context, readings: Sequence[issues.Reading], severities: Sequence[str]) -> Seen:
    opened, unclear = grave.told(readings, severities)
    if rules.is_watched(staging):
        opened += [*grave.fired(staging, severities), *_limits(staging, severities)]
    else:
        unclear.append("staging has no alerts: monitoring.enabled is false")
    source, words = readings[0].place, " or ".join(severities)
    known = sum(one.is_open for reading in readings for one in reading.issues)
    if opened:
        return Seen(FAIL, _counted(opened, f"open and {words}"), source, (*opened, *unclear))
    if unclear:
        return Seen(INSUFFICIENT, _counted(unclear, "not understood"), source, unclear)
    return Seen(PASS, f"none is {words}; {known} open in all", source)


def _limits(staging: Context, severities: Sequence[str]) -> Iterator[str]:
    """Yield limits that are broken now and that no alert tells of yet."""
    told = {(one.rule, one.label) for one in alerts.current(staging) if one.state == FIRING}
    summaries = [metrics.summary(staging, metrics.last_hours(hours)) for hours in (_DAY_HOURS, 1)]
    for verdict in rules.verdicts(staging, *summaries):
        is_broken = verdict.state == BREACH and verdict.certain and verdict.alerting
        if is_broken and verdict.severity in severities and (verdict.rule, verdict.label) not in told:
            yield f"limit {verdict.rule} {verdict.severity}: {verdict.message}"


def features(scene: Scene) -> Seen:
    """Try every feature that this version has."""
    found = probes.run(scene.staging)
    details = [f"{one.feature}: {one.verdict + ', ' if one.verdict else ''}{one.message}" for one in found]
    for verdict in (FAIL, INSUFFICIENT):
        if wrong := [f"{one.feature}: {one.message}" for one in found if one.verdict == verdict]:
            return Seen(verdict, _counted(wrong, "of the features"), details=details)
    there = ", ".join(one.feature for one in found if one.verdict)
    absent = ", ".join(one.feature for one in found if not one.verdict)
    not_there = f"; not in this version, not counted: {absent}" if absent else ""
    return Seen(PASS, f"probed: {there}{not_there}", details=details)


def dashboard(scene: Scene) -> Seen:
    """Draw staging's last day from its records, no line of which may be damaged."""
    shown = scene.draw(scene.staging)
    source = str(scene.staging.root.folder("metrics").path)
    if shown["damagedLines"]:
        return Seen(FAIL, f"{shown['damagedLines']} lines of staging's records are damaged", source)
    totals, errors = shown["totals"], shown["errors"]["total"]
    if not totals["calls"] + totals["runs"] + totals["tokens"] + errors:
        return Seen(INSUFFICIENT, f"nothing was recorded in staging in the last {_DAY_HOURS} hours", source)
    counts = f"{totals['calls']} hook calls, {totals['runs']} agent runs, {errors} errors"
    return Seen(PASS, f"it shows {counts} of the last {_DAY_HOURS} hours, no damaged line", source)


def error_log(scene: Scene) -> Seen:
    """Look for errors since the checkout became this candidate that nobody has acknowledged with a reason."""
    from agent_studio.release.checklists import reviewed  # noqa: PLC0415 - the journals are read only for this

    since = reviewed.since_of(scene.staging)
    groups = reviewed.errors(scene.staging, since)
    details = [
        f"{one.id} {one.severity}, {one.count} times, {one.source}: {one.message}"
        + (f" (acknowledged by {one.who}: {one.why})" if one.who else f" (last {one.last})")
        for one in groups
    ]
    verdict, reason = reviewed.verdict(groups)
    if not groups and not _has_run(scene.staging, since):
        verdict, reason = INSUFFICIENT, "nothing has run in staging that could have failed: let sessions run there"
    source = str(scene.staging.root.folder("metrics").path / "errors.jsonl")
    return Seen(verdict, f"{reason} (since {since:%Y-%m-%d %H:%M} UTC)", source, details)


def _has_run(staging: Context, since: datetime) -> bool:
    """Tell whether anything was recorded from a moment on."""
    now = metrics.last_hours(0)
    summary = metrics.summary(staging, now._replace(since_ms=int(since.timestamp() * 1000)))
    return bool(summary.hooks or summary.agents or summary.sessions.started or summary.sessions.prompts)


def rollback_plan(scene: Scene) -> Seen:
    """See whether the recorded plan says how to go back."""
    held = scene.found.evidence.get(plan.KIND)
    return Seen(*plan.documented(held), "" if held is None else held.file)


def deployment_checklist(scene: Scene) -> Seen:
    """See whether the recorded plan is of what would be promoted now, and its file was not edited."""
    held = scene.found.evidence.get(plan.KIND)
    current, target = plan.versions(scene.gathered)
    where = scene.sides.project.path
    return Seen(*plan.ready(held, where, scene.made.candidate, current, target), "" if held is None else held.file)


def _counted(told: Sequence[str], what: str) -> str:
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    return f"{len(told)} {what}: {told[0]}{more}"


LOOKS: Mapping[str, Callable[[Scene], Seen]] = {
    "environment": environment, "init": init, "configuration": configuration, "issues": open_issues,
    "critical-issues": critical_issues, "features": features, "dashboard": dashboard, "errors": error_log,
    "rollback-plan": rollback_plan, "deployment-checklist": deployment_checklist,
}  # fmt: skip
"""By the id of the item."""
