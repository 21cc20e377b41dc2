"""Parsing, running and reporting of one command."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from agent_studio.cli import output
from agent_studio.cli.main import ALIASES, COMMANDS
from agent_studio.cli.running import Running
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment, ProjectChoice, choose_environment, choose_project
from agent_studio.environment.disabled import refuse_disabled
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError, ExitCode, UsageError, did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from agent_studio.environment.shared_records import SharedRecords

EVERYWHERE = """everywhere:
  --env NAME         development, staging or production (default: AGENT_STUDIO_ENV, else development)
  --project DIR      the folder that holds .claude/ (default: the nearest one upward)
  --set KEY=VALUE    override one configuration key; may be repeated
  --json             print one JSON object
  --help             show this text
"""


_WITHOUT_STAGING = frozenset(("rollback", "recover", "release", "completion"))
"""Verbs that do without staging, or lead back to it."""
_ACTS_ON = {
    **dict.fromkeys(("candidate", "burnin", "checklist", "signoff", "waive", "gate"), Environment.STAGING),
    **dict.fromkeys(("promote", "rollback", "release", "recover"), Environment.PRODUCTION),
}
"""Verbs of the release path, and the side that each is about where none was chosen."""
COMMON = ("--env", "--project", "--set", "--json", "--help")
_MARGIN = 2
_PLAIN_WIDTH = 80 - _MARGIN


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse's, made for every option that is added: its own look at the terminal imports compression codecs."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_help_width())


@cache
def _help_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns) - _MARGIN
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns - _MARGIN if sys.__stdout__ else _PLAIN_WIDTH
    except (OSError, ValueError):
        return _PLAIN_WIDTH


class Parser(argparse.ArgumentParser):
    """argparse that raises `UsageError` with the nearest option, and writes help like the other texts."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Help)
        options.setdefault("epilog", EVERYWHERE)
        super().__init__(allow_abbrev=False, **options)
        self._later: Callable[[Parser], None] | None = None
        self._given: list[str] = []

    def later(self, configure: Callable[[Parser], None]) -> None:
        """Let options be added when this parser is used: a verb of many parts imports only the one that is meant."""
        self._later = configure

    def complete(self) -> None:
        """Add what waits to be added, here and in the sub-verbs."""
        self._add_waiting()
        for inner in _inner(self):
            inner.complete()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Add what waits to be added, and parse."""
        self._add_waiting()
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def _add_waiting(self) -> None:
        configure, self._later = self._later, None
        if configure is not None:
            configure(self)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and leaving."""
        hint = f"see: {self.prog} --help"
        self.complete()
        known = {*_options(self), *COMMON}
        unknown = [word for word in self._given if word.startswith("--") and word.partition("=")[0] not in known]
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice and unknown:  # its value was taken for a sub-verb
            message = f"unrecognized arguments: {unknown[0]}"
        elif choice:
            message = message[: choice.start()] + f"invalid choice {choice[1]!r}"
            hint = did_you_mean(choice[1], re.findall(r"[\w.-]+", choice[2]))
        if message.startswith("unrecognized"):
            near = (nearest(word, known) for word in message.split() if word.startswith("--") and word not in known)
            hint = next((f"did you mean {option}?" for option in near if option), hint)
        raise UsageError(message, hint=hint)


def _inner(parser: argparse.ArgumentParser) -> Iterator[Parser]:
    """Yield the parsers of the sub-verbs."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            yield from action.choices.values()


def _options(parser: Parser) -> Iterator[str]:
    """Yield the options of a parser and of its sub-verbs."""
    for action in parser._actions:  # noqa: SLF001 - as above
        yield from action.option_strings
    for inner in _inner(parser):
        yield from _options(inner)


class Session:
    """What a command may ask for; each part is worked out when first asked."""

    def __init__(self, common: argparse.Namespace, opened: Callable[[Context], None] | None = None) -> None:
        """Take what is told of the environment once it is open."""
        self.common = common
        self.variables = dict(os.environ)
        self._opened = opened
        self.about: Environment | None = None
        """The side that the command is about, where its options say so."""

    def anew(self) -> Session:
        """Return a session of the same options that looks at everything again."""
        return Session(self.common)

    @cached_property
    def choice(self) -> Choice:
        """The chosen environment."""
        return choose_environment(self.common.env, self.variables)

    @cached_property
    def project_choice(self) -> ProjectChoice:
        """The chosen project folder and what chose it."""
        return choose_project(self.common.project, self.variables, Path.cwd())

    @property
    def project(self) -> Project:
        """The chosen project."""
        return Project(self.project_choice.path)

    def acts_on(self, environment: Environment) -> None:
        """Say which environment a command is about that needs none to be chosen."""
        self.about = environment

    @property
    def overrides(self) -> list[str]:
        """What `--set` says."""
        return list(self.common.set)

    @cached_property
    def context(self) -> Context:
        """The environment with its configuration and root; raises when the configuration is wrong."""
        context = open_context(self.project, self.choice, self.variables, self.overrides)
        if self._opened:
            self._opened(context)
        return context

    def reads(self, shared: SharedRecords) -> None:
        """Have the environment's records read from what many machines share."""
        self.context = self.context._replace(shared=shared)

    def refuse_disabled(self) -> None:
        """Raise `DisabledError` when the chosen environment is out of use; whoever needs a project says so itself."""
        with suppress(UsageError):
            if self.choice.environment is Environment.STAGING:
                refuse_disabled(self.project, self.choice.environment)

    @property
    def sound_context(self) -> Context | None:
        """The same, or None when the configuration is wrong."""
        try:
            return self.context
        except AgentStudioError:
            return None


