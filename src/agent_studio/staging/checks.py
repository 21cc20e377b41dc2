"""Smoke checks of the environment itself: detection, configuration, files, limits, knowledge base.

A check gets a `Subject`, returns a short finding, and raises `Failed` or `Skipped`. None leaves a trace.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.environment import flags
from agent_studio.environment.config import file_name
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment, choose_environment
from agent_studio.environment.flag_journal import history
from agent_studio.environment.roots import EVOLUTION_FILE, INDEX_FILE, LOGS, MEMORY_FILES
from agent_studio.environment.schema import KINDS
from agent_studio.errors import UnsafePathError, UsageError
from agent_studio.knowledge import table
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge
from agent_studio.staging.subject import Failed, Skipped

if TYPE_CHECKING:
    from agent_studio.staging.subject import Subject

_WAYS_OUT = (
    "../{name}", "../../{name}", "../../../{name}", "a/../../{name}", "{path}", "~/{name}", "..\\{name}", "./../{name}",
    "C:{name}", "{name}\x00", "con", "{name}::$DATA", "{name}.", "{name} ",
)  # fmt: skip


def environment_detection(subject: Subject) -> str:
    """Every spelling names the same environment, and near misses are refused."""
    for spelling in (subject.environment, subject.environment.upper(), f" {subject.environment.title()} "):
        if choose_environment(None, {"AGENT_STUDIO_ENV": spelling}).environment is not subject.environment:
            raise Failed(f"{spelling!r} was read as another environment")
    with suppress(UsageError):
        choose_environment(None, {"AGENT_STUDIO_ENV": subject.environment[:-1]})
        raise Failed(f"{subject.environment[:-1]!r} was accepted as an environment")
    return f"{subject.environment} (chosen by {subject.choice.source})"


def configuration_exists(subject: Subject) -> str:
    """The files this environment reads are there and sound."""
    read = subject.context.config.files
    if subject.environment is Environment.STAGING and file_name(Environment.STAGING) not in read:
        raise Failed(f"{subject.project.shown(file_name(Environment.STAGING))} was not read")
    if not read:
        raise Failed("no configuration file is there: run agent-studio init")
    return ", ".join(read)


def directories_exist(subject: Subject) -> str:
    """Every data folder is a real folder inside the root."""
    missing = [kind for kind in KINDS if not subject.root.folder(kind).has_folder()]
    if missing:
        raise Failed(f"missing: {', '.join(missing)}")
    return f"{len(KINDS)} folders in {subject.root.root}/"


def logs_initialised(subject: Subject) -> str:
    """Every log is there and can be appended to; nothing is written."""
    count = 0
    for kind, names in LOGS.items():
        for name in names:
            folder, stored = subject.root.reads(kind, name)
            try:
                os.close(folder.open(stored, os.O_WRONLY | os.O_APPEND))
            except FileNotFoundError:
                raise Failed(f"missing: {folder.path / stored}") from None
            count += 1
    return f"{count} logs can be appended to"


def memory_files_exist(subject: Subject) -> str:
    """Every memory file is there and is text."""
    for name in MEMORY_FILES:
        folder, stored = subject.root.reads("memory", name)
        try:
            folder.read(stored).decode("utf-8")
        except FileNotFoundError:
            raise Failed(f"missing: {folder.path / stored}") from None
        except UnicodeDecodeError:
            raise Failed(f"not UTF-8 text: {folder.path / stored}") from None
    return ", ".join(MEMORY_FILES)


def evolution_state_exists(subject: Subject) -> str:
    """The evolution state is there and says which phase it is in."""
    folder = subject.root.folder("context")
    try:
        state = json.loads(folder.read(EVOLUTION_FILE))
    except FileNotFoundError:
        raise Failed(f"missing: {folder.path / EVOLUTION_FILE}") from None
    except ValueError as error:
        raise Failed(f"{folder.path / EVOLUTION_FILE} is not JSON: {error}") from None
    if not isinstance(state, dict) or not {"currentPhase", "state"} & state.keys():
        raise Failed(f"{folder.path / EVOLUTION_FILE} does not say which phase it is in")
    phase = state.get("currentPhase", state.get("state")) or "idle"
    return f"phase {phase}"


def path_resolution(subject: Subject) -> str:
    """No spelling of a way out of a data folder is accepted."""
    tried = 0
    for kind in KINDS:
        for way in _WAYS_OUT:
            path = way.format(name="learnings.md", path=subject.project.definition("config.yaml"))
            with suppress(UnsafePathError):
                subject.root.folder(kind).status(path)
                raise Failed(f"{kind} accepted the path {path!r}")
            tried += 1
    return f"{tried} ways out refused"


def configuration_loader(subject: Subject) -> str:
    """What this environment's own file says wins over the shared one."""
    config = subject.context.config
    own = file_name(subject.environment)
    wins = [name for name, layers in config.layers.items() if layers[-1].source == own]
    if subject.environment is Environment.STAGING and not wins:
        raise Failed(f"no value of {own} is in force")
    if config.environment is not subject.environment:
        raise Failed(f"the loader answered for {config.environment}")
    return f"{len(wins)} values in force from {own}" if wins else f"{own} sets nothing; shared values are in force"


def feature_flags(subject: Subject) -> str:
    """Staging: every flag is on. Elsewhere: every flag can be evaluated and says why."""
    past = history(subject.root)
    states = [flags.evaluate(subject.context.config, past, flag) for flag in subject.context.config.flags]
    off = [state for state in states if not state.value]
    if subject.environment is Environment.STAGING and off:
        raise Failed("; ".join(f"{state.flag} is off: {state.detail}" for state in off))
    if not states or any(not state.detail for state in states):
        raise Failed("a flag cannot say why it has its value")
    return f"{len(states) - len(off)} of {len(states)} on"


def thresholds(subject: Subject) -> str:
    """The limits are those of this environment's column."""
    names = ("hookExecutionTimeMs", "agentFailureRate", "errorRatePerHour")
    layers = [subject.context.config.explain(f"monitoring.thresholds.{name}")[-1] for name in names]
    own = [layer.value for layer in layers]
    shown = "unlimited" if own == [None] * 3 else f"{own[0]} ms, {own[1]} %, {own[2]} an hour"
    if subject.environment is Environment.PRODUCTION and None in own:
        raise Failed(f"a limit of production is missing: {shown}")
    if subject.environment is Environment.STAGING:
        choice = Choice(Environment.PRODUCTION, "smoke")
        production = open_context(subject.project, choice, {}).config
        for name, layer in zip(names, layers, strict=True):
            strict = production[f"monitoring.thresholds.{name}"]
            is_written = layer.source != "rule"  # twice nothing is nothing, and no rate is over 100 per cent
            if layer.value is None or (is_written and strict is not None and layer.value <= strict):
                raise Failed(f"{name} is {layer.value}, not more lenient than production's {strict}")
    return shown


def knowledge_base_answers(subject: Subject) -> str:
    """A search for an artifact's own name finds it first."""
    try:
        rows = table.load(subject.root)
    except FileNotFoundError:
        raise Failed(f"missing: {subject.root.folder('knowledge').path / INDEX_FILE}") from None
    if not rows:
        raise Skipped("the index has no rows: the project has no artifacts yet")
    with knowledge(subject.context, writes=False) as base:
        real = base.list(limit=1)
        wanted = real[0].name if real else rows[0]["name"]
        hits = base.search(Query(wanted, limit=1, include_test=not real)).hits
    if wanted not in {hit.entry.name for hit in hits}:
        raise Failed(f"a search for {wanted!r} did not find it first")
    return f"{len(rows)} rows; {wanted!r} found first"
