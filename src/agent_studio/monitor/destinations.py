"""Where alerts are sent, as a project writes it, `monitoring.notify[]`, checked.

Addresses and secrets may stand in variables, so that no file of the repository has to hold them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from agent_studio.errors import ConfigurationError, did_you_mean
from agent_studio.monitor.verdict import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context

KEY = "monitoring.notify"
LOG, WEBHOOK, DESKTOP, APPRISE = "log", "webhook", "desktop", "apprise"
CHANNELS = (LOG, WEBHOOK, DESKTOP, APPRISE)
_COMMON = ("channel", "name", "minSeverity")
_KEYS = {
    LOG: _COMMON,
    WEBHOOK: (*_COMMON, "url", "urlVariable", "secretVariable", "timeoutSeconds"),
    DESKTOP: _COMMON,
    APPRISE: (*_COMMON, "url", "urlVariable"),
}
_TEXTS = ("name", "url", "urlVariable", "secretVariable")
_TIMEOUT_S, _TIMEOUT_MAX_S = 10.0, 60.0
_HINT = "docs/alerts.md shows every key"


class Destination(NamedTuple):
    """One place that alerts are sent to."""

    name: str
    channel: str
    """log, webhook, desktop or apprise."""
    least: str = SEVERITIES[0]
    """The mildest severity that is sent."""
    url: str = ""
    url_variable: str = ""
    """The variable that holds the address, when it is not written."""
    secret_variable: str = ""
    """The variable that holds the secret requests are signed with; empty: they are not."""
    timeout_s: float = _TIMEOUT_S
    """For a whole request."""

    def address(self, variables: Mapping[str, str]) -> str:
        """Return where to send to; raise `ConfigurationError` when the variable is not set or holds no address."""
        if not self.url_variable:
            return self.url
        found = variables.get(self.url_variable, "")
        wrong = "is not set" if not found else _address_fault(found) if self.channel == WEBHOOK else ""
        if wrong:  # what it holds may be a secret, and is not said
            raise ConfigurationError(f"the variable {self.url_variable} {wrong}", hint=f"of {KEY}, {self.name}")
        return found


def destinations(context: Context) -> list[Destination]:
    """Return where an environment's alerts are sent; raise `ConfigurationError` that names the entry which is wrong."""
    found: list[Destination] = []
    for number, entry in enumerate(context.config[KEY] or ()):
        wrong = next(faults(entry), None)
        if wrong is None and any(one.name == _name(entry) for one in found):
            wrong = f"there is one called {_name(entry)!r} already: give it a `name`"
        if wrong is not None:
            raise ConfigurationError(f"{KEY}[{number}]: {wrong}", hint=_HINT)
        found.append(_destination(entry))
    return found


def configuration_faults(context: Context) -> Iterator[ConfigurationError]:
    """Yield what is wrong with where alerts are sent."""
    try:
        destinations(context)
    except ConfigurationError as error:
        yield error


def faults(entry: Any) -> Iterator[str]:
    """Yield what is wrong with an entry, in words."""
    if not hasattr(entry, "keys"):
        yield "write a mapping with `channel`"
        return
    channel = entry.get("channel")
    if channel not in CHANNELS:
        yield f"`channel` is {'missing' if channel is None else repr(channel)}: {did_you_mean(str(channel), CHANNELS)}"
        return
    for name in entry:
        if name not in _KEYS[channel]:
            yield f"unknown key {name!r} of a {channel}; {did_you_mean(str(name), _KEYS[channel])}"
    yield from _value_faults(entry)
    if channel in {WEBHOOK, APPRISE}:
        yield from _url_faults(entry, channel)


def _value_faults(entry: Any) -> Iterator[str]:
    for name in _TEXTS:
        value = entry.get(name)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            yield f"`{name}` is {value!r}: write a text"
    least = entry.get("minSeverity", SEVERITIES[0])
    if least not in SEVERITIES:
        yield f"`minSeverity` is {least!r}; {did_you_mean(str(least), SEVERITIES)}"
    timeout = entry.get("timeoutSeconds", _TIMEOUT_S)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _TIMEOUT_MAX_S:
        yield f"`timeoutSeconds` is {timeout!r}: write a number over 0, to {_TIMEOUT_MAX_S:g}"


def _url_faults(entry: Any, channel: str) -> Iterator[str]:
    url, variable = entry.get("url"), entry.get("urlVariable")
    if (url is None) == (variable is None):
        yield "give `url`, or the name of the variable that holds it as `urlVariable`"
    elif isinstance(url, str) and channel == WEBHOOK and (wrong := _address_fault(url)):
        yield f"`url` {wrong}"


def _address_fault(url: str) -> str:
    """Say what is wrong with the address of a webhook; empty when nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "is no address such as https://host/path"
    if parts.username or parts.password:
        return "holds a password: sign requests with `secretVariable` instead"
    if not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        return "has characters that no address has"
    return ""


def _name(entry: Any) -> str:
    return str(entry.get("name") or entry["channel"])


def _destination(entry: Any) -> Destination:
    return Destination(
        _name(entry), entry["channel"], entry.get("minSeverity", SEVERITIES[0]), entry.get("url") or "",
        entry.get("urlVariable") or "", entry.get("secretVariable") or "",
        float(entry.get("timeoutSeconds", _TIMEOUT_S)),
    )  # fmt: skip
