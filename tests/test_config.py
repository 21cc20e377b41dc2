"""Configuration layers: which one wins, what follows by rule, what is refused and where."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.environment.config import Config, inspect, load
from agent_studio.environment.detect import Environment
from agent_studio.environment.json_schema import json_schema
from agent_studio.environment.roots import Project
from agent_studio.environment.schema import BY_NAME, KEYS, RENAMED, RETIRED, SECTIONS, Form, Key
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

LAYERS = ("default", "config.yaml", "rule", "own", "environment variable", "--set")
DOUBLED = ("hookExecutionTimeMs", "hookFailureRate", "agentFailureRate", "errorRatePerHour")


def nested(values: dict[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        here = root
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = value
    return root


def write(base: Path, name: str, content: str | dict[str, Any] | None) -> None:
    place = base / ".claude" / name
    place.parent.mkdir(exist_ok=True)
    if content is None:
        place.unlink(missing_ok=True)
    else:
        place.write_text(content if isinstance(content, str) else json.dumps(content))


def valid(key: Key) -> st.SearchStrategy[Any]:
    low, high = key.minimum or 0, min(key.maximum or 1e9, 1e6)
    forms: dict[Form, st.SearchStrategy[Any]] = {
        Form.BOOLEAN: st.booleans(),
        Form.INTEGER: st.integers(int(low), int(high)),
        Form.NUMBER: st.floats(low, high),
        Form.STRING: st.sampled_from(key.choices or ["one", "two words"]),
        Form.STRINGS: st.lists(st.sampled_from(key.choices or ["a", "b"]), max_size=3, unique=bool(key.choices)),
        Form.OBJECT: st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), min_size=1, max_size=2),
        Form.OBJECTS: st.lists(st.fixed_dictionaries({"name": st.just("n")}), max_size=2),
    }
    value = forms[key.form]
    return st.none() | value if key.nullable else value


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_some = st.lists(st.sampled_from(sorted(BY_NAME)), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: valid(BY_NAME[name]) for name in names})
)


@given(
    environment=st.sampled_from(list(Environment)), base=_some, own=_some, variables=_some, overrides=_some,
)  # fmt: skip
def test_for_every_key_the_highest_layer_that_sets_it_wins(
    tmp_path: Path,
    environment: Environment,
    base: dict[str, Any],
    own: dict[str, Any],
    variables: dict[str, Any],
    overrides: dict[str, Any],
) -> None:
    for other in Environment:
        write(tmp_path, f"config.{other}.yaml", None)
    write(tmp_path, "config.yaml", nested(base))
    write(tmp_path, f"config.{environment}.yaml", nested(own))
    named = {BY_NAME[name].own_variable: as_text(value) for name, value in variables.items()}
    sets = [f"{name}={as_text(value)}" for name, value in overrides.items()]
    config = load(Project(tmp_path), environment, named, sets)
    for key in KEYS:
        name, layers = key.name, config.explain(key.name)
        places = ["own" if layer.source == f"config.{environment}.yaml" else layer.source for layer in layers]
        assert places == sorted(places, key=LAYERS.index)
        said = [source[name] for source in (base, own, variables, overrides) if name in source]
        if name in own or name in variables or name in overrides:
            assert config[name] == said[-1]
        elif places[-1] != "rule":
            assert config[name] == (said[-1] if said else key.default_in(environment))
        for layer in layers:
            assert (layer.file is None) == (layer.line is None)


_limits = st.none() | st.integers(0, 50)


@settings(max_examples=25)
@given(base=_limits, production=_limits, staging=_limits, key=st.sampled_from(DOUBLED))
def test_a_staging_limit_is_twice_productions_unless_written(
    tmp_path: Path, base: int | None, production: int | None, staging: int | None, key: str
) -> None:
    name = f"monitoring.thresholds.{key}"
    for file, value in (("config.yaml", base), ("config.production.yaml", production)):
        write(tmp_path, file, nested({name: value}) if value is not None else "{}")
    write(tmp_path, "config.staging.yaml", nested({name: staging}) if staging is not None else "{}")
    project = Project(tmp_path)
    configs = {environment: load(project, environment, {}) for environment in Environment}
    limit = configs[Environment.PRODUCTION][name]
    assert limit == next(value for value in (production, base, BY_NAME[name].default) if value is not None)
    assert configs[Environment.STAGING][name] == (2 * limit if staging is None else staging)
    assert configs[Environment.DEVELOPMENT][name] is None


def test_the_built_in_limits_are_the_contracts(tmp_path: Path) -> None:
    write(tmp_path, "config.staging.yaml", "")
    table = {
        "hookExecutionTimeMs": (None, 20, 10), "hookFailureRate": (None, 10, 5), "agentFailureRate": (None, 6, 3),
        "errorRatePerHour": (None, 20, 10), "tokenBudgetPerDay": (None, 100_000, 100_000),
    }  # fmt: skip
    configs = [load(Project(tmp_path), environment, {}) for environment in Environment]
    for name, row in table.items():
        assert tuple(config[f"monitoring.thresholds.{name}"] for config in configs) == row
    assert [config["monitoring.dashboardRefreshMs"] for config in configs] == [5_000, 5_000, 10_000]


def test_a_doubled_rate_stops_at_100_per_cent(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", nested({"monitoring.thresholds.hookFailureRate": 60}))
    write(tmp_path, "config.staging.yaml", "")
    assert load(Project(tmp_path), Environment.STAGING, {})["monitoring.thresholds.hookFailureRate"] == 100


def test_set_knows_only_the_flags_there_are(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "features: {mine: {enabled: false}}")
    project = Project(tmp_path)
    assert load(project, Environment.DEVELOPMENT, {}, ["features.mine.enabled=on"])["features.mine.enabled"] is True
    with pytest.raises(ConfigurationError) as caught:
        load(project, Environment.DEVELOPMENT, {}, ["features.partMode.enabled=off"])
    assert caught.value.hint == 'did you mean "partyMode"?'


def test_a_limit_written_for_development_holds_there(tmp_path: Path) -> None:
    write(tmp_path, "config.development.yaml", nested({"monitoring.thresholds.hookFailureRate": 7}))
    assert load(Project(tmp_path), Environment.DEVELOPMENT, {})["monitoring.thresholds.hookFailureRate"] == 7


def test_every_flag_is_on_in_staging_unless_its_file_says_otherwise(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "features: {partyMode: {enabled: false, rolloutPercentage: 3}, mine: {}}")
    write(tmp_path, "config.staging.yaml", "features: {costTracking: {enabled: false}}")
    config = load(Project(tmp_path), Environment.STAGING, {})
    on = {flag: config[f"features.{flag}.enabled"] for flag in config.flags}
    assert on.pop("costTracking") is False
    assert all(on.values())
    assert config["features.partyMode.rolloutPercentage"] == 100


def faults(base: Path, text: str, **variables: str) -> list[str]:
    write(base, "config.yaml", text)
    _, problems = inspect(Project(base), Environment.DEVELOPMENT, variables)
    return [f"{problem.message} | {problem.hint}" for problem in problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("features:\n  partyMode:\n    maxAgnets: 3\n", [":3: unknown key", 'mean "features.partyMode.maxAgents"?']),
        ("monitoring:\n  enabled: yes\n", [":2: monitoring.enabled must be a boolean", "YAML 1.2"]),
        ("features:\n  partyMode: {maxAgents: 3.5}\n", [":2:", "must be an integer"]),
        ("features:\n  partyMode: {maxAgents: true}\n", [":2:", "not bool True"]),
        ("features:\n  partyMode:\n    maxAgents: 21\n", [":3:", "over its limit of 20"]),
        ("release:\n  policy:\n    roles: [quality]\n", ["roles names 'quality', which is none of: qa, security"]),
        ("release:\n  policy:\n    roles: [qa, qa]\n", ["roles", "names qa more than once"]),
        ("isolation:\n  source: copi\n", [":2:", "names 'copi', which is none of: writable, readonly, copy"]),
        ("isolation:\n  backend: bwrap\n", [":2:", "none of: auto, bubblewrap, landlock"]),
        ("features:\n  partyMode:\n    maxAgents: 0\n", [":3:", "below its limit of 1"]),
        ("features:\n  partyMode:\n    costLimit: .nan\n", [":3:", "must be a number"]),
        ("features:\n  partyMode:\n    enabled: null\n", [":3:", "not null"]),
        ("features: 5\n", [":1: features must be a section"]),
        ("a: 1\nb: [1, 2\nc: 3\n", [".claude/config.yaml:3:2:"]),
        ("a: 1\n\tb: 2\n", [".claude/config.yaml:2:1:"]),
        ("test:\n  command: x\ntest:\n  command: y\n", [".claude/config.yaml:3:1:", "duplicate key"]),
        ("features:\n  partyMode.enabled: true\n", [":2:3:", "has dots in it"]),
        ("monitoring.enabled: true\n", [":1:1:", "has dots in it"]),
        ("features:\n  1: {enabled: true}\n", [":2:3:", "must be text"]),
        ("- a\n", [":1:", "must be a mapping"]),
        ("monitoring: {retention: {metricsdays: x}}\n", [":1:", "metricsDays must be"]),
        ("monitoring: {retention: {metricsdays: x, metricsDays: 3}}\n", [":1:", "metricsDays must be"]),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_and_what_would_be_right(tmp_path: Path, text: str, said: list[str]) -> None:
    (fault,) = faults(tmp_path, text)
    assert all(part in fault for part in said), fault


def test_every_fault_is_found_not_only_the_first(tmp_path: Path) -> None:
    text = "paths: {metric: a}\nmonitoring: {enabled: 3}\nfeatures: {x: {on: true}}\n"
    assert len(faults(tmp_path, text, AGENT_STUDIO_PATH="x", PARTY_MODE_ENABLED="maybe")) == 5


def test_sections_may_be_empty(tmp_path: Path) -> None:
    assert faults(tmp_path, "features:\nmonitoring: {}\npaths: null\nrelease: {policy: {burnin: }}\n") == []


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "")
    (tmp_path / ".claude/config.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml:2: not UTF-8 \(byte 0xff\)"):
        load(Project(tmp_path), Environment.DEVELOPMENT, {})


@pytest.mark.parametrize("opening", ["[{0}]", "{{a: {0}, b: {0}, c: {0}, d: {0}}}"])
def test_aliases_that_multiply_are_refused_at_once(tmp_path: Path, opening: str) -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        many = ", ".join([f"*l{level - 1}"] * 10) if opening.startswith("[") else f"*l{level - 1}"
        lines.append(f"l{level}: &l{level} " + opening.format(many))
    start = time.perf_counter()
    (fault,) = faults(tmp_path, "\n".join(lines))
    assert "aliases multiplied" in fault
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "text", ["a: &a [*a]\n", "a: &a\n  b: *a\n", "features: &f\n  x: *f\n", "[" * 3000, "{a: " * 500, "- " * 600]
)
def test_endless_and_deep_documents_end_in_a_result_or_a_clear_fault(tmp_path: Path, text: str) -> None:
    assert len(faults(tmp_path, text)) <= 1


def test_staging_without_its_file_is_refused(bare: Studio) -> None:
    done = bare.run("config", "show", "--env", "staging")
    assert done.code == 2
    assert "agent-studio init --env staging" in done.err


def test_our_own_variable_wins_over_the_established_one(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "")
    variables = {"PARTY_MODE_ENABLED": "false", "AGENT_STUDIO_FEATURES__PARTY_MODE__ENABLED": "true"}
    assert load(Project(tmp_path), Environment.DEVELOPMENT, variables)["features.partyMode.enabled"] is True


_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**7),
    st.floats(-5, 1e7).filter(lambda number: not number.is_integer()),  # JSON Schema takes 5.0 for an integer
    st.sampled_from(["", "text", "true"]),
    st.lists(st.sampled_from(["a", 1, {"k": 1}]), max_size=2),
    st.dictionaries(st.sampled_from(["enabled", "x"]), st.booleans(), max_size=2),
)
_known = [*(key.name for key in KEYS), *RENAMED, *RETIRED]
_sections = sorted({".".join(name.split(".")[:depth]) for name in _known for depth in range(1, name.count(".") + 1)})
_paths = st.one_of(
    st.sampled_from(_known),
    st.sampled_from(_sections),
    st.sampled_from(
        ["features.mine.enabled", "features.mine.rolloutPercentage", "features.mine.limit", "features.mine"]
    ),
    st.sampled_from(_known).map(lambda name: name[:-1]),
    st.sampled_from(["agents.planner.model", "foreign", "version"]),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents near the schema: known keys with right and wrong values, sections with values, misspelt keys."""
    root: dict[str, Any] = {}
    for name in draw(st.lists(_paths, max_size=5, unique=True)):
        key = BY_NAME.get(RENAMED.get(name, name))
        value = draw(valid(key) | _odd if key else _odd)
        if key and key.form is Form.INTEGER and isinstance(value, float) and value.is_integer():
            continue
        *sections, last = name.split(".")
        here: Any = root
        for section in sections:
            here = here.setdefault(section, {}) if isinstance(here, dict) else None
        if isinstance(here, dict):
            here[last] = value
    return root


