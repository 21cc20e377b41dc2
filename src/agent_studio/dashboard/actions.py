"""What can be done from a page: acknowledge an alert, silence a rule for a while."""

from __future__ import annotations

import getpass
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context

_TEXT_MAX = 500
_HOURS_MAX = 24 * 30


def acknowledge(context: Context, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Say that somebody looks after the alert `id`, with a `note`."""
    from agent_studio.monitor import alerts  # noqa: PLC0415 - the ledger comes with it

    alerts.acknowledge(context, _text(wanted, "id"), _who(), _text(wanted, "note", needed=False))
    return {"acknowledged": _text(wanted, "id")}


def silence(context: Context, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Tell nobody of a `rule`, of one `label` or of all together, for some `hours`, and say `why`."""
    hours = wanted.get("hours")
    if not isinstance(hours, int | float) or isinstance(hours, bool) or not 0 < hours <= _HOURS_MAX:
        raise UsageError("hours is no length of time", hint=f"a number up to {_HOURS_MAX}")
    label = _text(wanted, "label", needed=False)
    pattern = _literal(_text(wanted, "rule")) + (f":{_literal(label)}" if label else ":")
    from agent_studio.monitor import alerts  # noqa: PLC0415 - as above

    made = alerts.silence(context, pattern, clock.now() + timedelta(hours=hours), _who(), _text(wanted, "why"))
    return {"silenced": made.pattern, "until": made.until}


ACTIONS: Mapping[str, Callable[[Context, Mapping[str, Any]], dict[str, Any]]] = {
    "acknowledge": acknowledge,
    "silence": silence,
}


def _text(wanted: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = wanted.get(name, "")
    if not isinstance(value, str) or len(value) > _TEXT_MAX or (needed and not value.strip()):
        raise UsageError(f"{name} is {'missing' if not value else 'no short text'}")
    return redact(value.strip())


def _literal(name: str) -> str:
    """Return a pattern that only this name fits, whatever a record has called it."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _who() -> str:
    try:
        return f"{getpass.getuser()}, dashboard"
    except (OSError, KeyError):  # a user without a name
        return "dashboard"
