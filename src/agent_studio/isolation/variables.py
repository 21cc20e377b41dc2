"""What a command inside an environment inherits: every variable but the secrets, and where telemetry belongs.

A variable passes when nothing speaks against it: its name and its value are those of no secret, and a value that says
nothing to a reader passes only under a name that is known (`KNOWN`). Where `isolation.variables` is `listed`, only
known names and those in `isolation.passed` are looked at. What an environment declares (`secrets.<env>`) passes there
and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from agent_studio.environment.detect import VARIABLE
from agent_studio.isolation.secrets.opaque import is_opaque
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

CLIENT_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""What the client logs in with; it gets them unless another environment has declared them as its own."""
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT" for signal in ("", "LOGS_", "METRICS_", "TRACES_"))

_ENVIRONMENT_ATTRIBUTES = ("deployment.environment", "deployment.environment.name")
_PARTS = frozenset(
    (
        "KEY", "KEYS", "PASS", "PWD", "PW", "PASSPHRASE", "CRED", "CREDS", "PRIVATE", "AUTH", "OAUTH", "BEARER", "JWT",
        "PAT", "DSN", "WEBHOOK", "SALT", "KEYRING", "AUTHORIZATION",
    )
)  # fmt: skip
_PART_ENDS = (
    "APIKEY", "ACCESSKEY", "PRIVATEKEY", "SECRETKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS",
    "PASSWD", "CREDENTIAL", "CREDENTIALS", "COOKIE", "COOKIES", "CONNECTIONSTRING", "PASS", "PW", "KEY",
)  # fmt: skip
_WORDS = frozenset(("MONKEY", "TURKEY", "DONKEY", "HOCKEY", "JOCKEY", "WHISKEY", "HOTKEY", "BYPASS", "COMPASS"))
"""What only ends like one."""
_SECRET_NAMES = frozenset(
    ("GPG_AGENT_INFO", "SSH_AGENT_PID", "DBUS_SESSION_BUS_ADDRESS", "VSCODE_GIT_IPC_HANDLE", "CONNECTION_STRING")
)
"""Among them ways to a program that gives secrets away."""
KNOWN = (
    "HOME", "USER", "USERNAME", "LOGNAME", "SHELL", "SHLVL", "_", "PATH", "PWD", "OLDPWD", "HOSTNAME", "HOST", "TZ",
    "TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "LC_*", "XDG_*", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
    "EDITOR", "VISUAL", "PAGER", "LESS", "LESSOPEN", "LESSCLOSE", "BROWSER", "MANPATH", "INFOPATH", "LS_COLORS",
    "TERM", "TERM_*", "COLORTERM", "COLORFGBG", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR*", "ITERM_*",
    "KITTY_*", "WEZTERM_*", "ALACRITTY_*", "VTE_*", "TMUX*", "STY", "VSCODE_*", "WSL*", "WT_*",
    "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "*_CA_BUNDLE", "*_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "GPG_TTY", "DEBIAN_FRONTEND", "KUBECONFIG",
    "TOKENIZERS_PARALLELISM",
    "AGENT_STUDIO_*", "CLAUDE*", "ANTHROPIC_*", "OTEL_*", "MCP_*", "DISABLE_*", "MAX_*", "BASH_*", "NODE_ENV",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "CLOUD_ML_REGION", "VERTEX_REGION_*",
    "GIT_*", "PYTHON*", "PYTEST_*", "UV_*", "PIP_*", "VIRTUAL_ENV*", "CONDA_*", "PYENV_*", "NODE_*", "NPM_*", "NVM_*",
    "FNM_*", "VOLTA_*", "PNPM_*", "YARN_*", "BUN_*", "DENO_*", "CARGO_*", "RUST*", "GO*", "JAVA_*", "JDK_*", "MAVEN_*",
    "M2_HOME", "GRADLE_*", "RUBY*", "GEM_*", "BUNDLE_*", "RBENV_*", "PHP_*", "COMPOSER_*", "DOTNET_*", "NUGET_*",
    "SDKMAN_*", "ASDF_*", "MISE_*", "NIX_*", "HOMEBREW_*", "ANDROID_*", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS",
    "LDFLAGS", "LD_LIBRARY_PATH", "DYLD_*", "PKG_CONFIG_PATH", "MAKE*", "CMAKE_*",
    "CI", "CI_*", "DEBUG", "GITHUB_*", "GITLAB_*", "RUNNER_*", "BUILDKITE_*", "CIRCLE*", "TRAVIS*", "JENKINS_*",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "PROGRAM*",
    "COMMONPROGRAM*", "USERPROFILE", "USERDOMAIN*", "HOMEDRIVE", "HOMEPATH", "ALLUSERSPROFILE", "PUBLIC",
    "NUMBER_OF_PROCESSORS", "PROCESSOR_*", "OS", "COMPUTERNAME", "SESSIONNAME",
)  # fmt: skip
"""Names that a shell, a desktop, a language's tools or the client give: `*` stands for any text, case is the same."""
_NOT_SECRET = frozenset(("PWD", "OLDPWD"))
_OWN_SETTINGS = "AGENT_STUDIO_SECRETS__"
"""Names of secrets, not secrets."""
_COUNTED = frozenset(("TOKENS", "MAXTOKENS"))
"""With a number they are a limit, and a part such as these says that its name is no secret's."""
_LIMITS = frozenset(("LIMIT", "MAX", "MIN", "COUNT", "SIZE", "TIMEOUT", "TTL", "PORT", "ID"))
_PLACES = ("PATH", "FILE", "DIR", "CALLBACK", "URL", "BINDINGS")
"""Last parts of a name whose value is a place or a choice."""
_REVISION = re.compile(r"(?:^|_)(?:COMMIT|SHA|SHA1|REV|REVISION|BUILD|BUILD_ID|COMMIT_HASH)$")
_HEX = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{8}|[0-9a-f]{32})?")
_PLACE = re.compile(r"(?:[a-z]+:/)?(?:~|\.{0,2})/[^\s?]{0,500}|[A-Za-z]:[\\/][^\s]{0,500}|[a-z][a-z0-9_-]{0,20}")
_PASSWORD = re.compile(r"(?:password|pwd|accountkey)\s*=\s*[^\s;$%<{*]", re.IGNORECASE)
_GIT_GROUP = re.compile(r"GIT_CONFIG_(?:COUNT|(?:KEY|VALUE)_[0-9]+)")
"""Settings for git, which counts them: without one of them it does not start."""
_GIT_KEY = re.compile(r"GIT_CONFIG_KEY_[0-9]+")
_HARMLESS = frozenset(("", "0", "1", "true", "false", "yes", "no", "on", "off", "none"))
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)


