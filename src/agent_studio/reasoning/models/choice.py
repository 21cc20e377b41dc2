"""Which model a name means, and which are usable on this machine now.

`anthropic:NAME`, `openai:NAME`: over HTTP, with the key in ANTHROPIC_API_KEY or OPENAI_API_KEY. `compatible:NAME@URL`
and `ENDPOINT:NAME`: what speaks as OpenAI does; endpoints are configured. `ollama:NAME`, `llama-server:NAME`,
`vllm:NAME`, `lmstudio:NAME`: servers of this machine at their usual port. `claude`, `claude:NAME`: the client with its
own login. `local`: a very small model on this machine. `scripted:FILE`, `replay:FILE`, `record:FILE=MODEL`: no model.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from agent_studio.errors import ConfigurationError, UsageError, did_you_mean
from agent_studio.reasoning.models import remote, servers
from agent_studio.reasoning.models.model import REHEARSED, Choice
from agent_studio.reasoning.models.remote import ANTHROPIC, OPENAI, Endpoint, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.reasoning.models.model import Model

KEYS: Mapping[str, str] = {ANTHROPIC: "ANTHROPIC_API_KEY", OPENAI: "OPENAI_API_KEY"}
_HOMES = {ANTHROPIC: "https://api.anthropic.com", OPENAI: "https://api.openai.com/v1"}
_BASES = {ANTHROPIC: "ANTHROPIC_BASE_URL", OPENAI: "OPENAI_BASE_URL"}
_URL = re.compile(r"https?://[^\s@/]+(/\S*)?")
_ENTRY = {"name", "url", "keyVariable", "provider", "speaks", "free"}
_CLOUD = re.compile(r"[:-]cloud$")
"""How Ollama calls models that run elsewhere, and are paid for."""


class _Asked(NamedTuple):
    context: Context
    name: str
    rest: str
    """What stands behind the first colon."""
    seen: tuple[str, ...]
    """Aliases on the way here."""


def open_model(context: Context, name: str | None, *, seen: tuple[str, ...] = ()) -> Model:
    """Return the model of a name, without one that of `models.default`.

    Raises `UsageError` for a name that means nothing and for what is missing on this machine, `ConfigurationError` for
    an entry of `models.endpoints` or `models.aliases` that is wrong.
    """
    chosen = name or context.config["models.default"]
    if not chosen:
        ready = ", ".join(choice.name for choice in usable(context) if choice.usable) or "none"
        raise UsageError(
            "no model is chosen", hint=f"--model NAME, or the key models.default; usable now: {ready} (docs/models.md)"
        )
    aliases = _aliases(context)
    if chosen in aliases:
        if chosen in seen:
            raise ConfigurationError(f"models.aliases: {chosen} leads to itself", hint="name a model in its place")
        return open_model(context, aliases[chosen], seen=(*seen, chosen))
    kind, _, rest = chosen.partition(":")
    asked = _Asked(context, chosen, rest, seen)
    if kind in _KINDS:
        return _KINDS[kind](asked)
    if kind in (configured := endpoints(context)):
        return _remote(asked, configured[kind])
    raise UsageError(
        f"no model is called {chosen!r}",
        hint=did_you_mean(kind, [*_KINDS, *configured, *aliases]) + " (docs/models.md)",
    )


def endpoints(context: Context) -> dict[str, Endpoint]:
    """Return the configured endpoints by name; raise `ConfigurationError` for one that is wrong."""
    found: dict[str, Endpoint] = {}
    for number, entry in enumerate(context.config["models.endpoints"] or ()):
        where = f"models.endpoints[{number}]"
        name, url = entry.get("name"), entry.get("url")
        if unknown := set(entry) - _ENTRY:
            raise ConfigurationError(f"{where}: no key {min(unknown)!r}", hint=did_you_mean(min(unknown), _ENTRY))
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name in {*_KINDS, *found}:
            raise ConfigurationError(
                f"{where}: name is {name!r}", hint="lower-case letters, digits, dashes; not taken by another"
            )
        if not is_url(url):
            raise ConfigurationError(f"{where}: url is {url!r}", hint="such as https://HOST/v1")
        found[name] = _endpoint(where, name, url, entry)
    return found


def _endpoint(where: str, name: str, url: str, entry: Mapping[str, Any]) -> Endpoint:
    speaks, provider, variable = entry.get("speaks", OPENAI), entry.get("provider", name), entry.get("keyVariable", "")
    if speaks not in (OPENAI, ANTHROPIC) or not isinstance(entry.get("free", False), bool):
        raise ConfigurationError(
            f"{where}: speaks is {OPENAI} or {ANTHROPIC}, free is true or false", hint="leave them out"
        )
    if not isinstance(provider, str) or not provider.strip() or provider in REHEARSED:
        raise ConfigurationError(f"{where}: provider is {provider!r}", hint="whose prices hold; leave it out")
    if not isinstance(variable, str):
        raise ConfigurationError(f"{where}: keyVariable is {variable!r}", hint="the name of a variable")
    key = os.environ.get(variable, "") if variable else ""
    return Endpoint(provider, url, key, variable, speaks, is_free=entry.get("free", False))


def is_url(url: object) -> bool:
    """Tell whether something is an address that a server can have."""
    try:
        return isinstance(url, str) and bool(_URL.fullmatch(url)) and urlsplit(url).port != 0
    except ValueError:  # brackets that are not closed, a port that is none
        return False


def usable(context: Context) -> list[Choice]:
    """Return what can be chosen, and whether it is usable now; looks at no address but this machine's."""
    from agent_studio.reasoning.models import claude_cli, local  # noqa: PLC0415 - only to look

    installed = remote.is_installed()
    found = [claude_cli.choice()]
    for provider, variable in KEYS.items():
        has_key = bool(os.environ.get(variable))
        missing = "" if installed else remote.INSTALL
        missing = missing or ("" if has_key else f"{variable} is not set")
        found.append(Choice(f"{provider}:NAME", not missing, missing or f"by the key in {variable}"))
    for server in servers.running():
        why = f"found at {server.url}" if installed else f"found at {server.url}, but: {remote.INSTALL}"
        found.append(Choice(f"{server.name}:NAME", installed, why, list(server.models)))
    for name, endpoint in endpoints(context).items():
        missing = "" if installed else remote.INSTALL
        if endpoint.key_variable and not endpoint.key:
            missing = missing or f"{endpoint.key_variable} is not set"
        found.append(Choice(f"{name}:NAME", not missing, missing or f"configured: {endpoint.url}"))
    return [*found, local.choice()]


