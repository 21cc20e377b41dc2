from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.environment.roots import Project
from agent_studio.release.candidate import candidate

if TYPE_CHECKING:
    from tests.conftest import Finished, Studio

CONTRACT_FIELDS = {
    "command", "verdict", "passed", "failed", "skipped", "regressions", "durationMs", "commit", "candidate",
}  # fmt: skip
SECRET = "ghp_" + "a1B2" * 10
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and modes")


@pytest.fixture
def staged(bare: Studio) -> Studio:
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


def run(studio: Studio, *arguments: str, env: str = "staging", **options: Any) -> Finished:
    return studio.run("test", "--env", env, "--json", *arguments, **options)


def evidence(studio: Studio, done: Finished) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((studio.path / done.data["evidence"]).read_text("utf-8"))
    return kept


def test_a_green_suite_passes_and_its_result_has_the_fields_of_the_contract(staged: Studio) -> None:
    done = run(staged, *says("12 passed, 0 failed, 2 skipped"))
    assert (done.code, done.err) == (0, "")
    assert done.envelope["ok"] is True
    assert done.data.keys() >= CONTRACT_FIELDS
    assert [done.data[name] for name in ("verdict", "passed", "failed", "skipped")] == ["PASS", 12, 0, 2]
    assert done.data["regressions"] == []
    assert done.data["commit"] is None
    assert done.data["candidate"] == candidate(Project(Path(os.path.realpath(staged.path)))).sha256
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
    staged: Studio, text: str, leaves_with: int, verdict: str, exit_code: int
) -> None:
    done = run(staged, *says(text, code=leaves_with))
    assert (done.data["verdict"], done.code, done.data["exitCode"]) == (verdict, exit_code, leaves_with)
    if text.startswith("nothing"):
        assert [done.data[name] for name in ("passed", "failed", "skipped")] == [None, None, None]


@POSIX
def test_death_by_a_signal_is_a_failure_and_named(staged: Studio) -> None:
    done = run(
        staged,
        "--",
        sys.executable,
        "-c",
        "import os; print('3 passed, 0 failed', flush=True); os.kill(os.getpid(), 9)",
    )
    assert (done.code, done.data["verdict"], done.data["exitCode"]) == (1, "FAIL", -9)
    assert "SIGKILL" in done.envelope["problems"][0]["message"]


@pytest.mark.slow
def test_a_real_pytest_suite_is_found_counted_and_named(staged: Studio) -> None:
    staged.write(
        "tests/test_sums.py",
        "import os, pytest\n"
        "def test_one(): assert os.environ['AGENT_STUDIO_ENV'] == 'staging'\n"
        "@pytest.mark.parametrize('broken', [os.environ.get('BROKEN')])\n"
        "def test_two(broken): assert not broken\n"
        "@pytest.mark.skip\ndef test_three(): pass\n",
    )
    green = run(staged, variables={"PYTEST_ADDOPTS": "-p no:cacheprovider"})
    assert (green.code, green.data["source"]) == (0, "pytest (tests/)")
    assert evidence(staged, green)["passedNames"] == ["tests.test_sums::test_one", "tests.test_sums::test_two[None]"]
    assert green.data["skipped"] == 1
    red = run(staged, variables={"BROKEN": "yes"})
    assert (red.code, red.data["passed"], red.data["failed"]) == (1, 1, 1)
    assert red.data["failures"] == ["tests.test_sums::test_two[yes]"]
    assert red.data["regressions"] == []


@pytest.mark.slow
def test_pytest_below_another_command_is_counted_from_its_junit_file(staged: Studio) -> None:
    staged.write("tests/test_a.py", "def test_one(): pass\ndef test_two(): pass\n")
    staged.write(
        "suite.py",
        "import subprocess, sys\n"
        "sys.exit(subprocess.run([sys.executable, '-m', 'pytest', 'tests'], capture_output=True).returncode)\n",
    )
    done = run(staged, "--", sys.executable, "suite.py")
    assert (done.code, done.data["passed"]) == (0, 2)
    assert evidence(staged, done)["passedNames"] == ["tests.test_a::test_one", "tests.test_a::test_two"]


def test_a_half_written_junit_file_does_not_count(staged: Studio) -> None:
    program = (
        "import os, shlex\n"
        "option = shlex.split(os.environ['PYTEST_ADDOPTS'])[-1]\n"
        "open(option.partition('=')[2], 'w').write('<testsuite><testcase name=\"a\"/>')\n"
    )
    assert run(staged, *runs(staged, program)).data["verdict"] == "INSUFFICIENT"


