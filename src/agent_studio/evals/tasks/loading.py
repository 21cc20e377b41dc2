"""Reads the tasks of a project: every fault with its file, line and what would be right."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import ConfigurationError, UsageError, did_you_mean
from agent_studio.evals.tasks import schema, validating
from agent_studio.evals.tasks.task import Check, Limits, Start, Task
from agent_studio.release import suite
from agent_studio.release.content.manifest import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from agent_studio.environment.config import Config
    from agent_studio.environment.roots import Project
    from agent_studio.release.suite import Written

_OF_SIDES = frozenset(one.casefold() for one in (DEFINITIONS, STATE, ".git", PROJECT_FILE))
_EXPLAINED = "agent-studio eval schema prints what a task may hold; docs: eval-tasks"


def load(project: Project, config: Config) -> list[Task]:
    """Return every task, by id; raise `ConfigurationError` for the first fault of any file."""
    found: dict[str, Task] = {}
    for name in suite.files(project):
        for task in _read(project, name, config):
            if task.id in found:
                raise ConfigurationError(
                    f"{task.file}: the id {task.id!r} is also that of {found[task.id].file}", hint="give it another"
                )
            found[task.id] = task
    return [found[name] for name in sorted(found)]


def select(tasks: Sequence[Task], names: Collection[str] = (), tags: Collection[str] = ()) -> list[Task]:
    """Return the tasks of some names (`*` stands for any text) and with any of some tags; all without either.

    Raises `UsageError` for a name or tag that no task has, and when there is no task at all.
    """
    if not tasks:
        raise UsageError(
            "there is no task to try", hint="agent-studio eval new --starter writes some into .claude/evals/"
        )
    for name in names:
        if not any(fnmatchcase(task.id, name) for task in tasks):
            raise UsageError(f"no task is named {name!r}", hint=did_you_mean(name, [task.id for task in tasks]))
    known = {tag for task in tasks for tag in task.tags}
    for tag in tags:
        if tag not in known:
            raise UsageError(f"no task has the tag {tag!r}", hint=did_you_mean(tag, sorted(known)))
    return [
        task
        for task in tasks
        if (not names or any(fnmatchcase(task.id, name) for name in names))
        and (not tags or set(tags) & set(task.tags))
    ]  # fmt: skip


def _read(project: Project, name: str, config: Config) -> Iterator[Task]:
    for one in suite.written(project, name):
        if "tasks" in one.around:
            form = schema.json_schema()["anyOf"][1] | {"properties": {"tasks": {"type": "array", "minItems": 1}}}
            _check(one.around, form, one.shown, one.lines, ())
        _check(one.value, schema.TASK, one.shown, one.lines, one.path)
        _refuse_contradictions(one)
        yield _task(project, one, config)


def _check(
    value: Any, form: Mapping[str, Any], shown: str, lines: Mapping[validating.Path, int], path: validating.Path
) -> None:
    fault = next(validating.faults(value, form, path), None)
    if fault is None:
        return
    where = ".".join(map(str, fault.path)) or "the task"
    message = f"{shown}:{_line(lines, fault.path)}: {where} {fault.message}"
    if fault.message == "has no checks" or (fault.path[-1:] == ("checks",) and fault.message == "is empty"):
        message = f"{shown}:{_line(lines, path)}: the task has no checks, so it could not fail"
        raise ConfigurationError(message, hint="say under `checks:` what has to hold when it is done")
    raise ConfigurationError(message, hint=fault.hint or _EXPLAINED)


def _refuse_contradictions(one: Written) -> None:
    """Raise `ConfigurationError` for a check of what a file holds that is not to be there."""
    for number, check in enumerate(one.value["checks"]):
        if check.get("exists") is False and (other := next((key for key in ("matches", "lacks") if key in check), "")):
            at = f"{one.shown}:{_line(one.lines, (*one.path, 'checks', number))}"
            raise ConfigurationError(
                f"{at}: checks.{number} has exists: false and {other}: a file that is not there holds nothing",
                hint="leave out one of them",
            )


def _line(lines: Mapping[validating.Path, int], path: validating.Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _task(project: Project, one: Written, config: Config) -> Task:
    value, at = one.value, f"{one.shown}:{_line(one.lines, one.path)}"
    prompt = _prompt(project, value, at)
    limits, start = value.get("limits", {}), value.get("start", {})
    if sum(key in start for key in ("folder", "ref", "empty")) > 1:
        raise ConfigurationError(f"{at}: start names several places", hint="one of folder, ref and empty")
    for path in (*start.get("files", {}), *start.get("share", ())):
        if path.split("/")[0].casefold() in _OF_SIDES:
            raise ConfigurationError(
                f"{at}: start has {path}, which is a side's own or nobody's", hint="both sides bring their definitions"
            )
    task_id = value.get("id", one.name)
    if not re.fullmatch(schema.TASK["properties"]["id"]["pattern"], task_id):
        raise ConfigurationError(f"{at}: {task_id!r} is no id", hint="give it one: id: small-letters-and-dashes")
    return Task(
        id=task_id, file=at, prompt=prompt, description=value.get("description", ""),
        start=Start(
            start.get("folder"), start.get("ref"), bool(start.get("empty")), start.get("files", {}),
            tuple(start.get("share", ())),
        ),
        limits=Limits(
            float(limits.get("seconds", config["evals.attempt.seconds"])),
            int(limits.get("turns", config["evals.attempt.turns"])),
            float(limits.get("usd", config["evals.attempt.usd"])),
        ),
        repeats=int(value.get("repeats", config["evals.repeats"])),
        tags=tuple(value.get("tags", ())),
        checks=tuple(map(_one_check, value["checks"])),
        agent=value.get("agent"), skill=value.get("skill"), model=value.get("model"),
        permission_mode=value.get("permissionMode", "acceptEdits"),
        allowed_tools=tuple(value.get("allowedTools", ())),
        sha256=suite.content(value, prompt),
    )  # fmt: skip


def _prompt(project: Project, value: Mapping[str, Any], at: str) -> str:
    if ("prompt" in value) == ("promptFile" in value):
        raise ConfigurationError(f"{at}: the task needs either prompt or promptFile", hint="prompt: what to do")
    if "prompt" in value:
        return str(value["prompt"])
    try:
        return suite.prompt_file(project, value["promptFile"])
    except (FileNotFoundError, UnicodeDecodeError) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "is not UTF-8"
        raise ConfigurationError(
            f"{at}: {value['promptFile']} {reason}", hint=f"put it into {project.shown(suite.FOLDER)}/"
        ) from None


def _one_check(value: dict[str, Any]) -> Check:
    kind = next(name for name in schema.CHECKS if name in value)
    return Check(kind, str(value.get("name") or _named(kind, value)), value, keeps=bool(value.get("keeps")))


def _named(kind: str, value: Mapping[str, Any]) -> str:
    subject = value[kind]
    text = subject if isinstance(subject, str) else json.dumps(subject, ensure_ascii=False)
    more = ", ".join(
        f"{name} {inner if isinstance(inner, str) else json.dumps(inner)}"
        for name, inner in value.items()
        if name not in {kind, "keeps", "name"}
    )
    return f"{kind} {text}{f': {more}' if more else ''}"[:120]
