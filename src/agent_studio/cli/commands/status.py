"""Show where things stand: environment, data, configuration, features, tests, and the way to production.

Of the working checkout's candidate it says which evidence there is, and which command comes next.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, Screen
from agent_studio.environment.findings import Severity
from agent_studio.environment.flag_journal import history
from agent_studio.environment.flags import evaluate
from agent_studio.environment.roots import INDEX_FILE
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError
from agent_studio.knowledge import table
from agent_studio.monitor import alerts
from agent_studio.monitor.alert import FIRING
from agent_studio.monitor.rules import is_watched
from agent_studio.release import condition, gate
from agent_studio.release.condition import RECOVER
from agent_studio.release.evidence import PASS
from agent_studio.release.production import whose
from agent_studio.release.production.sides import SOURCE
from agent_studio.release.standing import standing
from agent_studio.staging.suite import last_evidence

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.dispatch import Session
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.release.standing import Standing


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `status`: there are none of its own."""


def run(args: argparse.Namespace, session: Session) -> Result:
    """Collect what is known without changing anything; definitions are hashed once."""
    context = session.context
    found = standing(context.project)
    past = history(context.root)
    states = {flag: evaluate(context.config, past, flag).value for flag in context.config.flags}
    target = context.config["release.target"]
    evidence = last_evidence(context.root)
    data: dict[str, Any] = {
        "environment": str(context.environment),
        "source": context.choice.source,
        "project": str(context.project.path),
        "root": str(context.root.path),
        "initialised": _initialised(context),
        "separation": "target" if target else "none",
        "configFiles": [context.project.shown(name) for name in context.config.files],
        "flags": states,
        "indexRows": _rows(context),
        "tests": _tests(evidence),
        "release": _release(found),
        "candidate": _candidate(found),
        "burnin": _burnin(found),
        "alerts": _alerts(context),
        "productionOf": _owner(context.project),
        "recovery": _recovery(context.project, session.variables),
    }
    problems = [Problem(error.code, error.message, error.hint, is_note=True) for error in found.faults]
    return Result(data, lambda screen: _render(screen, data, context, found), problems=problems)


def _owner(project: Project) -> str | None:
    """Return the project whose production this one is; a note that is damaged is told under `recovery`."""
    with suppress(AgentStudioError):
        held = whose.read(project)
        return str(held.project.path) if held else None
    return None


