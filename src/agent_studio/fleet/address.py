"""Where a fleet's records go: the address in the configuration, and what is needed to get in there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from agent_studio.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_studio.environment.config import Config

PASSWORD = "AGENT_STUDIO_FLEET_PASSWORD"  # noqa: S105 - the variable's name
INGEST_PASSWORD = "AGENT_STUDIO_FLEET_INGEST_PASSWORD"  # noqa: S105 - the same
_INGEST = "fleet.ingest"
SCHEMES = ("postgresql", "clickhouse", "chdb", "nats")
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})


class Address(NamedTuple):
    """An address, taken apart."""

    scheme: str
    hosts: tuple[tuple[str, int | None], ...]
    """Name or number, and port; several for a cluster."""
    path: str
    """The database, or the folder of an engine in process."""
    user: str | None
    password: str | None
    """From the environment, never from a file of the project."""
    options: Mapping[str, str]
    ca: str | None
    certificate: str | None
    key: str | None

    @property
    def is_local(self) -> bool:
        """Whether nothing leaves this machine on the way there."""
        return all(host in _LOCAL or host.startswith("/") for host, _ in self.hosts)

    @property
    def shown(self) -> str:
        """How to name it to people: without a password."""
        user = f"{self.user}@" if self.user else ""
        hosts = ",".join(f"{host}:{port}" if port else host for host, port in self.hosts)
        return f"{self.scheme}://{user}{hosts}{self.path}"

    def refuse_unknown(self, options: Sequence[str]) -> None:
        """Raise `ConfigurationError` for an option of the address that is none of these."""
        for option in sorted(set(self.options) - set(options)):
            raise ConfigurationError(f"{self.shown}: unknown option {option!r}", hint=did_you_mean(option, options))

    @property
    def tls(self) -> str:
        """How the way there is protected, in words."""
        asked = self.options.get("sslmode") or self.options.get("tls") or self.options.get("secure")
        if self.is_local and asked is None:
            return "local, not needed"
        return f"as the address says: {asked}" if asked else "verified"


def address(config: Config, key: str, variables: Mapping[str, str] | None = None) -> Address:
    """Return the address that a key of the configuration holds; raise `ConfigurationError` for none and for a bad one.

    A password comes from `AGENT_STUDIO_FLEET_PASSWORD` alone; that of the stream, who may write there is not who may
    write into the engine, from `AGENT_STUDIO_FLEET_INGEST_PASSWORD`.
    """
    given, found = config[key], os.environ if variables is None else variables
    if not given:
        example = "ingest: nats://HOST" if key == _INGEST else "engine: postgresql://HOST/DB"
        raise ConfigurationError(f"{key} is not set", hint=f"in .claude/config.yaml: fleet: {{{example}}}")
    try:
        parts = urlsplit(given)
        hosts = tuple(_host(one) for one in parts.netloc.rpartition("@")[2].split(","))
    except ValueError as error:
        raise ConfigurationError(f"{key} is no address: {error}", hint="as in postgresql://HOST:PORT/DB") from error
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(f"{key}: {parts.scheme!r} is no engine", hint=did_you_mean(parts.scheme, SCHEMES))
    if (parts.scheme == "nats") != (key == _INGEST):
        raise ConfigurationError(
            f"{key}: {parts.scheme} is {'no stream' if key == _INGEST else 'a stream, no engine'}",
            hint="fleet.ingest is nats://HOST; fleet.engine is postgresql:, clickhouse: or chdb:",
        )
    variable = INGEST_PASSWORD if key == _INGEST else PASSWORD
    if parts.password:
        raise ConfigurationError(f"{key} holds a password", hint=f"take it out, and set {variable}")
    tls = {name: config[f"fleet.tls.{name}"] for name in ("ca", "certificate", "key")}
    user = unquote(parts.username) if parts.username else None
    options = dict(parse_qsl(parts.query))
    return Address(parts.scheme, hosts, unquote(parts.path), user, found.get(variable) or None, options, **tls)


def _host(text: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port
