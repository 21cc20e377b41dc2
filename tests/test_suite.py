from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import Project, environment_root
from agent_studio.release.content.candidate import candidate
from agent_studio.staging.suite import last_evidence
from agent_studio.staging.suite_output import SuiteOutput

if TYPE_CHECKING:
    from tests.conftest import Finished, Studio

CONTRACT_FIELDS = {
    "command", "verdict", "passed", "failed", "skipped", "regressions", "durationMs", "commit", "candidate",
}  # fmt: skip
SECRET = "ghp_" + "a1B2" * 10
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and modes")


@pytest.fixture
def configured(bare: Studio) -> Studio:
    """A project whose staging is configured by hand."""
    bare.write(".claude/config.staging.yaml", "environment: staging\n")
    return bare


def says(text: str, *, code: int = 0) -> list[str]:
    """Return a command that prints a text and leaves with a code."""
    return ["--", sys.executable, "-c", f"import sys; print({text!r}); sys.exit({code})"]


def runs(studio: Studio, program: str) -> list[str]:
    """Return a command whose program can change between runs without the command changing."""
    studio.write("suite.py", program)
    return ["--", sys.executable, "suite.py"]


def own(studio: Studio, program: str) -> list[str]:
    """Have the project's files call for a program; return no command."""
    runs(studio, program)
    studio.write("Makefile", f"test:\n\t@{sys.executable} suite.py\n")
    return []


def run(studio: Studio, *arguments: str, env: str = "staging", **options: Any) -> Finished:
    return studio.run("test", "--env", env, "--json", *arguments, **options)


def evidence(studio: Studio, done: Finished) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((studio.path / done.data["file"]).read_text("utf-8"))
    return kept


def test_a_green_suite_passes_and_its_result_has_the_fields_of_the_contract(configured: Studio) -> None:
    done = run(configured, *says("12 passed, 0 failed, 2 skipped"))
    assert (done.code, done.err) == (0, "")
    assert done.envelope["ok"] is True
    assert done.data.keys() >= CONTRACT_FIELDS
    assert [done.data[name] for name in ("verdict", "passed", "failed", "skipped")] == ["PASS", 12, 0, 2]
    assert done.data["regressions"] == []
    assert done.data["commit"] is None
    assert done.data["candidate"] == candidate(Project(Path(os.path.realpath(configured.path)))).sha256
    assert isinstance(done.data["command"], str)
    assert shlex.split(done.data["command"])[0] == sys.executable


@pytest.mark.parametrize(
    ("text", "leaves_with", "verdict", "exit_code"),
    [
        ("3 passed, 0 failed", 0, "PASS", 0),
        ("3 passed, 1 failed", 0, "FAIL", 1),
        ("3 passed, 0 failed", 4, "FAIL", 1),
        ("nothing to count", 1, "FAIL", 1),
        ("nothing to count", 0, "INSUFFICIENT", 3),
        ("0 passed, 0 failed", 0, "INSUFFICIENT", 3),
        ("0 passed, 7 skipped", 0, "INSUFFICIENT", 3),
    ],
)
def test_the_verdict_follows_from_code_and_counts(
    configured: Studio, text: str, leaves_with: int, verdict: str, exit_code: int
) -> None:
    done = run(configured, *says(text, code=leaves_with))
    assert (done.data["verdict"], done.code, done.data["exitCode"]) == (verdict, exit_code, leaves_with)
    if text.startswith("nothing"):
        assert [done.data[name] for name in ("passed", "failed", "skipped")] == [None, None, None]