VALIDATOR = jsonschema.Draft202012Validator(json_schema())


@settings(max_examples=400)
@given(document=documents())
def test_our_validator_and_the_json_schema_agree(tmp_path: Path, document: dict[str, Any]) -> None:
    ours = faults(tmp_path, json.dumps(document))
    theirs = [error.message for error in VALIDATOR.iter_errors(document)]
    assert bool(ours) == bool(theirs), (document, ours, theirs)


def test_the_json_schema_closes_our_sections_and_opens_the_others() -> None:
    assert not VALIDATOR.is_valid({"monitoring": {"enable": True}})
    assert not VALIDATOR.is_valid({"monitoring.enabled": True})
    assert VALIDATOR.is_valid({"agents": {"anything": [1]}, "features": {"mine": {"enabled": True}}})
    assert VALIDATOR.is_valid({"monitoring": {"retention": {"metricsdays": 3}}, "storage": {"x": 1}})
    assert VALIDATOR.is_valid(None)
    properties = json_schema()["properties"]
    assert set(SECTIONS) <= set(properties)
    assert properties["monitoring"]["properties"]["retention"]["properties"]["metricsdays"]["deprecated"] is True


def test_an_unknown_key_is_asked_for_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "")
    config: Config = load(Project(tmp_path), Environment.DEVELOPMENT, {})
    with pytest.raises(ConfigurationError) as caught:
        config["monitoring.enable"]
    assert caught.value.hint == 'did you mean "monitoring.enabled"?'
