"""Write the pages that the code decides: docs/reference/*.md and the differences tables in docs/.

`reference.py` writes what is stale, `reference.py --check` names it and exits 1. The same code gives the same bytes.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agent_studio
from agent_studio.cli.dispatch import EVERYWHERE, build_parser, load_command
from agent_studio.cli.main import COMMANDS
from agent_studio.environment.config import BASE_FILE, Config, MissingStagingFileError, file_name, inspect
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project, environment_root
from agent_studio.environment.schema import KEYS, RENAMED, RETIRED, Form, Key
from agent_studio.errors import AgentStudioError, ExitCode
from agent_studio.staging.seed import seeds_test_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
WITH_DIFFERENCES = ("docs/staging.md", "docs/environments.md")
_DIFFERENCES = re.compile(r"(<!-- generated: differences -->\n).*?(<!-- /generated -->)", re.DOTALL)
_NOTE = "<!-- Written by `make reference`; change the code, not this page. -->"
_THRESHOLDS = (
    ("hook execution (p95)", "hookExecutionTimeMs", "{:g} ms"),
    ("hook failure rate", "hookFailureRate", "{:g} %"),
    ("agent failure rate", "agentFailureRate", "{:g} %"),
    ("errors an hour", "errorRatePerHour", "{:g}"),
    ("tokens a day", "tokenBudgetPerDay", "{:,}"),
)
_CODES = {
    ExitCode.DONE: "done, or the verdict is PASS",
    ExitCode.FAILED: "a check failed, a gate refused, a search found nothing, or the file system refused",
    ExitCode.USAGE: "usage, unknown environment or bad configuration; nothing was changed",
    ExitCode.INSUFFICIENT: "not enough evidence: no check or test counted, or a required check was skipped",
    ExitCode.NOT_SIGNED: "a sign-off is missing or invalid",
    ExitCode.BUSY: "drift, or another process holds the lock",
    ExitCode.RECOVERY: "recovery is needed, or staging is disabled",
    ExitCode.NOT_ISOLATED: "isolation is required but not available",
    ExitCode.INTEGRITY: "recorded data no longer agrees with itself",
    ExitCode.BUG: "a bug in Agent Studio; a report that can be pasted was written",
    ExitCode.INTERRUPTED: "interrupted",
}
_ABOUT_KEYS = """\
Every key that Agent Studio owns, with its value in each environment when no file sets it. Where values come from and
which layer wins: [configuration.md](../configuration.md).

`-` is not set. Rates are in per cent, durations in the unit of the key's name. A flag that a project adds under
`features` has the keys `enabled` (off, on in staging) and `rolloutPercentage` (100)."""
_RANK = (8, 6, 5, 1, 3, 4)


def main() -> int:
    """Write or check every generated page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="name stale pages and exit 1; write nothing")
    check = parser.parse_args().check
    made = pages()
    stale = [name for name, text in made.items() if _read(name) != text]
    for name in stale:
        if not check:
            (REPOSITORY / name).parent.mkdir(parents=True, exist_ok=True)
            (REPOSITORY / name).write_text(made[name], encoding="utf-8", newline="\n")
        print(f"{'stale' if check else 'written'}: {name}")
    return int(check and bool(stale))


def pages() -> dict[str, str]:
    """Return every page that is made from the code, in whole or in part, by its path."""
    made = {
        "docs/reference/commands.md": commands(),
        "docs/reference/configuration.md": configuration(),
        "docs/reference/exit-codes.md": exit_codes(),
    }
    for name in WITH_DIFFERENCES:
        if text := _read(name):
            made[name] = _DIFFERENCES.sub(lambda found: f"{found[1]}\n{differences()}\n\n{found[2]}", text)
    return made


def _read(name: str) -> str:
    place = REPOSITORY / name
    return place.read_text(encoding="utf-8") if place.is_file() else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", _NOTE, *filter(None, parts))) + "\n"


