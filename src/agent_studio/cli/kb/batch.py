"""`kb search --batch`: many questions on stdin, one JSON object a line for each, in their order."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import search
from agent_studio.cli.output import Problem, Result, announce
from agent_studio.errors import UsageError
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    from agent_studio.cli.dispatch import Session
    from agent_studio.knowledge.answers import Query

_TEXTS = ("domain", "complexity", "source")
_LISTS = ("tags", "tools")
_FLAGS = ("deprecated", "explain", "include_test")


def run(default: Query, session: Session) -> Result:
    """Answer each line; a line that is no question is answered by what is wrong with it."""
    with knowledge(session.context) as base:
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            unique = None
            try:
                unique, query = asked(line, default)
                answer: dict[str, Any] = search.told(base.search(query))
            except (UsageError, UnicodeDecodeError) as error:
                answer = {"hits": [], "error": getattr(error, "message", "not UTF-8")}
            if unique is not None:
                answer = {"id": unique, **answer}
            if not announce(json.dumps(answer)):
                break
    return Result({}, lambda _: None, problems=[Problem(*note) for note in base.notes], is_told=True)


def asked(line: bytes, default: Query) -> tuple[Any, Query]:
    """Return the id (None without one) and the question of a line; what it does not say is as in `default`."""
    text = line.decode("utf-8").strip()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        if text[:1] in "{[":
            raise UsageError("this line is no JSON") from None
        given = text
    if isinstance(given, str):
        return None, default._replace(text=given)
    if not isinstance(given, dict) or not isinstance(given.get("query"), str):
        raise UsageError('a line is a text, or an object with a text under "query"')
    changed: dict[str, Any] = {"text": given["query"]}
    for names, fits in ((_TEXTS, _is_text), (_LISTS, _is_list), (_FLAGS, _is_flag)):
        for name in names:
            if given.get(name) is not None:
                if not fits(given[name]):
                    raise UsageError(f"{name}: {given[name]!r} is not of its kind")
                changed[name] = tuple(given[name]) if names is _LISTS else given[name]
    limit = given.get("limit", default.limit)
    if type(limit) is not int or not 1 <= limit <= search.LIMIT_MAX:
        raise UsageError(f"limit: {limit!r} is not from 1 to {search.LIMIT_MAX}")
    return given.get("id"), default._replace(**changed, limit=limit)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)
