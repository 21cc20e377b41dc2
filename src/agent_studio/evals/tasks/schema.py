"""What a task file may hold, as a JSON Schema: editors complete by it, and every file is checked by it."""

from __future__ import annotations

from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_PATTERN: dict[str, Any] = {**_TEXT, "format": "regex"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT, "minItems": 1}
_PATH: dict[str, Any] = {"type": "string", "pattern": r"^(?!/)(?!.*(^|/)\.\.(/|$)).+$"}
_YES: dict[str, Any] = {"type": "boolean"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_SECONDS: dict[str, Any] = {"type": "number", "minimum": 1, "maximum": 86_400}


def _closed(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _some(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping that says something: without a key a check could not fail."""
    return {**_closed((), **properties), "minProperties": 1}


def _check(doc: str, kind: str, form: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    name = {**_TEXT, "description": "How reports call it."}
    keeps = {**_YES, "description": "It holds at the start as well, and must go on to hold: not vacuous."}
    return {**_closed((kind,), **{kind: form}, name=name, keeps=keeps, **more), "description": doc}


_EXIT = {"type": "integer", "minimum": 0, "maximum": 255, "default": 0}
CHECKS: dict[str, dict[str, Any]] = {
    "command": _check(
        "A command that ends with an exit code; text runs in `sh`, a list without a shell.",
        "command", {"anyOf": [_TEXT, _TEXTS]}, exit=_EXIT, prints=_PATTERN, seconds=_SECONDS,
    ),
    "file": _check(
        "A file that is there or not, and what it holds.",
        "file", _PATH, exists=_YES, matches=_PATTERN, lacks=_PATTERN,
    ),
    "json": _check(
        "A value in a JSON file, by a path such as `items[0].name`.",
        "json", _PATH, at=_TEXT, equals={}, matches=_PATTERN,
    ),
    "diff": _check(
        "What may have changed: files by pattern, and how many.",
        "diff", _some(only=_TEXTS, changed=_TEXTS, files=_COUNT, lines=_COUNT),
    ),
    "pytest": _check(
        "Tests that pass, counted; none passed is a failure.",
        "pytest", {"anyOf": [_TEXT, _TEXTS]}, passed={**_COUNT, "minimum": 1}, seconds=_SECONDS,
    ),
    "junit": _check("A JUnit file without failures.", "junit", _PATH, passed={**_COUNT, "minimum": 1}),
    "answer": _check("What the agent said last.", "answer", _some(matches=_PATTERN, lacks=_PATTERN)),
    "tool": _check(
        "Whether a tool was used; `input` is matched against its input as JSON.",
        "tool", _TEXT, used=_YES, input=_PATTERN, refused=_YES,
    ),
    "agent": _check("Whether a sub-agent was started.", "agent", _TEXT, started=_YES),
    "skill": _check("Whether a skill was used.", "skill", _TEXT, used=_YES),
    "tools": _check("The only tools that may be used.", "tools", _TEXTS),
    "blocked": _check("How many calls may be blocked or refused.", "blocked", _COUNT),
    "hook": _check("Whether hooks of an event ran.", "hook", _TEXT, ran=_YES, blocks=_YES),
    "loaded": _check(
        "Definitions that the client has to know of.",
        "loaded", _some(agents=_TEXTS, skills=_TEXTS, tools=_TEXTS),
    ),
    "atMost": _check(
        "What an attempt may use.",
        "atMost",
        _some(tokens=_COUNT, usd={"type": "number", "minimum": 0}, turns=_COUNT, seconds=_SECONDS),
    ),
    "judge": _check(
        "The last resort: a model that sees both sides' work without their names, in both orders.",
        "judge", _TEXT, model=_TEXT, files=_TEXTS,
    ),
}  # fmt: skip
"""Kinds of check, each with the schema of its mapping."""

TASK: dict[str, Any] = _closed(
    ("checks",),
    id={"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,79}$", "description": "Default: the file's name."},
    description=_TEXT,
    prompt={**_TEXT, "description": "What the agent is told."},
    promptFile={**_PATH, "description": "The same in a file beside this one."},
    start={
        **_closed(
            folder=_PATH, ref=_TEXT, empty=_YES,
            files={"type": "object", "propertyNames": _PATH, "additionalProperties": {"type": "string"}},
            share={**_TEXTS, "items": _PATH},
        ),
        "description": "Starting files; without it the working checkout's. `files` come on top; `share` is read-only.",
    },
    agent={**_TEXT, "description": "The agent that the session runs as."},
    skill={**_TEXT, "description": "The skill that the prompt invokes."},
    model=_TEXT,
    permissionMode={"type": "string", "enum": ["acceptEdits", "default", "plan", "dontAsk", "bypassPermissions"]},
    allowedTools=_TEXTS,
    limits=_closed(
        seconds=_SECONDS, turns={"type": "integer", "minimum": 1}, usd={"type": "number", "minimum": 0.001}
    ),
    repeats={"type": "integer", "minimum": 1, "maximum": 1_000},
    tags={"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$"}},
    checks={"type": "array", "items": {"anyOf": list(CHECKS.values())}, "minItems": 1},
)  # fmt: skip


def json_schema() -> dict[str, Any]:
    """Return the schema of one file of `.claude/evals/`: a task, or a list of tasks under `tasks`."""
    several = _closed(("tasks",), tasks={"type": "array", "items": {"$ref": "#/$defs/task"}, "minItems": 1})
    return {
        "$schema": DIALECT,
        "title": "Agent Studio eval tasks",
        "$defs": {"task": TASK},
        "anyOf": [{"$ref": "#/$defs/task"}, several],
    }