def builtin() -> dict[Environment, Config]:
    """Return each environment's configuration without any file."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve())
        project.definitions.mkdir()
        return {environment: inspect(project, environment, {})[0] for environment in Environment}


def differences() -> str:
    """Return the table of what differs between the environments."""
    configs = builtin()
    rows = [("configuration", *(_files(environment) for environment in Environment))]
    rows.append(("data root", *(f"`{_root(config)}/`" for config in configs.values())))
    rows.append(("feature flags", *(_flags(config) for config in configs.values())))
    rows.append(("test data", *(_test_data(config) for config in configs.values())))
    logging = {True: "verbose", False: "standard"}
    rows.append(("logging", *(logging[config["monitoring.verboseLogging"]] for config in configs.values())))
    strict = _limits(configs[Environment.PRODUCTION])
    rows.append(("alerts", *(_alerts(_limits(config), strict) for config in configs.values())))
    for title, name, form in _THRESHOLDS:
        values = [config[f"monitoring.thresholds.{name}"] for config in configs.values()]
        rows.append((title, *("unlimited" if value is None else form.format(value) for value in values)))
    refresh = [config["monitoring.dashboardRefreshMs"] / 1000 for config in configs.values()]
    rows.append(("dashboard refresh", *(f"{seconds:g} s" for seconds in refresh)))
    return _table(("", *Environment), rows)


def _files(environment: Environment) -> str:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve())
        problems = inspect(project, environment, {})[1]
        required = any(isinstance(problem, MissingStagingFileError) for problem in problems)
        own = project.shown(file_name(environment))
        return f"`{project.shown(BASE_FILE)}`, then `{own}` {'(required)' if required else 'if there'}"


def _root(config: Config) -> str:
    return environment_root(Project(Path()), config.environment, config.values()).root


def _flags(config: Config) -> str:
    return "all enabled" if all(config[f"features.{flag}.enabled"] for flag in config.flags) else "as configured"


def _test_data(config: Config) -> str:
    if seeds_test_data(config):
        return f"full seed, {config['testData.artifactsCount']:,} artifacts"
    return "real" if config.environment is Environment.PRODUCTION else "minimal"


def _limits(config: Config) -> list[Any]:
    return [config[f"monitoring.thresholds.{name}"] for _, name, _ in _THRESHOLDS]


def _alerts(own: list[Any], strict: list[Any]) -> str:
    if own == [None] * len(own):
        return "off"
    return "strict" if own == strict else "relaxed limits"


def commands() -> str:
    """Return the page of all commands, from their parsers."""
    parts = [
        "What every verb and sub-verb takes. `agent-studio VERB --help` says the same in a terminal.",
        "Exit codes: [exit-codes.md](exit-codes.md). Shapes of `--json`: [json.md](../json.md).",
        f"Taken by every command:\n\n```text\n{EVERYWHERE.rstrip()}\n```",
        "`agent-studio --version` prints the version.",
        _table(("verb", "does"), [(f"[`{verb}`](#agent-studio-{verb})", does) for verb, does in COMMANDS.items()]),
    ]
    for verb in COMMANDS:
        parser = build_parser(verb, load_command(verb))
        parts += [f"## agent-studio {verb}", *_prose(parser.description or ""), *_command(parser)]
        parts += _sub_verbs(parser, "###")
    return _page("Commands", *parts)


def _sub_verbs(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    """Yield all that stands below a verb or sub-verb, however deep."""
    for inner in _inner(parser).values():
        yield from (f"{heading} {inner.prog}", *_prose(inner.description or _help_of(parser, inner)), *_command(inner))
        yield from _sub_verbs(inner, f"{heading}#")


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; indented ones and command lines are examples."""
    for paragraph in text.strip().split("\n\n"):
        example = paragraph.startswith("  ") or all(line.startswith("agent-studio ") for line in paragraph.splitlines())
        yield f"```text\n{_dedented(paragraph)}\n```" if example else " ".join(paragraph.split())


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def _inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            return dict(action.choices)
    return {}


def _help_of(parser: argparse.ArgumentParser, inner: argparse.ArgumentParser) -> str:
    """Return the line that a parser's list of sub-verbs has for one of them."""
    lists = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    said = {choice.dest: choice.help or "" for listed in lists for choice in listed._choices_actions}  # noqa: SLF001
    text = said.get(inner.prog.split()[-1], "")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield usage and the table of arguments, laid out here: argparse's own layout depends on its version."""
    actions = [
        action
        for action in parser._actions  # noqa: SLF001 - as above
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001
    ]
    usage = parser.usage or " ".join([parser.prog, *_words(parser, actions)])
    yield f"```text\n{usage}\n```"
    rows = [(f"`{_named(action)}`", _meaning(action)) for action in actions]
    if rows:
        yield _table(("argument", "meaning"), rows)


def _words(parser: argparse.ArgumentParser, actions: list[argparse.Action]) -> Iterator[str]:
    together = [group._group_actions for group in parser._mutually_exclusive_groups]  # noqa: SLF001 - as above
    for action in sorted(actions, key=lambda action: bool(action.option_strings)):
        group = next((group for group in together if action in group), [action])
        if action is group[0]:
            word = " | ".join(map(_named, group))
            optional = (not action.required if action.option_strings else False) or action.nargs in {"?", "*"}
            word += " ..." if action.nargs == "*" else ""
            yield f"[{word}]" if optional else word
    if _inner(parser):
        yield "SUBCOMMAND ..."