@POSIX
@pytest.mark.parametrize(("program", "said"), [
    ("sh: 1: bun: not found", "bun is not there (exit code 127)"),
    ("bash: line 1: bun: command not found", "bun is not there (exit code 127)"),
    ("zsh:1: command not found: bun", "bun is not there (exit code 127)"),
    ("a word", "a program of the suite is not there (exit code 127)"),
])  # fmt: skip
def test_a_suite_whose_program_is_missing_proves_nothing(configured: Studio, program: str, said: str) -> None:
    done = run(configured, *says(program, code=127))
    assert (done.code, done.data["verdict"]) == (3, "INSUFFICIENT")
    (problem,) = [one for one in done.envelope["problems"] if one["code"] == "program-missing"]
    assert said in problem["message"]
    assert "agent-studio test -- CMD" in problem["hint"]
    assert run(configured, *says(f"1 passed, 1 failed\n{program}", code=127)).code == 1, "a test was counted"


@POSIX
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
@pytest.mark.parametrize(("line", "said"), [
    ("no-such-tool test", "no-such-tool is not there"), ("cd . && no-such-tool", "no-such-tool is not there"),
    ("./plain.txt", "./plain.txt cannot be executed"),
])  # fmt: skip
def test_make_leaves_with_its_own_code_and_says_the_shells(configured: Studio, line: str, said: str) -> None:
    configured.write("plain.txt", "x\n")
    configured.write("Makefile", f"test:\n\t{line}\n")
    done = run(configured)
    assert (done.code, done.data["exitCode"]) == (3, 2)
    assert said in done.envelope["problems"][0]["message"]


@POSIX
def test_death_by_a_signal_is_a_failure_and_named(configured: Studio) -> None:
    done = run(
        configured,
        "--",
        sys.executable,
        "-c",
        "import os; print('3 passed, 0 failed', flush=True); os.kill(os.getpid(), 9)",
    )
    assert (done.code, done.data["verdict"], done.data["exitCode"]) == (1, "FAIL", -9)
    assert "SIGKILL" in done.envelope["problems"][0]["message"]


def test_a_real_pytest_suite_is_found_counted_and_named(configured: Studio) -> None:
    configured.write(
        "tests/test_sums.py",
        "import os, pytest\n"
        "def test_one(): assert os.environ['AGENT_STUDIO_ENV'] == 'staging'\n"
        "@pytest.mark.parametrize('broken', [os.environ.get('BROKEN')])\n"
        "def test_two(broken): assert not broken\n"
        "@pytest.mark.skip\ndef test_three(): pass\n",
    )
    green = run(configured, variables={"PYTEST_ADDOPTS": "-p no:cacheprovider"})
    assert (green.code, green.data["source"]) == (0, "pytest (tests/)")
    assert sorted(evidence(configured, green)["passedNames"]) == [
        "tests.test_sums::test_one",
        "tests.test_sums::test_two[None]",
    ]
    assert green.data["skipped"] == 1
    red = run(configured, variables={"BROKEN": "yes"})
    assert (red.code, red.data["passed"], red.data["failed"]) == (1, 1, 1)
    assert red.data["failures"] == ["tests.test_sums::test_two[yes]"]
    assert red.data["regressions"] == []


def test_pytest_below_another_command_is_counted_from_its_junit_file(configured: Studio) -> None:
    configured.write("tests/test_a.py", "def test_one(): pass\ndef test_two(): pass\n")
    configured.write(
        "suite.py",
        "import subprocess, sys\n"
        "sys.exit(subprocess.run([sys.executable, '-m', 'pytest', 'tests'], capture_output=True).returncode)\n",
    )
    done = run(configured, "--", sys.executable, "suite.py")
    assert (done.code, done.data["passed"]) == (0, 2)
    assert sorted(evidence(configured, done)["passedNames"]) == ["tests.test_a::test_one", "tests.test_a::test_two"]


def test_a_half_written_junit_file_does_not_count(configured: Studio) -> None:
    program = (
        "import os, shlex\n"
        "option = shlex.split(os.environ['PYTEST_ADDOPTS'])[-1]\n"
        "open(option.partition('=')[2], 'w').write('<testsuite><testcase name=\"a\"/>')\n"
    )
    assert run(configured, *runs(configured, program)).data["verdict"] == "INSUFFICIENT"


