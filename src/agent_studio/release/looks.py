"""What a checklist looks at by itself: each look returns a verdict, why, and where that can be seen.

Nothing is changed by a look; what cannot be looked at is INSUFFICIENT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.config import file_name
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.monitor import alerts, metrics, rules
from agent_studio.monitor.alert import FIRING
from agent_studio.monitor.verdict import BREACH
from agent_studio.release import evidence, facts, fence, gate, issues, plan, probes
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.release.sides import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.release.candidates import Made
    from agent_studio.release.evidence import Found
    from agent_studio.release.facts import Gathered
    from agent_studio.release.gate import Gate
    from agent_studio.release.sides import Sides

Draw = Callable[["Context"], Mapping[str, Any]]
"""Draws the dashboard of an environment and returns what it shows; the faces have it."""
_DAY_HOURS = 24


class Seen(NamedTuple):
    """What one look found."""

    verdict: str
    reason: str
    source: str = ""
    """A file, or whatever else can be opened to see it."""
    details: Sequence[str] = ()


class Scene:
    """What there is to look at; each part is opened when it is first looked at."""

    def __init__(self, sides: Sides, made: Made, draw: Draw) -> None:
        self.sides, self.made, self.draw = sides, made, draw

    @property
    def staging(self) -> Context:
        """Staging; raises what keeps it from opening."""
        return self.sides.staging

    @cached_property
    def found(self) -> Found:
        """The evidence on the candidate."""
        return evidence.of(self.sides.project, SOURCE, self.made.candidate)

    @cached_property
    def gathered(self) -> Gathered:
        """What the gate is told."""
        return facts.gather(self.sides, self.made.candidate)

    @cached_property
    def gate(self) -> Gate:
        """What the gate says."""
        return gate.decide(self.gathered.facts)

    @property
    def since(self) -> datetime:
        """When the checkout began to be this candidate, as far as marks, notes and evidence tell: the earliest."""
        times = [self.made.time, *(one.time for one in self.found.evidence.values())]
        return min(fence.changed_at(self.sides.project), *map(datetime.fromisoformat, times))


def environment(scene: Scene) -> Seen:
    """Staging can be chosen, and its configuration loads."""
    try:
        staging = scene.staging
    except IntegrityError:
        raise
    except AgentStudioError as error:
        return Seen(FAIL, error.message)
    return Seen(PASS, f"{staging.environment} loads, its data is in {staging.root.root}", str(staging.root.path))


def init(scene: Scene) -> Seen:
    """All data folders are there."""
    root = scene.staging.root
    missing = [kind for kind in KINDS if not root.folder(kind).has_folder()]
    if missing:
        return Seen(FAIL, f"{root.root} lacks {', '.join(missing)}", str(root.path))
    return Seen(PASS, f"{len(KINDS)} data folders are in {root.root}", str(root.path))


def configuration(scene: Scene) -> Seen:
    """What staging's own file says is in force."""
    config, name = scene.staging.config, file_name(SOURCE)
    shown = scene.sides.project.shown(name)
    wins = [key for key, layers in config.layers.items() if layers[-1].source == name]
    if name not in config.files or not wins:
        return Seen(FAIL, f"no value of {shown} is in force", shown)
    sha256 = hashlib.sha256(scene.sides.project.read_definition(name)).hexdigest()
    return Seen(PASS, f"{len(wins)} values of {shown} (sha256 {sha256[:12]}) are in force", shown)


def open_issues(scene: Scene) -> Seen:
    """Nothing CRITICAL or HIGH is open in staging, in production or among staging's alerts."""
    readings = [issues.read(scene.staging.root)]
    try:
        live = scene.sides.live()
    except IntegrityError:
        raise
    except AgentStudioError as error:
        readings.append(issues.Reading("production", (), f"production cannot be opened: {error.message}"))
    else:
        readings.append(issues.read(live.root)._replace(place=f"production: {issues.FILE}"))
    return _issues(scene.staging, readings, (issues.CRITICAL, issues.HIGH))