def _recovery(project: Project, variables: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what of releases is interrupted, damaged or unproven, and what mends it."""
    return [
        {"code": one.code, "message": one.message, "fix": one.fix}
        for one in condition.checks(project, variables)
        if one.severity in {Severity.WARNING, Severity.ERROR}
    ]


def _release(found: Standing) -> dict[str, Any] | None:
    live = found.release
    return live and {"release": live.release, "time": live.time, "healthy": live.healthy}


def _candidate(found: Standing) -> dict[str, Any] | None:
    if not found.candidate:
        return None
    verdicts = {kind: one.verdict for kind, one in found.evidence.items()}
    return {
        "candidate": found.candidate, "evidence": verdicts, "passed": found.passed, "required": len(gate.REQUIRED),
    }  # fmt: skip


def _burnin(found: Standing) -> dict[str, Any] | None:
    one = found.evidence.get("burnin")
    return one and {"candidate": one.candidate, "verdict": one.verdict, "reason": one.data.get("reason")}


def _initialised(context: Context) -> bool:
    return all(context.root.folder(kind).has_folder() for kind in KINDS)


def _rows(context: Context) -> int | None:
    folder, name = context.root.reads("knowledge", INDEX_FILE)
    return len(table.load(context.root)) if folder.status(name) else None


def _tests(evidence: dict[str, Any] | None) -> dict[str, Any] | None:
    names = ("verdict", "passed", "failed", "skipped", "startedAt", "candidate")
    return {name: evidence.get(name) for name in names} if evidence else None


def _alerts(context: Context) -> dict[str, Any] | None:
    """Return how many alerts there are, by what was known at the last look; None where nothing is watched."""
    if not is_watched(context):
        return None
    found = alerts.current(context)
    return {"open": sum(one.is_open for one in found), "firing": sum(one.state == FIRING for one in found)}


def _render(screen: Screen, data: dict[str, Any], context: Context, found: Standing) -> None:
    flags, tests = data["flags"], data["tests"]
    off = [name for name, on in flags.items() if not on]
    ran = (
        f"{tests['verdict']}, {tests['passed']} passed, {tests['failed']} failed ({tests['startedAt']})"
        if tests
        else ""
    )
    facts = {
        "Environment": f"{data['environment']} (chosen by {data['source']})",
        "Project": data["project"],
        "Data root": data["root"] + ("" if data["initialised"] else " (not initialised)"),
        "Configuration": ", ".join(data["configFiles"]) or "built-in defaults",
        "Features": f"{len(flags) - len(off)} of {len(flags)} on" + (f"; off: {', '.join(off)}" if off else ""),
        "Limits": _limits(context),
        "Knowledge base": "no index" if data["indexRows"] is None else f"{data['indexRows']} rows",
        "Alerts": _said(data["alerts"]),
        "Full suite": ran or "not run yet",
        "Separation": _separation(data["separation"], context),
        "Release": _live(found),
        "Candidate": _gathered(found),
        "Burn-in": f"{data['burnin']['verdict']}: {data['burnin']['reason']}" if data["burnin"] else "not started",
    }
    if data["productionOf"]:
        facts["Production of"] = data["productionOf"]
    if data["recovery"]:
        facts["Recovery"] = "; ".join(one["message"] for one in data["recovery"])
    width = max(map(len, facts))
    for name, value in facts.items():
        screen.line(f"{name:<{width}}  {value}")
    screen.line(f"\nNext: agent-studio {_next_step(data, found)}")
    screen.line(f"Unsure? agent-studio doctor --env {data['environment']} looks for what is wrong.")


def _next_step(data: dict[str, Any], found: Standing) -> str:
    name = data["environment"]
    if any(one["fix"] == RECOVER for one in data["recovery"]):
        return "recover"
    if not data["initialised"]:
        return f"init --env {name}"
    if name == SOURCE and found.candidate:
        return found.next_step
    passed = data["tests"] and data["tests"]["verdict"] == "PASS"
    return f"{'smoke' if passed else 'test'} --env {name}"


def _live(found: Standing) -> str:
    live = found.release
    if live is None:
        return "nothing was promoted yet"
    health = {True: "healthy", False: "not healthy", None: "not proven yet"}[live.healthy]
    return f"{live.release[:12]} is live in production since {live.time}, {health}"


def _gathered(found: Standing) -> str:
    if not found.candidate:
        return "not known"
    bad = [
        f"{kind} {one.verdict if one.verdict != PASS else 'stale'}"
        for kind, one in found.evidence.items()
        if one.verdict != PASS or kind in found.stale
    ]
    more = f"; {', '.join(bad)}" if bad else ""
    return f"{found.candidate[:12]}: {found.passed} of {len(gate.REQUIRED)} kinds of evidence pass{more}"


def _limits(context: Context) -> str:
    names = ("hookExecutionTimeMs", "hookFailureRate", "agentFailureRate", "errorRatePerHour", "tokenBudgetPerDay")
    values = [context.config[f"monitoring.thresholds.{name}"] for name in names]
    if values == [None] * len(values):
        return "none (alerts are off)"
    texts = (
        "hooks {:g} ms",
        "hook failures {:g} %",
        "agent failures {:g} %",
        "{:g} errors an hour",
        "{:,} tokens a day",
    )
    shown = [text.format(value) for text, value in zip(texts, values, strict=True) if value is not None]
    return ", ".join(shown) + ("" if len(shown) == len(values) else "; the rest unlimited")


def _said(alerts: dict[str, Any] | None) -> str:
    if alerts is None:
        return "not watched"
    more = alerts["firing"] - alerts["open"]
    rest = f"; {more} acknowledged or silenced" if more else ""
    return (f"{alerts['open']} open (agent-studio alerts list)" if alerts["open"] else "none open") + rest


def _separation(separation: str, context: Context) -> str:
    if owner := whose.owner(context.project):
        return f"this is the production of {owner.path}"
    if separation == "none":
        return "none: this checkout holds the definitions of staging and production alike"
    return f"production's definitions are in {context.config['release.target']}"