@dataclass(frozen=True)
class Filtered:
    """Variables without the secrets among them."""

    kept: dict[str, str]
    withheld: tuple[str, ...]
    """Names of what was taken out, sorted; never a value."""
    of_production: frozenset[str] = frozenset()
    """Those of them that have a value of production's."""


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
    listed: Collection[str] | None = None,
) -> Filtered:
    """Return what a command may see.

    `allowed` names pass whatever they look like; `passed` too, unless another environment declares them (`foreign`).
    With `listed`, names or beginnings of names and `*`, what is neither there nor in `KNOWN` does not pass.
    """
    names = None if listed is None else (*KNOWN, *listed)
    kept: dict[str, str] = {}
    withheld: list[str] = []
    for name, value in variables.items():
        if name in allowed or (name not in foreign and (name in passed or _is_harmless(name, value, names))):
            kept[name] = value
        else:
            withheld.append(name)
    if any(_GIT_GROUP.fullmatch(name) for name in withheld):
        group = [name for name in kept if _GIT_GROUP.fullmatch(name) and name not in allowed]
        withheld += group
        kept = {name: value for name, value in kept.items() if name not in group}
    return Filtered(kept, tuple(sorted(withheld)))


def _is_harmless(name: str, value: str, names: Collection[str] | None) -> bool:
    return (names is None or _is_among(name, names)) and not is_secret(name, value)


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable looks like a secret by its name or its value.

    By its value: a token of known form, a URL with a password, or, unless the name is known, an opaque text.
    """
    if find_secrets(value) or _URL_WITH_PASSWORD.search(value) or _PASSWORD.search(value):
        return True
    if value.strip().lower() in _HARMLESS:
        return False
    if _REVISION.search(name.upper()) and _HEX.fullmatch(value.strip()):
        return False
    return _is_secret_name(name, value) or (is_opaque(value) and not _is_among(name, KNOWN))


def _is_among(name: str, names: Collection[str]) -> bool:
    upper = name.upper()
    return any(fnmatchcase(upper, one.upper()) for one in names)


def _is_secret_name(name: str, value: str) -> bool:
    upper = name.upper()
    if upper in _NOT_SECRET or upper.startswith(_OWN_SETTINGS) or _GIT_KEY.fullmatch(upper):
        return False
    if upper in _SECRET_NAMES:
        return True
    parts = [part.rstrip("0123456789") for part in re.split(r"[^A-Z0-9]+", upper)]
    return any(map(_is_secret_part, parts)) and not _is_setting(parts, value.strip())


def _is_secret_part(part: str) -> bool:
    return part in _PARTS or (part.endswith(_PART_ENDS) and part not in _WORDS)


def _is_setting(parts: Sequence[str], value: str) -> bool:
    """Tell whether a name with a telling part is that of a limit, a place or a choice, and the value is one."""
    if value.isdecimal():
        return bool(parts[-1] in _COUNTED or _LIMITS & set(parts) or "TOKENS" in parts)
    return ("PUBLIC" in parts or parts[-1] in _PLACES) and bool(_PLACE.fullmatch(value))


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
