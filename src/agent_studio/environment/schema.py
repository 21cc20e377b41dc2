"""Every configuration key that Agent Studio owns, in one table.

Defaults, validation, the JSON Schema, the environment variables and the reference pages are made from it.
A section that is not in `SECTIONS` belongs to someone else and is kept and ignored.
"""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.detect import Environment
from agent_studio.environment.eval_keys import EVALS
from agent_studio.environment.fleet_keys import FLEET
from agent_studio.environment.memory_keys import MEMORY_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECTIONS = (
    "features", "monitoring", "paths", "testData", "capture", "cost", "knowledge", "isolation", "secrets", "test",
    "release", "models", "evals", "fleet", "environments", "memory",
)  # fmt: skip
KINDS = ("knowledge", "metrics", "memory", "agents", "sessions", "context")


class Form(StrEnum):
    """What a value may be."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    STRINGS = "list of strings"
    OBJECT = "mapping"
    OBJECTS = "list of mappings"


class Rule(StrEnum):
    """How an environment's value follows from production's when its own file does not write one."""

    DOUBLED_IN_STAGING = "staging = production x 2; development unlimited"
    UNLIMITED_IN_DEVELOPMENT = "development unlimited"
    ON_IN_STAGING = "on in staging"
    FULL_IN_STAGING = "100 in staging"


class Key(NamedTuple):
    """One configuration key."""

    name: str
    """Dotted, as written in the file: `monitoring.thresholds.hookExecutionTimeMs`."""
    form: Form
    default: Any
    doc: str
    per_environment: Mapping[Environment, Any] = MappingProxyType({})
    """Defaults that differ from `default`."""
    minimum: float | None = None
    maximum: float | None = None
    rule: Rule | None = None
    variable: str = ""
    """An established environment variable beside the generated `AGENT_STUDIO_...` one."""
    may_differ: bool = False
    """Whether environments are expected to differ here."""
    choices: tuple[str, ...] = ()
    """What a text may be, or a list hold, each once; anything where it is empty."""

    @property
    def nullable(self) -> bool:
        """Whether null may be written: no limit, or not set."""
        return self.default is None or self.rule in _UNLIMITED

    @property
    def own_variable(self) -> str:
        """The generated variable: `a.bC.d` is `AGENT_STUDIO_A__B_C__D`."""
        return "AGENT_STUDIO_" + "__".join(_snake(part) for part in self.name.split("."))

    def default_in(self, environment: Environment) -> Any:
        """Return the built-in value for an environment, before any rule."""
        return self.per_environment.get(environment, self.default)


_UNLIMITED = {Rule.DOUBLED_IN_STAGING, Rule.UNLIMITED_IN_DEVELOPMENT}


def _snake(camel: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).upper()


def _threshold(name: str, default: float, doc: str, rule: Rule, variable: str = "", maximum: float = 1e9) -> Key:
    form = Form.INTEGER if name in {"errorRatePerHour", "tokenBudgetPerDay"} else Form.NUMBER
    return Key(
        f"monitoring.thresholds.{name}", form, default, doc, minimum=0, maximum=maximum, rule=rule,
        variable=variable, may_differ=True,
    )  # fmt: skip


def flag_keys(flag: str, *, on: bool = False, doc: str = "", variable: str = "") -> tuple[Key, Key]:
    """Return the two keys every feature flag has."""
    return (
        Key(
            f"features.{flag}.enabled", Form.BOOLEAN, on, doc or f"Whether {flag} is on.",
            rule=Rule.ON_IN_STAGING, variable=variable, may_differ=True,
        ),
        Key(
            f"features.{flag}.rolloutPercentage", Form.NUMBER, 100, "Share of units that get it, in per cent.",
            minimum=0, maximum=100, rule=Rule.FULL_IN_STAGING, may_differ=True,
        ),
    )  # fmt: skip


_ROLES = ("qa", "security", "uat")
_PARTY = "features.partyMode"
_ELICIT = "features.advancedElicitation"

_ISOLATION: tuple[tuple[str, Form, Any, str, tuple[str, ...]], ...] = (
    ("source", Form.STRING, "writable", "What a run may do with the project's own files: writable, readonly or copy.",
     ("writable", "readonly", "copy")),
    ("backend", Form.STRING, "auto", "How a run is isolated: auto, bubblewrap, landlock, sandbox-runtime, advisory.",
     ("auto", "bubblewrap", "landlock", "sandbox-runtime", "advisory")),
    ("domains", Form.STRINGS, ("*.anthropic.com", "*.claude.ai", "*.claude.com"), "Network of sandbox-runtime.", ()),
    ("require", Form.BOOLEAN, False, "Refuse to run without kernel isolation.", ()),
    ("variables", Form.STRING, "filtered", "What a run inherits: filtered (all but secrets) or listed (known names).",
     ("filtered", "listed")),
    ("guard", Form.BOOLEAN, False, "Deny agents to write evidence, other sidecars, production's files: a hook.", ()),
    ("guardReads", Form.BOOLEAN, False, "With the guard: deny agents to read other environments' data, too.", ()),
)  # fmt: skip

KEYS: tuple[Key, ...] = (
    *flag_keys("partyMode", on=True, doc="Several agents on one question.", variable="PARTY_MODE_ENABLED"),
    Key(f"{_PARTY}.maxAgents", Form.INTEGER, 5, "Agents in one session at most.", minimum=1, maximum=20),
    Key(f"{_PARTY}.turnLimit", Form.INTEGER, 20, "Turns in one session at most.", minimum=1, maximum=100),
    Key(f"{_PARTY}.costLimit", Form.NUMBER, 50, "Cost of one session at most, USD.", minimum=0, maximum=10_000),
    Key(f"{_PARTY}.contextWarning", Form.INTEGER, 100_000, "Tokens of context that warn.", minimum=0, maximum=1e8),
    Key(f"{_PARTY}.contextLimit", Form.INTEGER, 150_000, "Tokens of context at most.", minimum=0, maximum=1e8),
    *flag_keys("advancedElicitation", doc="Reasoning methods on a finished answer.", variable="ELICITATION_ENABLED"),
    Key(f"{_ELICIT}.methods", Form.STRINGS, (), "Methods on offer; all of them where none is named."),
    Key(
        f"{_ELICIT}.costBudget",
        Form.NUMBER,
        10,
        "Cost of one session at most, USD.",
        minimum=0,
        maximum=10_000,
        variable="ELICITATION_BUDGET_LIMIT",
    ),
    Key(
        f"{_ELICIT}.minConfidence",
        Form.NUMBER,
        0.7,
        "Suggest a method only from this confidence up.",
        minimum=0,
        maximum=1,
    ),
    Key(f"{_ELICIT}.maxMethodsPerInvocation", Form.INTEGER, 5, "Methods in one call at most.", minimum=1, maximum=50),
    Key(
        f"{_ELICIT}.maxInvocationsPerSession",
        Form.INTEGER,
        10,
        "Calls in one session at most.",
        minimum=1,
        maximum=1_000,
    ),
    *flag_keys("knowledgeBase", on=True, doc="Search over the project's artifacts."),
    *flag_keys("costTracking", on=True, doc="The ledger of model usage."),
    *flag_keys("sidecarMemory", on=True, doc="Private memory per agent."),
    Key(
        "monitoring.enabled",
        Form.BOOLEAN,
        True,
        "Whether limits are watched.",
        variable="MONITORING_ENABLED",
        may_differ=True,
    ),
    Key(
        "monitoring.verboseLogging",
        Form.BOOLEAN,
        False,
        "Log at debug level.",
        per_environment={Environment.STAGING: True},
        may_differ=True,
    ),
    Key(
        "monitoring.dashboardRefreshMs",
        Form.INTEGER,
        5_000,
        "Time between two refreshes, ms.",
        per_environment={Environment.PRODUCTION: 10_000},
        minimum=100,
        maximum=3_600_000,
        may_differ=True,
    ),
    _threshold(
        "hookExecutionTimeMs",
        10,
        "p95 of one hook's duration at most, ms.",
        Rule.DOUBLED_IN_STAGING,
        "HOOK_EXECUTION_THRESHOLD",
    ),
    _threshold("hookFailureRate", 5, "Hooks that fail at most, per cent.", Rule.DOUBLED_IN_STAGING, maximum=100),
    _threshold("agentFailureRate", 3, "Agent runs that fail at most, per cent.", Rule.DOUBLED_IN_STAGING, maximum=100),
    _threshold(
        "errorRatePerHour",
        10,
        "Errors of severity MEDIUM and above in an hour at most.",
        Rule.DOUBLED_IN_STAGING,
        "ERROR_RATE_THRESHOLD",
    ),
    _threshold(
        "tokenBudgetPerDay",
        100_000,
        "Input, output and cache-write tokens in a day at most.",
        Rule.UNLIMITED_IN_DEVELOPMENT,
        maximum=1e12,
    ),
    Key("monitoring.retention.metricsDays", Form.INTEGER, 30, "Days metrics are kept.", minimum=1, maximum=3_650),
    Key("monitoring.retention.errorsDays", Form.INTEGER, 90, "Days errors are kept.", minimum=1, maximum=3_650),
    Key("monitoring.notify", Form.OBJECTS, (), "Where alerts are sent.", may_differ=True),
    *(
        Key(f"paths.{kind}", Form.STRING, None, f"Folder of {kind} data, from the project's root.", may_differ=True)
        for kind in KINDS
    ),
    Key(
        "testData.enabled",
        Form.BOOLEAN,
        False,
        "Whether generated test data may be here.",
        per_environment={Environment.STAGING: True},
        may_differ=True,
    ),
    Key(
        "testData.seedData",
        Form.BOOLEAN,
        False,
        "Seed it on init.",
        per_environment={Environment.STAGING: True},
        may_differ=True,
    ),
    Key(
        "testData.artifactsCount",
        Form.INTEGER,
        0,
        "Artifacts in the seeded index, topped up with test ones.",
        per_environment={Environment.STAGING: 1_133},
        minimum=0,
        maximum=100_000,
        may_differ=True,
    ),
    Key("capture.inboxLimitMb", Form.INTEGER, 256, "Size of the recorder's inbox at most, MB.", minimum=1, maximum=1e5),
    Key("cost.budgets", Form.OBJECTS, (), "Budgets in USD and tokens.", may_differ=True),
    Key("cost.prices", Form.OBJECTS, (), "Prices of your own, before the table's.", may_differ=True),
    Key(
        "cost.guardLedger",
        Form.BOOLEAN,
        False,
        "Deny agents what would write the ledger: a decision hook.",
        may_differ=True,
    ),
    Key(
        "knowledge.suggest",
        Form.BOOLEAN,
        False,
        "Tell agents of artifacts that fit a prompt: a decision hook.",
        may_differ=True,
    ),
    Key(
        "knowledge.semantic",
        Form.BOOLEAN,
        True,
        "Rank by meaning too, where the extra `semantic` is installed.",
        may_differ=True,
    ),
    *(
        Key(f"isolation.{name}", form, default, doc, choices=choices, may_differ=True)
        for name, form, default, doc, choices in _ISOLATION
    ),
    *(
        Key(f"memory.{name}", Form.BOOLEAN if least is None else Form.INTEGER, value, doc, minimum=least, maximum=most)
        for name, value, doc, least, most in MEMORY_KEYS
    ),
    Key("isolation.passed", Form.STRINGS, (), "More names that pass where variables are listed; * ends one."),
    *(
        Key(f"secrets.{environment}", Form.STRINGS, (), f"Secret variables a command may see in {environment}.")
        for environment in Environment
    ),
    Key("test.command", Form.STRING, None, "The project's own full test command."),
    Key("release.target", Form.STRING, None, "The folder production's definitions live in."),
    Key("release.promoteFlags", Form.BOOLEAN, True, "Whether a promotion carries flags over."),
    Key("release.policy.burnin.hours", Form.NUMBER, 24, "Observed hours a burn-in needs.", minimum=0, maximum=8_760),
    Key("release.policy.burnin.maxGapMinutes", Form.NUMBER, 15, "Longest gap that counts.", minimum=1, maximum=1_440),
    Key("release.policy.evidenceDays", Form.INTEGER, 30, "Days evidence counts.", minimum=1, maximum=3_650),
    Key("release.policy.roles", Form.STRINGS, _ROLES, "Roles whose signatures a promotion needs.", choices=_ROLES),
    Key("release.policy.onePerson", Form.BOOLEAN, False, "Let one person sign in several roles, shown everywhere."),
    *(Key(name, Form(form), default, doc, minimum=low, maximum=high) for name, form, default, doc, low, high in EVALS),
    Key("models.default", Form.STRING, None, "Model that features use unless they name one."),
    Key("models.aliases", Form.OBJECT, None, "Names of your own for models.", may_differ=True),
    Key("models.endpoints", Form.OBJECTS, (), "More servers to ask, each with a name and a URL.", may_differ=True),
    *(
        Key(name, Form(form), default, doc, choices=choices, minimum=low, maximum=high, may_differ=True)
        for name, form, default, doc, choices, low, high in FLEET
    ),
    Key("environments.development.root", Form.STRING, None, "A data folder of development's own."),
)

BY_NAME: dict[str, Key] = {key.name: key for key in KEYS}
FLAGS: tuple[str, ...] = tuple(
    key.name.split(".")[1] for key in KEYS if key.name.startswith("features.") and key.name.endswith(".enabled")
)

RENAMED: dict[str, str] = {
    "monitoring.retention.metricsdays": "monitoring.retention.metricsDays",
    "monitoring.dashboard.refreshIntervalMs": "monitoring.dashboardRefreshMs",
    "features.partyMode.maxRounds": "features.partyMode.turnLimit",
}
"""Keys of the original Agent Studio and ours; ours wins where a file has both."""

RETIRED: dict[str, str] = {
    "monitoring.alerts": "monitoring.notify",
    "features.partyMode.parallelExecution": "features.partyMode.maxAgents",
    "storage": "paths.metrics, paths.sessions and paths.context",
}
"""Keys (with all below them) of the original that are accepted and ignored, and what decides instead."""


def key_for(name: str) -> Key | None:
    """Return the key of this name; a flag that a project adds has the two keys every flag has."""
    if name in BY_NAME:
        return BY_NAME[name]
    parts = name.split(".")
    if len(parts) == 3 and parts[0] == "features" and parts[1] not in FLAGS:  # noqa: PLR2004 - features.FLAG.KEY
        return next((key for key in flag_keys(parts[1]) if key.name == name), None)
    return None


def is_section(name: str) -> bool:
    """Tell whether some key lies below this name."""
    prefix = name + "."
    if any(known.startswith(prefix) for known in BY_NAME):
        return True
    parts = name.split(".")
    return len(parts) == 2 and parts[0] == "features"  # noqa: PLR2004 - features.FLAG


def is_owned(name: str) -> bool:
    """Tell whether the first part of a dotted name is a section of ours."""
    return name.split(".", 1)[0] in SECTIONS


def faults(key: Key, value: Any) -> Iterator[str]:
    """Yield what is wrong with a value, as the end of a sentence that starts with the key."""
    wanted = f"{'an' if key.form is Form.INTEGER else 'a'} {key.form}"
    if value is None:
        if not key.nullable:
            yield f"must be {wanted}, not null"
    elif not _has_form(key.form, value):
        yield f"must be {wanted}, not {_shown(value)}"
    elif key.form in {Form.INTEGER, Form.NUMBER}:
        if key.minimum is not None and value < key.minimum:
            yield f"is {value}, below its limit of {key.minimum:g}"
        if key.maximum is not None and value > key.maximum:
            yield f"is {value}, over its limit of {key.maximum:,.0f}"
    elif key.choices:
        chosen = [value] if key.form is Form.STRING else list(value)
        yield from (
            f"names {one!r}, which is none of: {', '.join(key.choices)}" for one in chosen if one not in key.choices
        )
        yield from (f"names {one} more than once" for one in key.choices if chosen.count(one) > 1)


def _has_form(form: Form, value: Any) -> bool:
    if isinstance(value, bool):
        return form is Form.BOOLEAN
    if form is Form.INTEGER:
        return isinstance(value, int)
    if form is Form.NUMBER:
        return isinstance(value, int | float) and abs(value) < float("inf")
    if form is Form.STRING:
        return isinstance(value, str)
    if form is Form.OBJECT:
        return isinstance(value, dict)
    if form is Form.BOOLEAN:
        return False
    inner = str if form is Form.STRINGS else dict
    return isinstance(value, list | tuple) and all(isinstance(item, inner) for item in value)


def _shown(value: Any) -> str:
    if isinstance(value, str) and value.lower() in {"yes", "no", "on", "off"}:
        return f"the text {value!r} (YAML 1.2 knows only true and false)"
    if isinstance(value, str):
        return f"the text {value!r}"
    return f"{type(value).__name__} {value!r}" if not isinstance(value, dict | list) else f"a {_kind(value)}"


def _kind(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list"
