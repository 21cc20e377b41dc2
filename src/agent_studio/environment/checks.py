"""Findings about the chosen environment, its configuration and the drift between environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.compare import differences
from agent_studio.environment.config import BASE_FILE, MissingStagingFileError, inspect
from agent_studio.environment.context import placed_root
from agent_studio.environment.detect import VARIABLE, Environment
from agent_studio.environment.findings import Finding, Severity, per_shell
from agent_studio.environment.flag_journal import history
from agent_studio.environment.flags import evaluate
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.detect import Choice
    from agent_studio.environment.roots import Project


def checks(
    project: Project, choice: Choice, variables: Mapping[str, str], overrides: list[str], context: Context | None
) -> Iterator[Finding]:
    """Yield findings; `context` is None when the configuration could not be loaded."""
    yield from _detection(project, choice, variables)
    yield from _configuration(project, choice, variables, overrides)
    if context:
        yield from _features(context)
        yield from _drift(project)
        yield from _development_root(context)


def _detection(project: Project, choice: Choice, variables: Mapping[str, str]) -> Iterator[Finding]:
    chosen = f"{choice.environment}, chosen by {choice.source}, in {project.path}"
    if choice.source == "default":
        yield Finding(
            "environment-detection", Severity.INFO, f"{VARIABLE} is not set: {chosen}", per_shell(VARIABLE, "staging")
        )
    else:
        yield Finding("environment-detection", Severity.OK, chosen)
    node = variables.get("NODE_ENV", "")
    if node.lower() in set(Environment) - {choice.environment} and not (
        node == "production" and choice.source != "default"
    ):
        yield Finding(
            "node-env", Severity.WARNING,
            f"NODE_ENV={node} does not choose the environment, which is {choice.environment}",
            per_shell(VARIABLE, node.lower()),
        )  # fmt: skip


def _configuration(
    project: Project, choice: Choice, variables: Mapping[str, str], overrides: list[str]
) -> Iterator[Finding]:
    config, problems = inspect(project, choice.environment, variables, overrides)
    try:
        placed_root(project, config)
    except ConfigurationError as error:
        problems.append(error)
    for problem in problems:
        missing = isinstance(problem, MissingStagingFileError)
        code = "configuration-missing" if missing else "configuration"
        yield Finding(code, Severity.ERROR, problem.message, problem.hint, by_init=missing)
    for notice in config.warnings:
        yield Finding("configuration-notice", Severity.INFO, notice.message, notice.hint)
    if not problems:
        read = " then ".join(project.shown(name) for name in config.files) or "built-in defaults only"
        severity = Severity.OK if config.files else Severity.INFO
        fix = (
            "" if config.files else f"agent-studio init --env {choice.environment}  (writes {project.shown(BASE_FILE)})"
        )
        yield Finding("configuration", severity, f"loaded: {read}", fix)


def _features(context: Context) -> Iterator[Finding]:
    past = history(context.root)
    off = []
    for flag in context.config.flags:
        state = evaluate(context.config, past, flag)
        if not state.value:
            off.append(f"{flag}: {state.detail}")
    if off and context.environment is Environment.STAGING:
        for text in off:
            flag = text.partition(":")[0]
            killed = flag in past.kills
            verb = f"flags kill {flag} --lift" if killed else f"flags set {flag} --on"
            fix = f'agent-studio {verb} --env staging --reason "..."'
            yield Finding("feature-off", Severity.WARNING, f"off in staging: {text}", fix)
    else:
        on = len(context.config.flags) - len(off)
        shown = f"{on} of {len(context.config.flags)} features on" + (f"; off: {'; '.join(off)}" if off else "")
        yield Finding("features", Severity.OK, shown)
    if past.damaged_lines:
        yield Finding("flag-journal", Severity.WARNING, f"{past.damaged_lines} damaged lines in the flag journal")


def _drift(project: Project) -> Iterator[Finding]:
    staging, staging_problems = inspect(project, Environment.STAGING, {})
    production, production_problems = inspect(project, Environment.PRODUCTION, {})
    if staging_problems or production_problems:
        return
    drift = [item for item in differences(staging, production) if not item.expected]
    if not drift:
        yield Finding("drift", Severity.OK, "staging differs from production only where it should")
    for item in drift:
        yield Finding(
            "drift", Severity.INFO,
            f"{item.key} is {_told(item.a)} in staging and {_told(item.b)} in production",
            "agent-studio config diff staging production",
        )  # fmt: skip


def _told(value: object) -> str:
    return "not set" if value is None else repr(value)


def _development_root(context: Context) -> Iterator[Finding]:
    if context.environment is Environment.DEVELOPMENT and not context.config["environments.development.root"]:
        yield Finding(
            "shared-root", Severity.INFO, "development and production share .claude/ as their data root",
            f"in .claude/{BASE_FILE} write environments: {{development: {{root: .claude/development}}}}",
        )  # fmt: skip