def _named(action: argparse.Action) -> str:
    """Return how an argument is written."""
    if not action.option_strings:
        return str(action.metavar or "|".join(map(str, action.choices or (action.dest.upper(),))))
    words = action.metavar or action.dest.upper()
    value = words if isinstance(words, str) else " ".join(words)
    shown = {0: "", "?": f" [{value}]"}.get(action.nargs if action.nargs is not None else "", f" {value}")
    return action.option_strings[-1] + shown


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    names = [str(choice) for choice in action.choices or ()]
    if action.option_strings and not all(name in text for name in names):
        text = f"{text}: {', '.join(names)}" if text else ", ".join(names)
    return f"{text} (required)" if action.option_strings and action.required else text


def configuration() -> str:
    """Return the page of all keys, by section."""
    configs = builtin()
    sections: dict[str, list[Key]] = {}
    for key in KEYS:
        sections.setdefault(key.name.rpartition(".")[0] or key.name, []).append(key)
    parts = [_ABOUT_KEYS]
    for section, keys in sections.items():
        rows = [
            (
                f"`{key.name.removeprefix(f'{section}.')}`",
                f"{key.form}{' or null' if key.nullable else ''}",
                *(_valued(key, config[key.name]) for config in configs.values()),
                _range(key),
                key.doc.rstrip("."),
            )
            for key in keys
        ]
        parts += [f"## {section}", _table(("key", "form", *Environment, "limits", "meaning"), rows)]
    parts += ["## Rules", _rules(), "## Environment variables", _variables()]
    parts += ["## Keys of the original Agent Studio", _old_keys()]
    return _page("Configuration keys", *parts)


def _valued(key: Key, value: Any) -> str:
    if value is None:
        return "unlimited" if key.rule else "-"
    if key.form in {Form.STRINGS, Form.OBJECTS}:
        return ", ".join(map(str, value)) or "-"
    return str(value).lower() if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else str(value)


def _range(key: Key) -> str:
    low, high = key.minimum, key.maximum
    if low is None and high is None:
        return "-"
    return f"{low:,.0f} to {high:,.0f}" if low is not None and high is not None else "-"


def _rules() -> str:
    by_rule: dict[str, list[str]] = {}
    for key in KEYS:
        if key.rule:
            by_rule.setdefault(str(key.rule), []).append(f"`{key.name}`")
    told = "A rule decides unless the environment's own file, a variable or `--set` writes the key."
    return f"{told}\n\n{_table(('rule', 'keys'), [(rule, ', '.join(names)) for rule, names in by_rule.items()])}"


def _variables() -> str:
    told = (
        "Every key has a variable: `AGENT_STUDIO_`, then each part of the key in upper case, parts joined by `__`. "
        "Some have an established one beside it; where both are set, the one that starts with `AGENT_STUDIO_` wins. "
        "An unknown variable that starts with `AGENT_STUDIO_` is an error. `AGENT_STUDIO_ENV` chooses the environment."
    )
    rows = [(f"`{key.name}`", f"`{key.own_variable}`", f"`{key.variable}`" if key.variable else "-") for key in KEYS]
    return f"{told}\n\n{_table(('key', 'variable', 'established variable'), rows)}"


def _old_keys() -> str:
    rows = [(f"`{old}`", f"read as `{ours}`") for old, ours in RENAMED.items()]
    rows += [(f"`{old}`", f"not used; decided by {decides}") for old, decides in RETIRED.items()]
    return f"Accepted with a warning.\n\n{_table(('key', 'is'), rows)}"


def exit_codes() -> str:
    """Return the page of exit codes and of the problem codes that lead to them."""
    rank = ", ".join(str(ExitCode(code).value) for code in _RANK)
    return _page(
        "Exit codes",
        "One table for all commands.",
        _table(("code", "meaning"), [(str(code.value), _CODES[code]) for code in ExitCode]),
        f"If several apply, the first of {rank} is given.",
        "## Problem codes",
        "With `--json`, what stopped a command is in `problems`, each with a `code`.",
        _table(
            ("code", "exit code", "meaning"),
            sorted([*_problem_codes(), ("`bug`", str(ExitCode.BUG.value), "A bug in Agent Studio")]),
        ),
    )


def _problem_codes() -> Iterator[tuple[str, str, str]]:
    for fault in _faults():
        yield f"`{fault.code}`", str(int(fault.exit_code)), _summary(fault)


def _faults() -> set[type[AgentStudioError]]:
    for module in pkgutil.walk_packages(agent_studio.__path__, "agent_studio."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, type[AgentStudioError]] = {}
    queue: list[type[AgentStudioError]] = [AgentStudioError]
    while queue:
        fault = queue.pop()
        queue += fault.__subclasses__()
        if "code" in vars(fault) and fault is not AgentStudioError:
            found.setdefault(fault.code, fault)
    return set(found.values())


def _summary(fault: type[AgentStudioError]) -> str:
    return (fault.__doc__ or "").splitlines()[0].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