def dispatch(argv: list[str]) -> int:
    """Run one command line, report its result or fault, and log it; return the exit code."""
    running = Running(argv[: argv.index("--")] if "--" in argv else argv)
    code = _dispatch(argv, running)
    running.ended(code)
    return code


def _dispatch(argv: list[str], running: Running) -> int:
    as_json = "--json" in argv[: argv.index("--")] if "--" in argv else "--json" in argv
    screen = output.Screen(sys.stdout)
    schema = "usage"
    session = None
    try:
        common, rest, command = _split(argv)
        session = Session(common, running.opened)
        if not rest or rest[0] in {"-h", "--help", "help"}:
            screen.block(overview())
            return ExitCode.DONE if rest else ExitCode.USAGE
        rest = _spelled_out(rest)
        verb, module = _find(rest[0])
        schema = verb
        parser = _parser(verb, module)
        args = parser.parse_args(rest[1:])
        schema = running.name = "-".join(filter(None, (verb, getattr(args, "subverb", None))))
        running.options = lambda: (*_options(parser), *COMMON)
        args.command = command
        if verb not in _WITHOUT_STAGING and not getattr(args, "reset", False):
            session.refuse_disabled()
        result: output.Result = module.run(args, session)
        output.report(screen, schema, _about(session, schema), result, as_json=as_json)
    except AgentStudioError as error:
        running.fault = error
        output.report_fault(screen, schema, _environment_name(session, schema), error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        output.warn("interrupted; nothing is half-written, run the command again")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except SystemExit as leaving:  # --help
        return int(leaving.code or 0)
    except Exception as error:  # noqa: BLE001 - the edge: everything else is a bug of ours
        running.fault = error
        output.report_bug(screen, schema, argv, error, as_json=as_json)
        return ExitCode.BUG
    return result.code


def overview() -> str:
    """Return the text of `agent-studio --help`."""
    width = max(map(len, COMMANDS))
    verbs = "\n".join(f"  {verb:<{width}}  {does}" for verb, does in COMMANDS.items())
    return (
        "usage: agent-studio VERB [OPTIONS]\n\n"
        "Environments, telemetry, cost control, search and a release path for a .claude folder.\n\n"
        f"verbs:\n{verbs}\n\n{EVERYWHERE}  --version          show the version\n\n"
        "start: agent-studio init --env staging"
    )


def _parser(verb: str, module: ModuleType) -> Parser:
    parser = Parser(prog=f"agent-studio {verb}", description=module.__doc__)
    module.configure(parser)
    return parser


def build_parser(verb: str, module: ModuleType) -> Parser:
    """Return the whole parser of one verb; its description is the module's docstring."""
    parser = _parser(verb, module)
    parser.complete()
    return parser


def whole_parser() -> Parser:
    """Return one parser of all verbs, for completion scripts and the reference."""
    parser = Parser(prog="agent-studio")
    _add_common(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb, does in COMMANDS.items():
        inner = verbs.add_parser(verb, help=does)
        load_command(verb).configure(inner)
        inner.complete()
        _add_common_below(inner)
    return parser


def _add_common_below(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    for inner in _inner(parser):
        _add_common_below(inner)


def load_command(verb: str) -> ModuleType:
    """Import the module of a verb."""
    return importlib.import_module(f"agent_studio.cli.commands.{verb}")


def _spelled_out(rest: list[str]) -> list[str]:
    """Return a command line with the one alias that has options of its own as a command of ours."""
    if rest[0] != "kb-search":
        return rest
    from agent_studio.cli.kb.original import rewritten  # noqa: PLC0415 - only for it

    return rewritten(rest[1:])


def _find(word: str) -> tuple[str, ModuleType]:
    verb = ALIASES.get(word, word)
    if verb not in COMMANDS:
        raise UsageError(f"unknown command {word!r}", hint=did_you_mean(word, COMMANDS))
    return verb, load_command(verb)


def _split(argv: list[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Return the options that hold everywhere, what is left, and the command after `--`."""
    head, command = argv, []
    if "--" in argv:
        cut = argv.index("--")
        head, command = argv[:cut], argv[cut + 1 :]
    common = Parser(add_help=False, prog="agent-studio")
    _add_common(common)
    namespace, rest = common.parse_known_args(head)
    return namespace, rest, command


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", metavar="NAME", help="development, staging or production")
    parser.add_argument("--project", metavar="DIR", help="the folder that holds .claude/")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _about(session: Session, schema: str) -> str:
    """Return the environment that a command is about: by its options or verb, or as it was chosen."""
    chosen = session.choice
    side = session.about or _ACTS_ON.get(schema.partition("-")[0])
    return str(chosen.environment if side is None or chosen.source != "default" else side)


def _environment_name(session: Session | None, schema: str) -> str | None:
    if session is None:
        return None
    try:
        return _about(session, schema)
    except AgentStudioError:
        return None
