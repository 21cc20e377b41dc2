"""Layered configuration: every value knows which layer, file and line set it.

Layers, lowest first: built-in defaults, `config.yaml`, what follows from production by rule, `config.<env>.yaml`,
environment variables, `--set`. Unknown keys in our sections, wrong types and values over their limit are errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment
from agent_studio.environment.schema import BY_NAME, KEYS, Key, Rule, flag_keys, key_for
from agent_studio.environment.sources import Layer, Notice, Source, read_outside, read_source
from agent_studio.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.sources import Definitions

BASE_FILE = "config.yaml"


def file_name(environment: Environment) -> str:
    """Return the name of an environment's own configuration file."""
    return f"config.{environment}.yaml"


class Config:
    """An environment's resolved configuration."""

    def __init__(
        self, environment: Environment, layers: Mapping[str, list[Layer]], files: tuple[str, ...],
        warnings: tuple[Notice, ...],
    ) -> None:  # fmt: skip
        self.environment = environment
        self.layers = layers
        """Per key, lowest layer first; the last one wins."""
        self.files = files
        """The files that were read, lowest first."""
        self.warnings = warnings

    def __getitem__(self, name: str) -> Any:
        """Return the winning value; raise `ConfigurationError` naming the nearest key when unknown."""
        return self.explain(name)[-1].value

    def explain(self, name: str) -> list[Layer]:
        """Return every layer that sets a key, lowest first."""
        if name not in self.layers:
            raise ConfigurationError(f"unknown configuration key {name!r}", hint=did_you_mean(name, self.layers))
        return self.layers[name]

    def values(self) -> dict[str, Any]:
        """Return every key with its winning value, in the order of the schema, foreign keys last."""
        return {name: layers[-1].value for name, layers in self.layers.items()}

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of all feature flags, built in and added by the project."""
        return tuple(
            name.split(".")[1] for name in self.layers if name.startswith("features.") and name.endswith(".enabled")
        )


def load(
    project: Definitions,
    environment: Environment,
    variables: Mapping[str, str],
    overrides: Iterable[str] = (),
) -> Config:
    """Resolve an environment's configuration.

    Raises `ConfigurationError` for the first fault; staging without its own file is one.
    """
    config, problems = inspect(project, environment, variables, overrides)
    if problems:
        more = f"; {len(problems) - 1} more: agent-studio config check" if len(problems) > 1 else ""
        raise ConfigurationError(problems[0].message, hint=problems[0].hint + more)
    return config


def inspect(
    project: Definitions,
    environment: Environment,
    variables: Mapping[str, str],
    overrides: Iterable[str] = (),
) -> tuple[Config, list[ConfigurationError]]:
    """Resolve as far as possible and return every fault beside the result."""
    base = read_source(project, BASE_FILE)
    own = read_source(project, file_name(environment), declared=environment)
    production = own if environment is Environment.PRODUCTION else read_source(
        project, file_name(Environment.PRODUCTION), declared=Environment.PRODUCTION
    )  # fmt: skip
    problems = [problem for source in (base, own) if source for problem in source.problems]
    if environment is Environment.STAGING and own is None:
        problems.append(_missing_staging_file(project))
    outside, outside_problems = read_outside(variables, overrides, _added_flags(base, own, production))
    problems += outside_problems
    if environment is Environment.STAGING and production:
        problems += production.problems
    layers = _resolve(environment, base, own, production, outside)
    read = [source for source in (base, own) if source]
    return Config(
        environment=environment,
        layers=layers,
        files=tuple(source.name for source in read),
        warnings=tuple(warning for source in read for warning in source.warnings),
    ), problems


class MissingStagingFileError(ConfigurationError):
    """Staging has no configuration file of its own yet; `init` writes it."""


def _missing_staging_file(project: Definitions) -> ConfigurationError:
    return MissingStagingFileError(
        f"{project.shown(file_name(Environment.STAGING))} is missing; staging never borrows another environment's",
        hint="create it: agent-studio init --env staging",
    )


def _resolve(
    environment: Environment,
    base: Source | None,
    own: Source | None,
    production: Source | None,
    outside: list[tuple[str, Layer]],
) -> dict[str, list[Layer]]:
    layers = {key.name: [Layer("default", key.default_in(environment))] for key in KEYS}
    for flag in _added_flags(base, own, production):
        for key in flag_keys(flag):
            layers.setdefault(key.name, [Layer("default", key.default_in(environment))])
    _lay(layers, base)
    for name, stack in layers.items():
        owned = key_for(name)
        if owned and owned.rule and (ruled := _by_rule(owned, environment, stack[-1], production)):
            stack.append(ruled)
    _lay(layers, own)
    for name, layer in outside:
        layers.setdefault(name, []).append(layer)
    return layers


def _lay(layers: dict[str, list[Layer]], source: Source | None) -> None:
    if source is None:
        return
    for entry in source.entries:
        layers.setdefault(entry.key, []).append(Layer(source.name, entry.value, source.name, entry.line))


def _added_flags(*sources: Source | None) -> list[str]:
    """Return the flags that files add to the built-in ones, in order of appearance."""
    return list(
        dict.fromkeys(
            entry.key.split(".")[1]
            for source in sources
            if source
            for entry in source.entries
            if entry.key.startswith("features.") and entry.key not in BY_NAME
        )
    )


def _by_rule(key: Key, environment: Environment, base: Layer, production: Source | None) -> Layer | None:
    """Return what an environment's value follows to when its own file does not write it."""
    if environment is Environment.PRODUCTION:
        return None
    if environment is Environment.DEVELOPMENT:
        return Layer("rule", None, note="unlimited in development") if _unlimited(key) else None
    if key.rule is Rule.ON_IN_STAGING:
        return Layer("rule", True, note="all features are on in staging")
    if key.rule is Rule.FULL_IN_STAGING:
        return Layer("rule", 100, note="full rollout in staging")
    if key.rule is Rule.DOUBLED_IN_STAGING:
        entries = production.entries if production else ()
        in_production = next((entry.value for entry in reversed(list(entries)) if entry.key == key.name), base.value)
        limit = float("inf") if key.maximum is None else key.maximum  # no rate is over 100 per cent
        doubled = None if in_production is None else min(in_production * 2, limit)
        return Layer("rule", doubled, note=f"production x 2 ({in_production})")
    return None


def _unlimited(key: Key) -> bool:
    return key.rule in {Rule.DOUBLED_IN_STAGING, Rule.UNLIMITED_IN_DEVELOPMENT}