def test_the_suite_works_in_a_data_root_of_its_own_that_is_removed_afterwards(staged: Studio) -> None:
    staged.write(".claude/staging/knowledge/knowledge-base-index.csv", "name,path\nown,x\n")
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
    before = staged.snapshot(".claude")
    done = run(staged, *runs(staged, program))
    assert done.data["verdict"] == "PASS", done.out
    assert staged.snapshot(".claude") == before
    assert list((staged.path / ".agent-studio" / "staging" / "suite").iterdir()) == []
    assert done.envelope["problems"] == []


@pytest.mark.slow
def test_the_studio_itself_run_by_the_suite_uses_the_scratch_root(staged: Studio) -> None:
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
    assert run(staged, *runs(staged, program)).data["verdict"] == "PASS"


def test_data_changed_outside_the_scratch_root_is_named_and_only_a_warning(staged: Studio) -> None:
    staged.write(".claude/memory/learnings.md", "old")
    program = (
        "import pathlib\n"
        "pathlib.Path('.claude/memory/learnings.md').write_text('changed')\n"
        "for n in range(7):\n"
        "    place = pathlib.Path(f'.claude/staging/metrics/new{n}.jsonl')\n"
        "    place.parent.mkdir(parents=True, exist_ok=True)\n"
        "    place.touch()\n"
        "print('1 passed, 0 failed')\n"
    )
    done = run(staged, *runs(staged, program))
    assert done.code == 0
    (problem,) = done.envelope["problems"]
    assert problem["code"] == "data-changed"
    assert ".claude/memory/learnings.md" in problem["message"]
    assert "new3.jsonl" in problem["message"]
    assert "new4.jsonl" not in problem["message"]
    assert "and 3 more" in problem["message"]


def test_a_failure_that_was_green_in_any_environment_is_a_regression(staged: Studio) -> None:
    command = runs(staged, "print('ok 1 - old\\nok 2 - new\\n1..2')")
    assert run(staged, *command, env="development").code == 0
    runs(staged, "print('not ok 1 - old\\nnot ok 2 - unseen\\nok 3 - new\\n1..3')")
    done = run(staged, *command)
    assert done.code == 1
    assert done.data["regressions"] == ["old"]
    assert done.data["failures"] == ["old", "unseen"]
    again = run(staged, *command)
    assert again.data["regressions"] == ["old"]
    other = run(staged, *says("not ok 1 - old\n1..1"))
    assert other.data["regressions"] == []


def test_only_the_newest_green_run_says_what_a_regression_is(staged: Studio) -> None:
    command = runs(staged, "print('ok 1 - dropped\\n1..1')")
    run(staged, *command)
    runs(staged, "print('ok 1 - kept\\n1..1')")
    run(staged, *command)
    runs(staged, "print('not ok 1 - dropped\\nnot ok 2 - kept\\n1..2')")
    assert run(staged, *command).data["regressions"] == ["kept"]


def test_without_names_in_the_last_green_run_every_failure_is_a_regression_with_a_note(staged: Studio) -> None:
    command = runs(staged, "print('2 passed, 0 failed')")
    run(staged, *command)
    runs(staged, "print('not ok 1 - x\\n1..1')")
    done = run(staged, *command)
    assert done.data["regressions"] == ["x"]
    assert "names were not available" in done.envelope["problems"][0]["message"]


def test_a_damaged_evidence_file_is_passed_over(staged: Studio) -> None:
    command = runs(staged, "print('ok 1 - x\\n1..1')")
    run(staged, *command)
    staged.write(".agent-studio/production/tests/99990101T000000.000Z-00000000.json", '{"verdict": "PASS", ')
    staged.write(".agent-studio/production/tests/99990101T000000.000Z-00000001.json", "[]")
    runs(staged, "print('not ok 1 - x\\n1..1')")
    assert run(staged, *command).data["regressions"] == ["x"]


