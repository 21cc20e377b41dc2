"""`kb search --batch`: many questions on stdin, one JSON object a line for each, in their order."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import filters, search
from agent_studio.cli.output import Result, announce
from agent_studio.errors import UsageError
from agent_studio.knowledge.answers import COMPLEXITIES, DOMAINS
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    from agent_studio.cli.dispatch import Session
    from agent_studio.knowledge.answers import Query

_TEXTS = ("domain", "complexity", "source")
_LISTS = ("tags", "tools")
_FLAGS = ("deprecated", "explain", "include_test")
_KEYS = frozenset(("id", "query", "limit", *_TEXTS, *_LISTS, *_FLAGS))


def run(default: Query, session: Session) -> Result:
    """Answer each line; a line that is no question is answered by what is wrong with it."""
    with knowledge(session.context) as base:
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            given = read(line)
            try:
                answer: dict[str, Any] = search.told(base.search(asked(given, default)))
            except UsageError as error:
                said = given.get("query") if isinstance(given, dict) else given
                query = said if isinstance(said, str) else None
                answer = {"query": query, "hits": [], "didYouMean": None, "error": error.message}
            if isinstance(given, dict) and given.get("id") is not None:
                answer = {"id": given["id"], **answer}
            if not announce(json.dumps(answer)):
                break
    return Result({}, lambda _: None, problems=filters.noted(base), is_told=True)


def read(line: bytes) -> Any:
    """Return what a line holds: JSON, or a text as it stands; None where it is neither."""
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None if text[:1] in "{[" else text


def asked(given: Any, default: Query) -> Query:
    """Return the question of a line; what it does not say is as in `default`. Raises `UsageError`."""
    if given is None:
        raise UsageError("this line is neither JSON nor a text in UTF-8")
    if isinstance(given, str):
        given = {"query": given}
    if not isinstance(given, dict) or not isinstance(given.get("query"), str):
        raise UsageError('a line is a text, or an object with a text under "query"')
    if not given["query"].strip():
        raise UsageError("nothing to search for")
    if unknown := sorted(given.keys() - _KEYS):
        raise UsageError(f"{unknown[0]!r} is no key of a question: {', '.join(sorted(_KEYS))}")
    changed: dict[str, Any] = {"text": given["query"]}
    for names, fits in ((_TEXTS, _is_text), (_LISTS, _is_list), (_FLAGS, _is_flag)):
        for name in names:
            if given.get(name) is not None:
                if not fits(given[name]):
                    raise UsageError(f"{name}: {given[name]!r} is not of its kind")
                changed[name] = tuple(given[name]) if names is _LISTS else given[name]
    _check(changed, given.get("limit", default.limit))
    return default._replace(**changed, limit=given.get("limit", default.limit))


def _check(changed: dict[str, Any], limit: Any) -> None:
    if "complexity" in changed:
        changed["complexity"] = changed["complexity"].upper()
    for name, valid in (("domain", DOMAINS), ("complexity", COMPLEXITIES)):
        if name in changed and changed[name] not in valid:
            raise UsageError(f"{name}: {changed[name]!r} is none of {', '.join(valid)}")
    if type(limit) is not int or not 1 <= limit <= search.LIMIT_MAX:
        raise UsageError(f"limit: {limit!r} is not from 1 to {search.LIMIT_MAX}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)