def test_the_suite_works_in_a_data_root_of_its_own_that_is_removed_afterwards(configured: Studio) -> None:
    configured.write(".claude/staging/knowledge/knowledge-base-index.csv", "name,path\nown,x\n")
    program = (
        "import json, os, pathlib\n"
        "root = {key.rpartition('__')[2]: pathlib.Path(value) for key, value in os.environ.items()"
        " if key.startswith('AGENT_STUDIO_PATHS__')}\n"
        "assert sorted(root) == ['AGENTS', 'CONTEXT', 'KNOWLEDGE', 'MEMORY', 'METRICS', 'SESSIONS'], root\n"
        "assert all(path.is_dir() and '/suite/' in path.as_posix() for path in root.values())\n"
        "assert (root['METRICS'] / 'hooks.jsonl').read_bytes() == b''\n"
        "assert (root['METRICS'] / 'llm-usage.log').exists() and (root['SESSIONS'] / 'session-log.jsonl').exists()\n"
        "assert (root['MEMORY'] / 'learnings.md').exists()\n"
        "assert json.loads((root['CONTEXT'] / 'evolution-state.json').read_text())['history'] == []\n"
        "assert 'own,x' in (root['KNOWLEDGE'] / 'knowledge-base-index.csv').read_text()\n"
        "(root['MEMORY'] / 'con.|?' ).write_text('a name that the door refuses')\n"
        "print('1 passed, 0 failed')\n"
    )
    before = configured.snapshot(".claude")
    done = run(configured, *own(configured, program))
    assert done.data["verdict"] == "PASS", done.out
    assert configured.snapshot(".claude") == before
    assert list((configured.path / ".agent-studio" / "staging" / "suite").iterdir()) == []
    assert done.envelope["problems"] == []


def test_the_studio_itself_run_by_the_suite_uses_the_scratch_root(configured: Studio) -> None:
    program = (
        "import subprocess, sys\n"
        "from agent_studio.environment import context, detect, roots\n"
        "import os, pathlib\n"
        "choice = detect.choose_environment(None, os.environ)\n"
        "opened = context.open_context(roots.Project(pathlib.Path.cwd()), choice, os.environ)\n"
        "assert '/suite/' in opened.root.folder('memory').path.as_posix()\n"
        "assert opened.root.folder('memory').has_file('learnings.md')\n"
        "print('1 passed, 0 failed')\n"
    )
    assert run(configured, *runs(configured, program)).data["verdict"] == "PASS"


def test_data_changed_outside_the_scratch_root_is_named_and_only_a_warning(configured: Studio) -> None:
    configured.write(".claude/memory/learnings.md", "old")
    program = (
        "import pathlib\n"
        "pathlib.Path('.claude/memory/learnings.md').write_text('changed')\n"
        "for n in range(7):\n"
        "    place = pathlib.Path(f'.claude/staging/metrics/new{n}.jsonl')\n"
        "    place.parent.mkdir(parents=True, exist_ok=True)\n"
        "    place.touch()\n"
        "print('1 passed, 0 failed')\n"
    )
    done = run(configured, *own(configured, program))
    assert done.code == 0
    (problem,) = done.envelope["problems"]
    assert problem["code"] == "data-changed"
    assert ".claude/memory/learnings.md" in problem["message"]
    assert "new3.jsonl" in problem["message"]
    assert "new4.jsonl" not in problem["message"]
    assert "and 3 more" in problem["message"]


def test_a_failure_that_was_green_in_any_environment_is_a_regression(configured: Studio) -> None:
    command = runs(configured, "print('ok 1 - old\\nok 2 - new\\n1..2')")
    assert run(configured, *command, env="development").code == 0
    runs(configured, "print('not ok 1 - old\\nnot ok 2 - unseen\\nok 3 - new\\n1..3')")
    done = run(configured, *command)
    assert done.code == 1
    assert done.data["regressions"] == ["old"]
    assert done.data["failures"] == ["old", "unseen"]
    again = run(configured, *command)
    assert again.data["regressions"] == ["old"]
    other = run(configured, *says("not ok 1 - old\n1..1"))
    assert other.data["regressions"] == []


