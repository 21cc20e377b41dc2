"""Findings about an environment's data: what is missing, open to others, foreign, or failing."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.capture.wiring.settings import LOCAL, read
from agent_studio.environment.detect import DEFINITIONS, Environment
from agent_studio.environment.findings import Finding, Severity
from agent_studio.environment.roots import INDEX_FILE, LOGS, MEMORY_FILES, ORIGINAL_METRICS, SHARED_ROOT
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError, ConfigurationError
from agent_studio.isolation import repository
from agent_studio.memory import importing
from agent_studio.staging import seed
from agent_studio.staging.rights import open_to_others
from agent_studio.staging.suite import last_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project


def checks(context: Context) -> Iterator[Finding]:
    """Yield findings about the data of one environment."""
    try:
        yield from _directories(context)
        yield from _files(context)
        yield from _rights(context)
    except AgentStudioError as error:
        yield Finding("data", Severity.ERROR, error.message, error.hint)
    yield from _suite(context)
    yield from _original(context)


def committed(project: Project) -> Iterator[Finding]:
    """Yield a finding where git would carry this machine's wiring to others: an ignored file can be tracked."""
    name = project.shown(LOCAL)
    with suppress(ConfigurationError):  # said by the findings about the wiring
        if read(project, LOCAL).ours() and repository.tracked(project.path, name):
            message = (
                f"git tracks {name}, whose hooks name this machine's recorder: on another, each of them would fail"
            )
            fix = f"git rm --cached {name} (the file stays), or agent-studio hooks install --shared"
            yield Finding("hooks-committed", Severity.WARNING, message, fix)


def _init(context: Context) -> str:
    return f"agent-studio init --env {context.environment}"


def _directories(context: Context) -> Iterator[Finding]:
    root = context.root
    missing = [kind for kind in KINDS if not root.folder(kind).has_folder()]
    if not missing:
        yield Finding("directories", Severity.OK, f"all {len(KINDS)} data folders are in {root.root}/")
        return
    severity = Severity.WARNING if context.environment is Environment.STAGING else Severity.INFO

    folders = ", ".join(root.kinds[kind] for kind in missing)
    yield Finding("directories-missing", severity, f"missing: {folders}", _init(context), by_init=True)


def _files(context: Context) -> Iterator[Finding]:
    root = context.root
    expected = [("knowledge", INDEX_FILE), *((kind, name) for kind, name, _ in seed.files(context.config))]
    missing = []
    for kind, name in expected:
        folder, stored = root.reads(kind, name)
        if folder.status(stored) is None:
            missing.append(f"{kind}/{name}")
    if missing and any(root.folder(kind).has_folder() for kind in KINDS):
        severity = Severity.WARNING if context.environment is Environment.STAGING else Severity.INFO
        yield Finding("files-missing", severity, f"missing in {root.root}/: {', '.join(missing)}", _init(context), True)


def _rights(context: Context) -> Iterator[Finding]:
    """Files of staging, and logs and memory of the others, are for their owner alone."""
    if os.name == "nt":
        return
    for kind in KINDS:
        folder = context.root.folder(kind)
        loose = open_to_others(folder)
        if not loose or (context.environment is not Environment.STAGING and kind not in {*LOGS, "memory"}):
            continue
        yield Finding(
            "rights", Severity.WARNING if context.environment is Environment.STAGING else Severity.INFO,
            f"{len(loose)} in {context.root.kinds[kind]}/ can be read by other users, {loose[0] or 'the folder'} first",
            f"chmod -R go= {folder.path}", context.environment is Environment.STAGING,
        )  # fmt: skip


def _suite(context: Context) -> Iterator[Finding]:
    evidence = last_evidence(context.root)
    command = f"agent-studio test --env {context.environment}"
    if evidence is None:
        yield Finding("tests", Severity.INFO, f"the full suite was not run in {context.environment} yet", command)
        return
    when, verdict = evidence.get("startedAt"), evidence.get("verdict")
    severity = Severity.OK if verdict == "PASS" else Severity.WARNING
    failures = ", ".join(map(str, (evidence.get("regressions") or evidence.get("failedNames") or [])[:5]))
    detail = f" ({failures})" if failures else ""
    yield Finding(
        "tests", severity, f"the last run ({when}) ended {verdict}{detail}", "" if verdict == "PASS" else command
    )


def _original(context: Context) -> Iterator[Finding]:
    """Files of the original Agent Studio, and what becomes of each."""
    root, env = context.root, context.environment
    memory, later = root.kinds["memory"], "there to be taken over; it stays as it is"
    found = [
        *((place, "left alone; figures begin with what is recorded from now on", "") for place in ORIGINAL_METRICS),
        (root.original_name("metrics", "llm-usage.log"), later, f"cost import --env {env}"),
        *((root.original_name("memory", name), f"read beside {memory}/{name}", "") for name in MEMORY_FILES),
        (root.original_name("knowledge", INDEX_FILE), "read while there is no index of ours", ""),
        *((place, later, f"memory import --env {env}") for place in importing.places(root.project)),
    ]
    if root.root != SHARED_ROOT:
        found = [(place, f"not read: {root.root}/ is apart", "") for place, _, _ in found]
    for place, becomes, command in found:
        if place and root.project.folder.status(f"{DEFINITIONS}/{place}"):
            fix = f"agent-studio {command}" if command else ""
            yield Finding("original-format", Severity.INFO, f"{DEFINITIONS}/{place} is {becomes}", fix)