def critical_issues(scene: Scene) -> Seen:
    """Nothing CRITICAL is open in staging or among its alerts."""
    return _issues(scene.staging, [issues.read(scene.staging.root)], (issues.CRITICAL,))


def _issues(staging: Context, readings: Sequence[issues.Reading], severities: Sequence[str]) -> Seen:
    grave, unclear = [], [one.fault for one in readings if one.fault]
    for reading in readings:
        for one in reading.issues:
            told = f"{reading.place}:{one.line} {one.severity or '?'}: {one.title}"
            if one.is_open and one.severity in severities:
                grave.append(told)
            elif one.fault:
                unclear.append(f"{told} ({one.fault})")
    if rules.is_watched(staging):
        grave += _alerts(staging, severities)
    else:
        unclear.append("staging has no alerts: monitoring.enabled is false")
    source, words = readings[0].place, " or ".join(severities)
    known = sum(one.is_open for reading in readings for one in reading.issues)
    if grave:
        return Seen(FAIL, _counted(grave, f"open and {words}"), source, (*grave, *unclear))
    if unclear:
        return Seen(INSUFFICIENT, _counted(unclear, "not understood"), source, unclear)
    return Seen(PASS, f"none is {words}; {known} open in all", source)


def _alerts(staging: Context, severities: Sequence[str]) -> Iterator[str]:
    """Yield alerts that fire and nobody looks after, silenced or not, and limits that are broken now."""
    current = alerts.current(staging)
    for one in current:
        if one.state == FIRING and one.severity in severities and one.acknowledged is None:
            yield f"alert {one.id} {one.severity}: {one.message}"
    told = {(one.rule, one.label) for one in current if one.state == FIRING}
    summaries = [metrics.summary(staging, metrics.last_hours(hours)) for hours in (_DAY_HOURS, 1)]
    for verdict in rules.verdicts(staging, *summaries):
        is_broken = verdict.state == BREACH and verdict.certain and verdict.alerting
        if is_broken and verdict.severity in severities and (verdict.rule, verdict.label) not in told:
            yield f"limit {verdict.rule} {verdict.severity}: {verdict.message}"


def features(scene: Scene) -> Seen:
    """Every feature that this version has does what it is there for."""
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
    """The dashboard draws staging's last day from its records, and no line of them is damaged."""
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
    """The errors since the checkout became this candidate are none, or each was acknowledged with a reason."""
    from agent_studio.release import reviewed  # noqa: PLC0415 - the journals are read only for this

    groups = reviewed.errors(scene.staging, scene.since)
    source = str(scene.staging.root.folder("metrics").path / "errors.jsonl")
    since = f"since {scene.since:%Y-%m-%d %H:%M} UTC"
    details = [
        f"{one.id} {one.severity}, {one.count} times, {one.source}: {one.message}"
        + (f" (acknowledged by {one.who}: {one.why})" if one.who else f" (last {one.last})")
        for one in groups
    ]
    unread = [one for one in groups if not one.who]
    if unread:
        grave = any(one.severity in {issues.CRITICAL, issues.HIGH} for one in unread)
        told = f"{len(unread)} of {len(groups)} kinds of error {since} are not acknowledged: {unread[0].id}"
        return Seen(FAIL if grave else INSUFFICIENT, told, source, details)
    return Seen(PASS, f"{len(groups)} kinds of error {since}, each acknowledged" if groups else f"no error {since}",
                source, details)  # fmt: skip


def rollback_plan(scene: Scene) -> Seen:
    """The recorded plan says how to go back."""
    held = scene.found.evidence.get(plan.KIND)
    return Seen(*plan.documented(held), "" if held is None else held.file)


def deployment_checklist(scene: Scene) -> Seen:
    """The recorded plan is of what would be promoted now, and its file was not edited."""
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