def test_only_the_newest_green_run_says_what_a_regression_is(configured: Studio) -> None:
    command = runs(configured, "print('ok 1 - dropped\\n1..1')")
    run(configured, *command)
    runs(configured, "print('ok 1 - kept\\n1..1')")
    run(configured, *command)
    runs(configured, "print('not ok 1 - dropped\\nnot ok 2 - kept\\n1..2')")
    assert run(configured, *command).data["regressions"] == ["kept"]


def test_without_names_in_the_last_green_run_every_failure_is_a_regression_with_a_note(configured: Studio) -> None:
    command = runs(configured, "print('2 passed, 0 failed')")
    run(configured, *command)
    runs(configured, "print('not ok 1 - x\\n1..1')")
    done = run(configured, *command)
    assert done.data["regressions"] == ["x"]
    assert "names were not available" in done.envelope["problems"][0]["message"]


def test_the_last_evidence_of_an_environment_is_its_own_newest_readable_one(configured: Studio) -> None:
    project = Project(Path(os.path.realpath(configured.path)))
    root = environment_root(project, Environment.STAGING, {})
    assert last_evidence(root) is None
    run(configured, *says("1 passed, 0 failed"))
    run(configured, *says("0 passed, 1 failed"))
    run(configured, *says("5 passed, 0 failed"), env="development")
    configured.write(".agent-studio/staging/tests/99990101T000000.000Z-00000000.json", "{")
    kept = last_evidence(root)
    assert kept
    assert kept["verdict"] == "FAIL"


def test_a_damaged_evidence_file_is_passed_over(configured: Studio) -> None:
    command = runs(configured, "print('ok 1 - x\\n1..1')")
    run(configured, *command)
    configured.write(".agent-studio/production/tests/99990101T000000.000Z-00000000.json", '{"verdict": "PASS", ')
    configured.write(".agent-studio/production/tests/99990101T000000.000Z-00000001.json", "[]")
    runs(configured, "print('not ok 1 - x\\n1..1')")
    assert run(configured, *command).data["regressions"] == ["x"]


def test_evidence_and_log_are_kept_redacted_and_private(configured: Studio) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(["QUJD" * 16] * 20) + "\n-----END RSA PRIVATE KEY-----"
    program = (
        f"print('token', {SECRET!r}); print('x' * 65_000); print({key!r}); print('y' * 300_000)\n"
        f"print('ok 1 - {SECRET}\\n1..1\\nlast line')\n"
    )
    done = run(configured, *runs(configured, program))
    place = configured.path / done.data["file"]
    log = place.with_suffix(".log")
    text = log.read_text("utf-8")
    assert SECRET not in text + place.read_text("utf-8")
    assert "QUJD" not in text
    assert "[REDACTED:github-token]" in text
    assert text.endswith("last line\n")
    assert text.count("y") >= 300_000
    kept = evidence(configured, done)
    assert kept["schema"] == "agent-studio/test-evidence/1"
    assert kept["environment"] == "staging"
    assert kept["startedAt"].endswith("Z")
    if os.name != "nt":
        assert (place.stat().st_mode & 0o777, log.stat().st_mode & 0o777) == (0o600, 0o600)


@pytest.mark.parametrize("lead", [64_000, 65_000, 65_400, 65_500, 66_000])
def test_a_key_of_many_lines_is_redacted_wherever_the_output_is_cut(lead: int) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "QUJD\n" * 300 + "-----END PRIVATE KEY-----\n"
    data = ("x" * lead + "\n" + key + "y\n" * 50_000).encode()
    log, echoed = io.BytesIO(), list[str]()
    output = SuiteOutput(log, echoed.append)
    for start in range(0, len(data), 100):
        output.take(data[start : start + 100])
    output.finish()
    assert b"QUJD" not in log.getvalue()
    assert log.getvalue().count(b"y\n") == 50_000
    assert "".join(echoed).encode() == log.getvalue()