def _aliases(context: Context) -> dict[str, str]:
    given: dict[str, Any] = context.config["models.aliases"] or {}
    for alias, name in given.items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(f"models.aliases.{alias} is {name!r}", hint="the name of a model")
    return given


def _of_provider(asked: _Asked) -> Model:
    provider = asked.name.partition(":")[0]
    key = os.environ.get(KEYS[provider], "")
    url = os.environ.get(_BASES[provider]) or _HOMES[provider]
    if not is_url(url):
        raise UsageError(f"{_BASES[provider]} is {url!r}", hint=f"such as {_HOMES[provider]}")
    return _remote(asked, Endpoint(provider, url, key, KEYS[provider], provider))


def _compatible(asked: _Asked) -> Model:
    model, _, url = asked.rest.rpartition("@")
    if not model or not is_url(url):
        raise UsageError(f"{asked.name!r} names no model and URL", hint="compatible:NAME@http://127.0.0.1:8080/v1")
    return _remote(asked._replace(rest=model), Endpoint("compatible", url))


def _on_this_machine(asked: _Asked) -> Model:
    name = asked.name.partition(":")[0]
    is_free = not _CLOUD.search(asked.rest)
    return _remote(asked, Endpoint(name, servers.url(name), is_free=is_free))


def _remote(asked: _Asked, endpoint: Endpoint) -> Model:
    if not asked.rest.strip():
        raise UsageError(f"{asked.name!r} names no model", hint=f"{asked.name.partition(':')[0]}:NAME")
    variable = endpoint.key_variable
    if remote.is_installed() and variable and not endpoint.key:
        raise UsageError(f"{asked.name} needs a key, and {variable} is not set", hint=f"export {variable}")
    if not (endpoint.key.isascii() and endpoint.key.isprintable()):
        raise UsageError(
            f"the key in {variable} holds a character that no key has, such as a line end", hint=f"export {variable}"
        )
    return Remote(asked.name, asked.rest, endpoint)


def _claude(asked: _Asked) -> Model:
    from agent_studio.reasoning.models.claude_cli import ClaudeCli  # noqa: PLC0415 - only once it is chosen

    return ClaudeCli(asked.name, asked.rest)


def _local(asked: _Asked) -> Model:
    from agent_studio.reasoning.models.local import Local  # noqa: PLC0415 - only once it is chosen

    return Local(asked.name)


def _scripted(asked: _Asked) -> Model:
    from agent_studio.reasoning.models.scripted import Scripted  # noqa: PLC0415 - only once it is chosen

    return Scripted(asked.rest)


def _replay(asked: _Asked) -> Model:
    from agent_studio.reasoning.models.replay import Replay  # noqa: PLC0415 - only once it is chosen

    return Replay(asked.rest)


def _record(asked: _Asked) -> Model:
    from agent_studio.reasoning.models.replay import recording  # noqa: PLC0415 - only once it is chosen

    path, equals, name = asked.rest.partition("=")
    if not path or not equals or not name:
        raise UsageError(f"{asked.name!r} names no file and model", hint="record:FILE=MODEL")
    return recording(path, open_model(asked.context, name, seen=asked.seen))


_KINDS: dict[str, Callable[[_Asked], Model]] = {
    ANTHROPIC: _of_provider, OPENAI: _of_provider, "compatible": _compatible, "claude": _claude, "local": _local,
    "scripted": _scripted, "replay": _replay, "record": _record, **dict.fromkeys(servers.PORTS, _on_this_machine),
}  # fmt: skip
