"""Show, explain, compare and check configuration."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result
from agent_studio.cost import findings
from agent_studio.environment.change import place_of
from agent_studio.environment.compare import differences
from agent_studio.environment.config import Config, inspect, load
from agent_studio.environment.context import placed_root
from agent_studio.environment.detect import Environment, choose_environment
from agent_studio.environment.roots import Project
from agent_studio.environment.schema import is_owned, key_for
from agent_studio.errors import ConfigurationError, ExitCode, UsageError, did_you_mean
from agent_studio.monitor import destinations

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.sources import Layer, Notice

_WIDTH = 80
_NAME_WIDTH = 30
_VALUE_WIDTH = 18
_UNITS = (
    (r"Ms$", "ms"), (r"PerHour$", "an hour"), (r"Percentage$|Rate$", "per cent"), (r"Days$", "days"),
    (r"[hH]ours$", "hours"), (r"Minutes$", "minutes"), (r"Mb$", "MB"), (r"cost(Limit|Budget)$", "USD"),
    (r"tokenBudgetPerDay$|context(Warning|Limit)$", "tokens"),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    show = verbs.add_parser("show", help="every key, its value and what set it", description="Show every value.")
    show.add_argument("prefix", metavar="PREFIX", nargs="?", help="only this key or section")
    show.add_argument("--all", action="store_true", help="also keys of other tools' sections")
    explain = verbs.add_parser(
        "explain", help="which layer, file and line set a value", description="Show every layer that sets a key."
    )
    explain.add_argument("key", metavar="KEY", help="a key with its dots")
    diff = verbs.add_parser(
        "diff",
        help="how two environments differ: as expected, or drift",
        description="Compare what the files of two environments say; variables of this shell are left out.",
    )
    diff.add_argument("a", metavar="A", help="an environment")
    diff.add_argument("b", metavar="B", help="another")
    diff.add_argument("--exit-code", action="store_true", help="exit 1 when there is drift")
    verbs.add_parser(
        "check",
        help="every fault of every file and variable",
        description="Check the files of all environments and the variables of this shell.",
    )
    verbs.add_parser("schema", help="the JSON Schema of a file", description="Print the JSON Schema of a file.")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Carry out one subcommand."""
    actions = {"show": _show, "explain": _explain, "diff": _diff, "check": _check, "schema": _schema}
    return actions[args.subverb](args, session)


def _load(session: Session) -> Config:
    return load(session.project, session.choice.environment, session.variables, session.overrides)


def _show(args: argparse.Namespace, session: Session) -> Result:
    config = _load(session)
    names = [name for name in config.layers if args.all or args.prefix or is_owned(name)]
    if args.prefix:
        names = [name for name in names if f"{name}.".startswith(f"{args.prefix}.")]
    if not names:
        known = {".".join(name.split(".")[:depth]) for name in config.layers for depth in range(1, name.count(".") + 2)}
        raise UsageError(f"no key or section {args.prefix!r}", hint=did_you_mean(args.prefix, sorted(known)))
    rows = [{"key": name, **_said(config.explain(name)[-1])} for name in names]
    shown = {name: (config[name], place_of(config.explain(name)[-1])) for name in names}

    def render(screen: Screen) -> None:
        _render_values(screen, shown)

    return Result({"files": [Project.shown(name) for name in config.files], "keys": rows}, render)


def _render_values(screen: Screen, shown: dict[str, tuple[Any, str]]) -> None:
    """Write keys under their section, so that a line holds the last part, the value and its place."""
    sections: dict[str, list[str]] = {}
    for name in shown:
        sections.setdefault(name.rpartition(".")[0], []).append(name)
    widest = min(_NAME_WIDTH, max(len(name.rpartition(".")[2]) for name in shown))
    for number, (section, names) in enumerate(sections.items()):
        if number:
            screen.line()
        if section:
            screen.line(section)
        for name in names:
            value, place = shown[name]
            last = name.rpartition(".")[2]
            screen.line(f"{'  ' if section else ''}{last:<{widest}}  {_short(name, value):<{_VALUE_WIDTH}}  {place}")


def _short(name: str, value: Any) -> str:
    text = _valued(name, value)
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 3] + "..."


def _valued(name: str, value: Any) -> str:
    """Return a value as text; no limit says so."""
    key = key_for(name)
    return "unlimited" if value is None and key and key.nullable and key.rule else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return "-" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _said(layer: Layer) -> dict[str, Any]:
    return {
        "value": layer.value,
        "source": layer.source,
        "file": Project.shown(layer.file) if layer.file else None,
        "line": layer.line,
    }