def test_commit_and_dirty_say_what_the_suite_ran_against(configured: Studio) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=configured.path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "start")
    clean = run(configured, *says("1 passed, 0 failed"))
    assert (clean.data["commit"], clean.data["dirty"]) == (git("rev-parse", "HEAD"), False)
    configured.write(".claude/staging/metrics/hooks.jsonl", "")
    assert run(configured, *says("1 passed, 0 failed")).data["dirty"] is False
    configured.write("README.md", "new")
    assert run(configured, *says("1 passed, 0 failed")).data["dirty"] is True


def test_definitions_that_change_meanwhile_are_a_warning(configured: Studio) -> None:
    program = "open('.claude/agents/new.md', 'w').write('x'); print('1 passed, 0 failed')\n"
    done = run(configured, *own(configured, program))
    assert [problem["code"] for problem in done.envelope["problems"]] == ["candidate-changed"]


def test_people_see_the_command_first_then_the_output_then_the_verdict(configured: Studio) -> None:
    done = configured.run("test", "--env", "staging", *says("from the suite\nnot ok 1 - broken\n1..1", code=1))
    assert done.code == 1
    assert done.err.index("given after --") < done.err.index("\nfrom the suite")
    assert "FAIL" in done.out
    assert "0 passed, 1 failed, 0 skipped" in done.out
    assert "broken" in done.out
    assert ".agent-studio/staging/tests/" in done.out
    assert "from the suite" not in done.out


def test_the_configured_command_is_used_and_its_line_named(configured: Studio) -> None:
    configured.write("suite.py", "print('1 passed, 0 failed')")
    words = json.dumps(shlex.join([sys.executable, "suite.py"]))
    configured.write(".claude/config.yaml", f"\ntest:\n  command: {words}\n")
    done = run(configured)
    assert (done.code, done.data["source"]) == (0, "test.command (.claude/config.yaml:3)")


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--", "no-such-program-here"], "no-such-program-here"), ([], "no test command found")]
)
def test_what_cannot_be_started_is_a_usage_error_and_leaves_nothing(
    configured: Studio, arguments: list[str], said: str
) -> None:
    before = configured.snapshot()
    done = run(configured, *arguments)
    assert done.code == 2
    assert said in done.envelope["problems"][0]["message"]
    assert configured.snapshot() == before


def test_staging_without_its_configuration_is_refused(bare: Studio) -> None:
    assert run(bare, *says("1 passed, 0 failed")).code == 2
    assert run(bare, *says("1 passed, 0 failed"), env="development").code == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_long_output_is_counted_in_little_memory(configured: Studio) -> None:
    program = (
        "import sys\n"
        "for n in range(120_000): sys.stdout.write('a log line that says nothing of use to anyone at all %d\\n' % n)\n"
        "sys.stdout.write('z' * 30_000_000)\n"
        "print('\\n5 passed in 0.1s')\n"
    )
    measured = (
        "import re, sys; from agent_studio.cli.main import main; main(sys.argv[1:])\n"
        "sys.stderr.write(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    command = ["test", "--env", "staging", "--json", *runs(configured, program)]
    done = subprocess.run(
        [sys.executable, "-c", measured, *command], cwd=configured.path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["data"]["passed"] == 5
    assert int(done.stderr) / 1024 < 80


@POSIX
def test_an_interrupt_ends_the_suites_whole_group_and_leaves_no_half_evidence(configured: Studio) -> None:
    program = (
        "import subprocess, pathlib\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "pathlib.Path('pid').write_text(str(child.pid))\n"
        "child.wait()\n"
    )
    command = [sys.executable, "-m", "agent_studio", "test", "--env", "staging", *runs(configured, program)]
    process = subprocess.Popen(command, cwd=configured.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    place = configured.path / "pid"
    while not (place.exists() and place.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert list((configured.path / ".agent-studio" / "staging" / "tests").iterdir()) == []
    assert list((configured.path / ".agent-studio" / "staging" / "suite").iterdir()) == []
    status = Path(f"/proc/{place.read_text()}/stat")
    assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
