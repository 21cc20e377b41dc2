"""What a command inside an environment inherits: every variable but the secrets, and where telemetry belongs.

A variable is a secret when its name or its value says so. Those that an environment declares (`secrets.<env>`) pass
there and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from agent_studio.environment.detect import VARIABLE
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CLIENT_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""What the client logs in with; it gets them unless another environment has declared them as its own."""
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT" for signal in ("", "LOGS_", "METRICS_", "TRACES_"))

_ENVIRONMENT_ATTRIBUTES = ("deployment.environment", "deployment.environment.name")
_PARTS = frozenset(
    (
        "KEY", "KEYS", "PASS", "PWD", "PASSPHRASE", "CRED", "CREDS", "PRIVATE", "AUTH", "OAUTH", "BEARER", "JWT", "PAT",
        "DSN", "WEBHOOK", "SALT", "KEYRING",
    )
)  # fmt: skip
_PART_ENDS = (
    "APIKEY", "ACCESSKEY", "PRIVATEKEY", "SECRETKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS",
    "PASSWD", "CREDENTIAL", "CREDENTIALS", "COOKIE", "COOKIES", "CONNECTIONSTRING",
)  # fmt: skip
_SECRET_NAMES = frozenset(("GPG_AGENT_INFO", "SSH_AGENT_PID", "CONNECTION_STRING"))
_NOT_SECRET = frozenset(("PWD", "OLDPWD"))
_OWN_SETTINGS = "AGENT_STUDIO_SECRETS__"
"""Names of secrets, not secrets."""
_HARMLESS = frozenset(("", "0", "1", "true", "false", "yes", "no", "on", "off", "none"))
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)


@dataclass(frozen=True)
class Filtered:
    """Variables without the secrets among them."""

    kept: dict[str, str]
    withheld: tuple[str, ...]
    """Names of what was taken out, sorted; never a value."""


@dataclass(frozen=True)
class Collector:
    """Where telemetry of an environment is received."""

    url: str
    token: str | None = None


def without_secrets(
    variables: Mapping[str, str],
    *,
    allowed: Collection[str],
    foreign: Collection[str] = (),
    passed: Collection[str] = (),
) -> Filtered:
    """Return what a command may see.

    `allowed` names pass whatever they look like; `passed` too, unless another environment declares them (`foreign`).
    """
    kept, withheld = {}, []
    for name, value in variables.items():
        if name in allowed or (name not in foreign and (name in passed or not is_secret(name, value))):
            kept[name] = value
        else:
            withheld.append(name)
    return Filtered(kept, tuple(sorted(withheld)))


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable looks like a secret by its name, or holds one of known form or a URL with a password."""
    if find_secrets(value) or _URL_WITH_PASSWORD.search(value):
        return True
    return value.strip().lower() not in _HARMLESS and _is_secret_name(name, value)


def _is_secret_name(name: str, value: str) -> bool:
    upper = name.upper()
    if upper in _NOT_SECRET or upper.startswith(_OWN_SETTINGS):
        return False
    parts = [part for part in re.split(r"[^A-Z0-9]+", upper) if part]
    if value.strip().isdecimal() and parts and parts[-1] == "TOKENS":  # a limit, such as MAX_OUTPUT_TOKENS
        return False
    return upper in _SECRET_NAMES or any(part in _PARTS or part.endswith(_PART_ENDS) for part in parts)


def with_attributes(written: str | None, environment: str) -> str:
    """Return resource attributes with `deployment.environment` set; the other ones stay as they are written.

    Form: https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    A part that is no `key=value` is dropped: it would make a reader drop all of them.
    """
    kept = []
    for part in (written or "").split(","):
        key, equals, value = part.strip().partition("=")
        name = unquote(key.strip())
        if equals and name and name not in _ENVIRONMENT_ATTRIBUTES:
            kept.append(f"{key.strip()}={value.strip()}")
    return ",".join((*kept, f"{_ENVIRONMENT_ATTRIBUTES[0]}={quote(environment, safe='')}"))


def joined_attributes(*written: str | None) -> str:
    """Return the resource attributes of several places as one; the last one to name a key wins."""
    pairs: dict[str, str] = {}
    for part in ",".join(filter(None, written)).split(","):
        key, equals, _ = part.strip().partition("=")
        if equals:
            pairs[unquote(key.strip())] = part.strip()
    return ",".join(pairs.values())


def own_endpoint(variables: Mapping[str, str], collector: Collector) -> str | None:
    """Return the variable by which the user sends telemetry somewhere else, or None."""
    return next((name for name in ENDPOINTS if variables.get(name, "").rstrip("/") not in {"", collector.url}), None)


def telemetry(variables: Mapping[str, str], collector: Collector) -> dict[str, str]:
    """Return the variables that send a command's telemetry to the collector; what the user has set of them stays."""
    wanted = {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_LOGS_EXPORT_INTERVAL": "5000",
    }
    if variables.get("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", "").lower() in {"1", "true"}:
        wanted["OTEL_TRACES_EXPORTER"] = "otlp"
    set_here = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", ENDPOINTS[0]: collector.url}
    if collector.token:
        set_here["OTEL_EXPORTER_OTLP_HEADERS"] = f"Authorization=Bearer%20{quote(collector.token, safe='')}"
    return {**{name: variables.get(name) or value for name, value in wanted.items()}, **set_here}


def of_environment(variables: Mapping[str, str], environment: str, written: str | None = None) -> dict[str, str]:
    """Return the variables that name the environment to a command and to its telemetry."""
    attributes = variables.get(ATTRIBUTES) if written is None else written
    return {VARIABLE: environment, ATTRIBUTES: with_attributes(attributes, environment)}