def _explain(args: argparse.Namespace, session: Session) -> Result:
    config = _load(session)
    layers = config.explain(args.key)
    key = key_for(args.key)
    rows = [{**_said(layer), "wins": layer is layers[-1], "note": layer.note} for layer in layers]
    unit = _unit(args.key) if key else ""

    def render(screen: Screen) -> None:
        value = layers[-1].value
        screen.line(f"{args.key} = {_valued(args.key, value)}{' ' + unit if unit and value is not None else ''}")
        screen.line(f"  {key.doc if key else 'Not a key of ours: kept and ignored.'}\n")
        for layer in layers:
            said = _valued(args.key, layer.value)
            screen.line(f"  {'wins' if layer is layers[-1] else '':<4}  {said:<12}  {_where(layer)}")

    doc = key.doc if key else ""
    data = {"key": args.key, "value": layers[-1].value, "layers": rows, "unit": unit, "doc": doc}
    return Result(data, render)


def _where(layer: Layer) -> str:
    return f"{layer.source} {layer.note}" if layer.source == "environment variable" else place_of(layer)


def _unit(key: str) -> str:
    return next((unit for pattern, unit in _UNITS if re.search(pattern, key)), "")


def _diff(args: argparse.Namespace, session: Session) -> Result:
    if session.overrides:
        raise UsageError("--set has no place in a comparison of files", hint="drop it")
    a, b = (choose_environment(name, {}).environment for name in (args.a, args.b))
    if a is b:
        raise UsageError(f"both are {a}", hint=f"compare {a} with {' or '.join(e for e in Environment if e is not a)}")
    found = differences(load(session.project, a, {}), load(session.project, b, {}))
    drift = [difference for difference in found if not difference.expected]

    def render(screen: Screen) -> None:
        for title, expected in (("drift", False), ("expected", True)):
            rows = [difference for difference in found if difference.expected is expected]
            if rows:
                screen.line(f"{title}:")
            for difference in rows:
                left, right = (_valued(difference.key, value) for value in (difference.a, difference.b))
                screen.mark("ok" if expected else "bad", difference.key)
                sides = f"    {left} in {a}, {right} in {b}"
                together = f"{sides}: {difference.why}"
                for line in (together,) if len(together) <= _WIDTH else (sides, f"    {difference.why}"):
                    screen.line(line)
        screen.line(f"{len(found) - len(drift)} expected, {len(drift)} drift between {a} and {b}")

    code = ExitCode.FAILED if drift and args.exit_code else ExitCode.DONE
    return Result({"a": a, "b": b, "differences": [vars(difference) for difference in found]}, render, code)


def _check(args: argparse.Namespace, session: Session) -> Result:
    files: dict[str, None] = {}
    warnings: dict[str, Notice] = {}
    faults: dict[str, ConfigurationError] = {}
    chosen = session.choice.environment
    for environment in (chosen, *(other for other in Environment if other is not chosen)):
        config, problems = inspect(
            session.project,
            environment,
            session.variables if environment is chosen else {},
            session.overrides if environment is chosen else (),
        )
        if environment is Environment.STAGING is not chosen and "config.staging.yaml" not in config.files:
            continue
        files.update(dict.fromkeys(map(Project.shown, config.files)))
        warnings.update({warning.message: warning for warning in config.warnings})
        faults.update({fault.message: fault for fault in (*problems, *_misplaced(session.project, config))})
    if not faults:
        found = (*findings.faults(session.context), *destinations.configuration_faults(session.context))
        faults = {fault.message: fault for fault in found}
    return _report(sorted(files), list(faults.values()), list(warnings.values()), as_json=session.common.json)


def _misplaced(project: Project, config: Config) -> Iterator[ConfigurationError]:
    """Yield what is wrong with where an environment would put its data."""
    try:
        placed_root(project, config)
    except ConfigurationError as error:
        yield error


def _report(files: list[str], faults: list[ConfigurationError], warnings: list[Notice], *, as_json: bool) -> Result:
    def listed(items: Iterable[ConfigurationError | Notice]) -> list[dict[str, str]]:
        return [{"message": item.message, "hint": item.hint} for item in items]

    def render(screen: Screen) -> None:
        for kind, items in (("bad", faults), ("note", warnings)):
            for item in items:
                screen.mark(kind, item.message)
                if item.hint:
                    screen.line(f"    {item.hint}")
        if not faults:
            screen.mark("ok", f"no faults in {', '.join(files) or 'the built-in defaults: there is no file'}")
        screen.line(f"{_counted(len(faults), 'fault')}, {_counted(len(warnings), 'warning')}")

    problems = [
        *(Problem("configuration", fault.message, fault.hint) for fault in faults),
        *(Problem("warning", warning.message, warning.hint) for warning in warnings),
    ]
    return Result(
        {"files": files, "faults": listed(faults), "warnings": listed(warnings)},
        render,
        ExitCode.USAGE if faults else ExitCode.DONE,
        problems if as_json else (),  # people have them in the list above
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _schema(args: argparse.Namespace, session: Session) -> Result:
    from agent_studio.environment.json_schema import json_schema  # noqa: PLC0415 - only for this subcommand

    schema = json_schema()
    return Result({"schema": schema}, lambda screen: screen.block(json.dumps(schema, indent=2)))
