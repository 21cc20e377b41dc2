from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_studio import __version__
from agent_studio.cli import dispatch
from agent_studio.cli.main import COMMANDS, main
from agent_studio.cli.output import Screen, warn

if TYPE_CHECKING:
    from tests.conftest import Studio


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"agent-studio {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for verb, does in COMMANDS.items():
        assert verb in printed
        assert does in printed


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help_that_reads_like_documentation(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: agent-studio {verb}")
    assert "everywhere:" in printed
    module = dispatch.load_command(verb)
    assert (module.__doc__ or "").strip().splitlines()[0] in printed
    parser = dispatch.build_parser(verb, module)
    undocumented = [action.dest for action in parser._actions if action.option_strings and not action.help]
    assert undocumented == []


@pytest.mark.parametrize(("verb", "subverb", "shown", "other"), [
    ("alerts", "silence", "--reason", "--why"), ("flags", "rollout", "--reason", "--why"),
    ("eval", "run", "--limit-usd", "--budget-usd"), ("elicit", "run", "--budget-usd", "--limit-usd"),
    ("party", "run", "--budget-usd", "--limit-usd"), ("party", "bench", "--budget-usd", "--limit-usd"),
])  # fmt: skip
def test_an_option_of_two_names_takes_both_and_shows_one(
    capsys: pytest.CaptureFixture[str], verb: str, subverb: str, shown: str, other: str
) -> None:
    assert main([verb, subverb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert shown in printed
    assert other not in printed
    parser = dispatch.build_parser(verb, dispatch.load_command(verb))
    needed = {"silence": ["x"], "bench": ["x"]}.get(subverb, [])
    one, two = (vars(parser.parse_args([subverb, *needed, name, "7"])) for name in (shown, other))
    assert one == two
    assert "7" in one.values()


def test_no_arguments_show_the_overview_and_fail() -> None:
    assert main([]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smok"], 'did you mean "smoke"?'),
        (["kb", "serach", "x"], "invalid choice"),
        (["kb", "search", "x", "--limt", "3"], "did you mean --limit?"),
        (["init", "--rest"], "did you mean --reset?"),
        (["init", "--with-activity", "1000"], "from 1 to 90 days"),
        (["--env"], "--env"),
    ],
)
def test_a_wrong_command_line_names_what_would_be_right(bare: Studio, arguments: list[str], said: str) -> None:
    done = bare.run(*arguments)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_errors_are_one_object_for_programs(bare: Studio) -> None:
    done = bare.run("smoke", "--env", "stagng", "--json")
    assert done.code == 2
    assert done.envelope == {
        "schema": "agent-studio/smoke/1", "ok": False, "environment": None, "data": {},
        "problems": [{
            "code": "usage", "message": "--env names an unknown environment: 'stagng'",
            "hint": 'did you mean "staging"?',
        }],
    }  # fmt: skip
    assert done.err == ""
    assert bare.run("smoek", "--json").envelope["ok"] is False


def test_options_that_hold_everywhere_may_stand_anywhere(bare: Studio) -> None:
    for arguments in (("--json", "--env", "staging", "init"), ("init", "--env=staging", "--json")):
        assert bare.run(*arguments).envelope["environment"] == "staging"


def test_the_project_is_found_from_a_folder_inside_it_and_by_name(staged: Studio, tmp_path: Path) -> None:
    inside = staged.path / "deep" / "inside"
    inside.mkdir(parents=True)
    for options in ({"cwd": inside}, {"cwd": tmp_path, "variables": {"CLAUDE_PROJECT_DIR": str(staged.path)}}):
        data = staged.run("status", "--env", "staging", "--json", **options).data
        assert data["project"] == str(staged.path)
    named = staged.run("status", "--env", "staging", "--json", "--project", str(staged.path), cwd=tmp_path)
    assert named.data["project"] == str(staged.path)


def test_a_bug_of_ours_leaves_a_report_that_can_be_pasted(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "ghp_" + "Qz7" * 12

    def explode(*_: object) -> None:
        raise RuntimeError(f"boom {secret}")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("agent_studio.cli.commands.smoke.run_smoke", explode)
    done = staged.run("smoke", "--env", "staging")
    assert done.code == 70
    (report,) = tmp_path.glob("agent-studio-bug-*.txt")
    text = report.read_text()
    assert "RuntimeError" in text
    assert "command: agent-studio smoke --env staging" in text
    assert secret not in text + done.err


def test_a_closed_pipe_ends_quietly(staged: Studio) -> None:
    command = f"{sys.executable} -m agent_studio init --env staging | head -n 1"
    done = subprocess.run(command, shell=True, cwd=staged.path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("╔")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "tcsh"])
def test_completion_knows_every_verb(bare: Studio, shell: str) -> None:
    done = bare.run("completion", shell)
    assert done.code == 0
    assert all(verb in done.out for verb in COMMANDS)
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.out, text=True, check=False).returncode == 0


def test_output_is_json_even_on_a_narrow_encoding(staged: Studio) -> None:
    done = staged.process("status", "--env", "staging", "--json", variables={"PYTHONIOENCODING": "ascii"})
    assert done.out.isascii()
    assert json.loads(done.out)["data"]["project"] == str(staged.path)


def test_the_installed_command_and_the_module_are_the_same() -> None:
    script = Path(sys.executable).with_name("agent-studio")
    for command in ([str(script)], [sys.executable, "-m", "agent_studio"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"agent-studio {__version__}\n"


def test_no_text_of_others_acts_on_the_terminal_or_begins_a_line() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    screen = Screen(stream)
    screen.mark("bad", "SEC-9: \x1b[2K\r✓ all hold\n✓ signed\u2028\u202e")
    screen.line("\nPASS: because\nof\tthis\x9b1A\n")
    screen.line()
    screen.line("\n")
    stream.seek(0)
    assert stream.read() == (
        "✗ SEC-9: \ufffd[2K ✓ all hold ✓ signed \ufffd\n\nPASS: because of    this\ufffd1A\n\n\n\n\n"
    )


def test_what_goes_to_stderr_begins_no_line_of_its_own_either(capsys: pytest.CaptureFixture[str]) -> None:
    warn("error: no file 'a\nagent-studio: all is well\x1b[2J'", "name\nanother")
    assert capsys.readouterr().err == (
        "agent-studio: error: no file 'a\n    agent-studio: all is well\ufffd[2J'\n  name\n    another\n"
    )


def test_a_secret_of_several_lines_is_taken_out_before_they_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    body = "\n".join("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt" for _ in range(4))
    secret = f"it said -----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----"
    Screen(sys.stdout).line(secret)
    warn(secret, secret)
    said = capsys.readouterr()
    assert "b3BlbnNz" not in said.out + said.err


def test_a_sentence_is_folded_at_words_to_a_terminal_and_whole_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    text = "sign-off.qa: the one there is does not count: it is about another evidence"
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        Screen(stream).told("bad", text)
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 44, "as wide as the terminal, and the mark"
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(terminal.getvalue().split()[1:]) == text
    assert len(pipe.getvalue().splitlines()) == 1
