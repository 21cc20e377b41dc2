"""The project's own full suite, run in an environment with a data root of its own, counted and kept as evidence.

Evidence is `.agent-studio/<environment>/tests/<time>-<id>.json` with the redacted output in the `.log` beside it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.context import Context, other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import STAGING_ROOT, STATE
from agent_studio.errors import AgentStudioError
from agent_studio.redaction import redact
from agent_studio.redaction.structure import redacted_json
from agent_studio.staging import runners
from agent_studio.staging.counting import Counts, Report, combine, read_junit
from agent_studio.staging.scratch import changed, child_variables, fingerprint, scratch_root
from agent_studio.staging.suite_output import SuiteOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.staging.runners import Chosen
    from agent_studio.storage.folder import Folder

SCHEMA = "agent-studio/test-evidence/1"
FOLDER = "tests"
PROGRAM_MISSING = "program-missing"
_GIT_TIMEOUT_S = 30


class Verdict(StrEnum):
    """What a run of the suite proves."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT"


@dataclass(frozen=True)
class Note:
    """Something about a run that deserves attention."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one run showed."""

    evidence: dict[str, Any]
    """The evidence file's object."""
    place: str
    """The evidence file, from the project's root."""
    notes: tuple[Note, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return Verdict(self.evidence["verdict"])


@dataclass(frozen=True)
class Finished:
    """How the suite's process ended and what it said."""

    code: int
    report: Report
    duration_ms: int
    missing: str
    """Which program was not there, in words; empty where tests were counted."""


def run_suite(
    context: Context, chosen: Chosen, variables: Mapping[str, str], *, candidate: str | None,
    echo: Callable[[str], None],
) -> Outcome:  # fmt: skip
    """Run the suite and keep its evidence; raise `UsageError` when its program cannot be started.

    `variables` is the environment the suite inherits; `candidate` the hash of the definitions it runs against, None
    when it is not known; `echo` gets the output as it comes.
    """
    started = clock.now()
    run_id = f"{clock.file_stamp(started)}-{secrets.token_hex(4)}"
    command = runners.startable(context.project.path, chosen.command, variables)
    revision = _revision(context.project)
    roots = [context.root, *other_roots(context.project, context.environment)]
    before = fingerprint(roots)
    finished = _execute(context, command, variables, run_id, echo)
    notes = list(_notes(finished, changed(context.project, before, fingerprint(roots))))
    verdict, report = _judge(finished)
    evidence: dict[str, Any] = {
        "schema": SCHEMA,
        "environment": str(context.environment),
        "command": redact(shlex.join(chosen.command)),
        "source": chosen.source,
        "verdict": str(verdict),
        **(report.counts._asdict() if report.counts else dict.fromkeys(Counts._fields)),
        "exitCode": finished.code,
        "regressions": [],
        "failedNames": report.named("failed"),
        "passedNames": report.named("passed"),
        "durationMs": finished.duration_ms,
        "startedAt": clock.timestamp(started),
        **revision,
        "candidate": candidate,
    }
    if verdict is Verdict.FAIL:
        evidence["regressions"], regression_notes = regressions(context.project, evidence)
        notes += regression_notes
    text = redacted_json(evidence, ensure_ascii=False, indent=1)
    context.root.state.replace(f"{FOLDER}/{run_id}.json", text.encode("utf-8", "backslashreplace"))
    return Outcome(json.loads(text), f"{STATE}/{context.environment}/{FOLDER}/{run_id}.json", tuple(notes))


def _execute(
    context: Context, command: list[str], variables: Mapping[str, str], run_id: str, echo: Callable[[str], None]
) -> Finished:
    """Run in a scratch data root, the log beside the evidence; an interrupted run leaves neither."""
    state = context.root.state
    state.make(FOLDER)
    log_name, place = f"{FOLDER}/{run_id}.log", f"suite/{run_id}"
    try:
        with (
            scratch_root(context.root, place) as scratch,
            os.fdopen(state.open(log_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as log,
        ):
            output = SuiteOutput(log, echo)
            junit = scratch.path / "junit.xml"
            began = time.monotonic()
            child = child_variables(variables, context.root, place, junit)
            code = runners.run(command, context.project.path, child, output.take)
            duration_ms = round((time.monotonic() - began) * 1000)
            output.finish()
            said = combine(output.counter.report(), read_junit(junit))
    except BaseException:
        if state.status(log_name):
            state.remove(log_name)
        raise
    missing = "" if said.counts and any(said.counts) else output.missing.said(code)
    return Finished(code, said, duration_ms, missing)


def _judge(finished: Finished) -> tuple[Verdict, Report]:
    """Return the verdict and the report; without a failure, names that only looked like failures are dropped."""
    counts = finished.report.counts
    if not finished.missing and (finished.code or (counts and counts.failed)):
        return Verdict.FAIL, finished.report
    names = {name: outcome for name, outcome in finished.report.names.items() if outcome == "passed"}
    verdict = Verdict.PASS if counts and counts.passed else Verdict.INSUFFICIENT
    return verdict, replace(finished.report, names=names)


def _notes(finished: Finished, changed_files: str) -> Iterator[Note]:
    code = finished.code
    if finished.missing:
        hint = "install it, or name another suite: agent-studio test -- CMD"
        yield Note(PROGRAM_MISSING, finished.missing, hint)
    if code < 0:
        known = {number.value: number.name for number in signal.Signals}
        yield Note("killed", f"the suite was ended by {known.get(-code, f'signal {-code}')}")
    if changed_files:
        yield Note(
            "data-changed",
            f"the suite changed data outside its scratch root: {changed_files}",
            "unless a live session wrote there meanwhile, make the suite write below AGENT_STUDIO_PATHS__*",
        )


def _revision(project: Project) -> dict[str, Any]:
    """Return git's HEAD and whether the checkout differs from it, our own data aside; None where unknown."""
    head = _git(project, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return {"commit": None, "dirty": None}
    apart = (f":(exclude){STATE}", f":(exclude){STAGING_ROOT}")
    status = _git(project, "--no-optional-locks", "status", "--porcelain", "--", ":(top)", *apart)
    return {"commit": head.strip(), "dirty": None if status is None else bool(status)}


def _git(project: Project, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=project.path, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def regressions(project: Project, evidence: Mapping[str, Any]) -> tuple[list[str], list[Note]]:
    """Return the failures that passed in the newest green run of the same command, in any environment."""
    green = _last_green(project, str(evidence["command"]))
    failed = list(evidence["failedNames"])
    if green is None:
        return [], []
    if not failed:
        hint = "the log beside the evidence says more"
        return [], [Note("names-unknown", "the last run was green, but what failed now has no name", hint)]
    passed = set(green.get("passedNames") or ())
    if passed:
        return [name for name in failed if name in passed], []
    return failed, [
        Note("names-unknown", "names were not available in the last green run: every failure counts as a regression")
    ]


def last_evidence(root: EnvironmentRoot) -> dict[str, Any] | None:
    """Return the newest readable evidence of an environment, or None."""
    return next(_kept(root.project, (root.environment,)), None)


def _last_green(project: Project, command: str) -> dict[str, Any] | None:
    wanted = (Verdict.PASS, command)
    return next(
        (kept for kept in _kept(project, Environment) if (kept.get("verdict"), kept.get("command")) == wanted), None
    )


def _kept(project: Project, environments: Iterable[Environment]) -> Iterator[dict[str, Any]]:
    """Yield evidence, newest first; what cannot be read is passed over."""
    found: list[tuple[str, Folder]] = []
    for environment in environments:
        folder = project.state(environment).at(FOLDER)
        if folder.has_folder():
            found += [(name, folder) for name in folder.names() if name.endswith(".json")]
    for name, folder in sorted(found, key=lambda item: item[0], reverse=True):
        try:
            evidence = json.loads(folder.read(name))
        except (ValueError, RecursionError, OSError, AgentStudioError):
            continue
        if isinstance(evidence, dict):
            yield evidence