def test_evidence_and_log_are_kept_redacted_and_private(staged: Studio) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(["QUJD" * 16] * 20) + "\n-----END RSA PRIVATE KEY-----"
    program = (
        f"print('token', {SECRET!r}); print('x' * 65_000); print({key!r}); print('y' * 300_000)\n"
        f"print('ok 1 - {SECRET}\\n1..1\\nlast line')\n"
    )
    done = run(staged, *runs(staged, program))
    place = staged.path / done.data["evidence"]
    log = place.with_suffix(".log")
    text = log.read_text("utf-8")
    assert SECRET not in text + place.read_text("utf-8")
    assert "QUJD" not in text
    assert "[REDACTED:github-token]" in text
    assert text.endswith("last line\n")
    assert text.count("y") >= 300_000
    kept = evidence(staged, done)
    assert kept["schema"] == "agent-studio/test-evidence/1"
    assert kept["environment"] == "staging"
    assert kept["startedAt"].endswith("Z")
    if os.name != "nt":
        assert (place.stat().st_mode & 0o777, log.stat().st_mode & 0o777) == (0o600, 0o600)


def test_commit_and_dirty_say_what_the_suite_ran_against(staged: Studio) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=staged.path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "start")
    clean = run(staged, *says("1 passed, 0 failed"))
    assert (clean.data["commit"], clean.data["dirty"]) == (git("rev-parse", "HEAD"), False)
    staged.write(".claude/staging/metrics/hooks.jsonl", "")
    assert run(staged, *says("1 passed, 0 failed")).data["dirty"] is False
    staged.write("README.md", "new")
    assert run(staged, *says("1 passed, 0 failed")).data["dirty"] is True


def test_definitions_that_change_meanwhile_are_a_warning(staged: Studio) -> None:
    program = "open('.claude/agents/new.md', 'w').write('x'); print('1 passed, 0 failed')\n"
    done = run(staged, *runs(staged, program))
    assert [problem["code"] for problem in done.envelope["problems"]] == ["candidate-changed"]


def test_people_see_the_command_first_then_the_output_then_the_verdict(staged: Studio) -> None:
    done = staged.run("test", "--env", "staging", *says("from the suite\nnot ok 1 - broken\n1..1", code=1))
    assert done.code == 1
    assert done.err.index("given after --") < done.err.index("from the suite")
    assert "FAIL" in done.out
    assert "0 passed, 1 failed, 0 skipped" in done.out
    assert "broken" in done.out
    assert ".agent-studio/staging/tests/" in done.out
    assert "from the suite" not in done.out


def test_the_configured_command_is_used_and_its_line_named(staged: Studio) -> None:
    staged.write("suite.py", "print('1 passed, 0 failed')")
    words = json.dumps(shlex.join([sys.executable, "suite.py"]))
    staged.write(".claude/config.yaml", f"\ntest:\n  command: {words}\n")
    done = run(staged)
    assert (done.code, done.data["source"]) == (0, "test.command (.claude/config.yaml:3)")


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--", "no-such-program-here"], "no-such-program-here"), ([], "no test command found")]
)
def test_what_cannot_be_started_is_a_usage_error_and_leaves_nothing(
    staged: Studio, arguments: list[str], said: str
) -> None:
    before = staged.snapshot()
    done = run(staged, *arguments)
    assert done.code == 2
    assert said in done.envelope["problems"][0]["message"]
    assert staged.snapshot() == before


def test_staging_without_its_configuration_is_refused(bare: Studio) -> None:
    assert run(bare, *says("1 passed, 0 failed")).code == 2
    assert run(bare, *says("1 passed, 0 failed"), env="development").code == 0


@pytest.mark.slow
def test_a_long_output_is_counted_in_little_memory(staged: Studio) -> None:
    program = (
        "import sys\n"
        "for n in range(120_000): sys.stdout.write('a log line that says nothing of use to anyone at all %d\\n' % n)\n"
        "sys.stdout.write('z' * 30_000_000)\n"
        "print('\\n5 passed in 0.1s')\n"
    )
    resource = pytest.importorskip("resource")
    done = run(staged, *runs(staged, program))
    assert (done.code, done.data["passed"]) == (0, 5)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    assert peak < 150


@pytest.mark.slow
@POSIX
def test_an_interrupt_ends_the_suites_whole_group_and_leaves_no_half_evidence(staged: Studio) -> None:
    program = "import subprocess, pathlib\nchild = subprocess.Popen(['sleep', '60'])\npathlib.Path('pid').write_text(str(child.pid))\nchild.wait()\n"
    command = [sys.executable, "-m", "agent_studio", "test", "--env", "staging", *runs(staged, program)]
    process = subprocess.Popen(command, cwd=staged.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    place = staged.path / "pid"
    while not (place.exists() and place.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert list((staged.path / ".agent-studio" / "staging" / "tests").iterdir()) == []
    assert list((staged.path / ".agent-studio" / "staging" / "suite").iterdir()) == []
    status = Path(f"/proc/{place.read_text()}/stat")
    assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
