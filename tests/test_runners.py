from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.errors import UsageError
from agent_studio.staging import runners
from agent_studio.staging.counting import MAX_NAMES, Counts, LineCounter, Report, combine, read_junit

if TYPE_CHECKING:
    from pathlib import Path

NPM_DEFAULT = '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'
NPM = '{"scripts": {"test": "node --test"}}'

CLOSING = {
    "pytest": ("======== 1 failed, 3 passed, 2 skipped, 1 deselected in 0.12s ========", (3, 1, 2)),
    "pytest -q": ("3 passed in 0.01s", (3, 0, 0)),
    "pytest slow": ("= 2 passed, 1 warning in 65.12s (0:01:05) =", (2, 0, 0)),
    "pytest outcomes": ("1 failed, 1 passed, 1 xfailed, 1 xpassed, 2 errors in 1.00s", (2, 3, 1)),
    "pytest subtests": ("1 passed, 3 subtests passed in 1.00s", (1, 0, 0)),
    "pytest nothing": ("===== no tests ran in 0.01s =====", (0, 0, 0)),
    "pytest twice": ("2 passed in 0.01s\n1 failed, 1 passed in 0.01s", (3, 1, 0)),
    "unittest": ("Ran 5 tests in 0.001s\n\nOK", (5, 0, 0)),
    "unittest one": ("Ran 1 test in 0.001s\n\nOK", (1, 0, 0)),
    "unittest failed": ("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=2)", (1, 2, 2)),
    "unittest expected": (
        "Ran 4 tests in 0.1s\n\nFAILED (expected failures=1, unexpected successes=1)", (2, 1, 1),
    ),
    "unittest nothing": ("Ran 0 tests in 0.000s\n\nNO TESTS RAN", (0, 0, 0)),
    "jest": ("Test Suites: 1 failed, 2 passed, 3 total\nTests:       1 failed, 5 passed, 6 total", (5, 1, 0)),
    "jest todo": ("Tests:       1 skipped, 1 todo, 5 passed, 7 total", (5, 0, 2)),
    "vitest": (" Test Files  1 passed (1)\n      Tests  5 passed (5)", (5, 0, 0)),
    "vitest failed": ("      Tests  1 failed | 5 passed | 2 skipped (8)", (5, 1, 2)),
    "mocha": ("  5 passing (12ms)\n  2 pending\n  1 failing", (5, 1, 2)),
    "node tap": ("# tests 5\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 1", (3, 2, 2)),
    "node spec": ("ℹ tests 4\nℹ suites 1\nℹ pass 3\nℹ fail 0\nℹ skipped 1", (3, 0, 1)),
    "tap": ("TAP version 13\nok 1 - a\nnot ok 2 - b\nok 3 # SKIP no net\nnot ok 4 - c # TODO\n1..4", (1, 1, 2)),
    "tap cut short": ("1..3\nok 1 - a", (1, 2, 0)),
    "tap subtests": ("    ok 1 - inner\n    1..1\nok 1 - outer\n1..1", (1, 0, 0)),
    "tap with summary": ("ok 1 - a\nok 2 - b\n1..2\n# pass 2\n# fail 0", (2, 0, 0)),
    "tap all skipped": ("1..0 # skip no database", (0, 0, 0)),
    "cargo": (
        ("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
         "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"), (7, 1, 1),
    ),
    "go json": (
        ('{"Action":"run","Package":"p","Test":"TestA"}\n{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}\n'
        '{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\\n"}\n'
        '{"Action":"fail","Package":"p","Test":"TestB"}\n{"Action":"skip","Package":"p","Test":"TestC"}\n'
        '{"Action":"fail","Package":"p"}'), (1, 1, 1),
    ),
    "go plain": ("--- PASS: TestA (0.00s)\n    --- PASS: TestA/sub (0.00s)\n--- SKIP: TestB (0.00s)", (2, 0, 1)),
    "plain": ("12 passed, 0 failed", (12, 0, 0)),
    "plain skipped": ("Results: 1 failed, 2 passed, 3 skipped", (2, 1, 3)),
    "windows lines": ("3 passed in 0.01s\r", (3, 0, 0)),
    "progress line": ("running\r[##]\r3 passed in 0.01s", (3, 0, 0)),
}  # fmt: skip

NOT_CLOSING = (
    "", "3 passed", "the suite: 3 passed, as always", "built 4 files in 2s", "3 tests collected in 0.01s",
    "Test Files  1 passed (1)", "Test Suites: 2 passed, 2 total", "ok", "OK", "FAILED (failures=1)", "ok 1 - no plan",
    "# passing on", '{"Action":"pass","Test":"no package"}', '{"Action":', "Ran 3 tests in 0.1s\nsomething else\nOK",
)  # fmt: skip


def counted(text: str) -> Report:
    counter = LineCounter()
    for line in text.split("\n"):
        counter.feed(line)
    return counter.report()


@pytest.mark.parametrize("runner", CLOSING)
def test_the_closing_lines_of_a_runner_are_counted(runner: str) -> None:
    text, expected = CLOSING[runner]
    assert counted(text).counts == expected


@pytest.mark.parametrize("text", NOT_CLOSING)
def test_what_only_looks_like_a_closing_line_leaves_the_count_unknown(text: str) -> None:
    assert counted(text).counts is None


@pytest.mark.parametrize("runner", CLOSING)
def test_colours_do_not_change_the_count(runner: str) -> None:
    text, expected = CLOSING[runner]
    if "json" in runner:
        pytest.skip("a machine's format has no colours")
    coloured = "\n".join(
        f"\x1b[1m\x1b[38;5;2m{line}\x1b[0m\x1b]8;;http://x\x07\x1b]8;;\x07" for line in text.split("\n")
    )
    assert counted(coloured).counts == expected


@given(st.text() | st.text(alphabet='0123456789 passedfailedinOK.,=#()s\n\x1b[;m\r{}"-:'))
def test_arbitrary_text_never_ends_the_counter(text: str) -> None:
    counts = counted(text).counts
    assert counts is None or min(counts) >= 0


@given(
    st.lists(st.sampled_from(["\x1b[3m", "\x1b[31;1m", "\x1b]0;3 passed, 1 failed\x07", "\x1b]5 passing", "\x9b7m"]))
)
def test_escape_sequences_alone_are_never_counted(noise: list[str]) -> None:
    assert counted("".join(noise)).counts is None
    assert counted("\n".join(noise)).counts is None


@given(st.sampled_from(sorted(set(CLOSING) - {"go json"})), st.lists(st.integers(0, 200), max_size=8))
def test_an_escape_sequence_anywhere_in_a_line_changes_nothing(runner: str, places: list[int]) -> None:
    text, expected = CLOSING[runner]
    for place in places:
        text = text[:place] + "\x1b[3m" + text[place:] if "\x1b" not in text[max(0, place - 4) : place] else text
    assert counted(text).counts == expected


@pytest.mark.parametrize(
    ("text", "passed", "failed"),
    [
        ("test a::b ... ok\ntest a::c - should panic ... ok\ntest a::d ... FAILED\ntest e ... ignored",
         ["a::b", "a::c"], ["a::d"]),
        ("✔ adds (2.1ms)\n  ✔ inner (0.3ms)\n✖ breaks (1.8ms)\n✖ failing tests:\n✔ later (0.1ms) # TODO",
         ["adds", "inner", "later (0.1ms) # TODO"], ["breaks"]),
        ("ok 1 - one\nnot ok 2 - two\nok 3 - three # SKIP", ["one"], ["two"]),
        ("test_ok (m.A.test_ok) ... ok\nFAIL: test_b (m.A.test_b) (i=1)\nERROR: setUpClass (m.B)",
         ["test_ok (m.A.test_ok)"], ["test_b (m.A.test_b)", "setUpClass (m.B)"]),
        ('{"Action":"pass","Package":"p/q","Test":"TestA"}\n{"Action":"fail","Package":"p/q","Test":"TestB"}',
         ["p/q.TestA"], ["p/q.TestB"]),
        ("FAILED tests/test_a.py::TestC::test_d[a - b] - AssertionError: x\nERROR tests/test_b.py - boom",
         [], ["tests.test_a.TestC::test_d[a - b]", "tests.test_b"]),
        ("--- PASS: TestA (0.00s)\n--- FAIL: TestB/c (0.00s)", ["TestA"], ["TestB/c"]),
    ],
)  # fmt: skip
def test_names_of_tests_are_kept_by_outcome(text: str, passed: list[str], failed: list[str]) -> None:
    report = counted(text)
    assert (report.named("passed"), report.named("failed")) == (passed, failed)


def test_a_name_that_failed_once_does_not_become_a_passed_one() -> None:
    assert counted("test a ... FAILED\ntest a ... ok").named("passed") == []


def test_names_beyond_the_limit_are_left_out_and_still_counted() -> None:
    counter = LineCounter()
    for number in range(MAX_NAMES + 5):
        counter.feed(f"--- PASS: Test{number} (0.00s)")
    assert len(counter.report().names) == MAX_NAMES
    assert counter.report().counts == (MAX_NAMES + 5, 0, 0)


JUNIT = (
    '<?xml version="1.0"?><testsuites><testsuite tests="4">'
    '<testcase classname="t.A" name="ok"/>'
    '<testcase classname="t.A" name="bad"><failure message="x">y</failure></testcase>'
    '<testcase classname="" name="t.broken"><error/></testcase>'
    '<testcase classname="t.A" name="later"><skipped/></testcase></testsuite></testsuites>'
)


def test_a_junit_file_gives_counts_and_names(tmp_path: Path) -> None:
    place = tmp_path / "junit.xml"
    place.write_text(JUNIT)
    report = read_junit(place)
    assert report
    assert report.counts == (1, 2, 1)
    assert report.named("passed") == ["t.A::ok"]
    assert report.named("failed") == ["t.A::bad", "t.broken"]


@pytest.mark.parametrize(
    "text", [JUNIT[:-20], "", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', JUNIT.replace("?>", "?><!DOCTYPE a>")]
)
def test_a_junit_file_that_is_damaged_or_has_a_document_type_says_nothing(tmp_path: Path, text: str) -> None:
    place = tmp_path / "junit.xml"
    place.write_text(text)
    assert read_junit(place) is None
    assert read_junit(tmp_path / "missing.xml") is None


def test_of_lines_and_junit_the_one_that_saw_more_tests_wins() -> None:
    lines, junit = Report(Counts(3, 1, 0), {"a": "failed"}), Report(Counts(3, 0, 0), {"b": "passed"})
    assert combine(lines, junit) is lines
    assert combine(junit, lines) is lines
    assert combine(Report(), junit) is junit
    assert combine(lines, None) is lines
    assert combine(Report(Counts(2, 1, 0)), junit) is junit


def chosen(project: Path, *given_words: str, configured: str | None = None) -> runners.Chosen:
    return runners.choose(project, given_words, configured, ".claude/config.yaml:7")


def test_the_command_after_the_dashes_wins_over_configuration_over_detection(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")
    assert chosen(tmp_path, "a", "b c", configured="d").command == ("a", "b c")
    assert chosen(tmp_path, configured="make 'one two'").command == ("make", "one two")
    assert ".claude/config.yaml:7" in chosen(tmp_path, configured="make").source
    assert chosen(tmp_path, configured=" ").command[0] == "go"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"package.json": NPM}, "npm test"),
        ({"package.json": NPM, "pnpm-lock.yaml": ""}, "pnpm test"),
        ({"package.json": NPM, "yarn.lock": ""}, "yarn test"),
        ({"package.json": NPM, "pytest.ini": "", "go.mod": ""}, "npm test"),
        ({"package.json": NPM_DEFAULT, "Makefile": "all:\n\ntest: all\n\tx\n"}, "make test"),
        ({"package.json": "{", "Makefile": "lint test:\n\tx\n"}, "make test"),
        ({"Makefile": "test-unit:\n\tx\ntest := 1\n", "go.mod": ""}, "go test -json ./..."),
        ({"go.mod": "", "Cargo.toml": ""}, "go test -json ./..."),
        ({"Cargo.toml": ""}, "cargo test"),
    ],
)
def test_the_command_follows_from_the_projects_files(tmp_path: Path, files: dict[str, str], command: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert " ".join(chosen(tmp_path).command) == command


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("setup.cfg", "[metadata]\n[tool:pytest]\n"),
        ("tests/test_x.py", ""),
        ("tests/unit/conftest.py", ""),
    ],
)
def test_pytest_is_recognised_by_its_settings_or_its_tests(
    tmp_path: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    assert chosen(tmp_path).command == (sys.executable, "-m", "pytest")


def test_the_projects_own_environment_wins_only_when_it_has_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "pytest.ini").touch()
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert chosen(tmp_path).command[0] == sys.executable
    (tmp_path / ".venv/lib/python3.13/site-packages/pytest").mkdir(parents=True)
    assert chosen(tmp_path).command == (str(own), "-m", "pytest")


def test_nothing_to_run_says_what_was_looked_for_and_how_to_name_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("not toml [")
    with pytest.raises(UsageError, match=r"package\.json.*Cargo\.toml") as raised:
        chosen(tmp_path)
    assert "test.command" in raised.value.hint
    with pytest.raises(UsageError, match="quotation"):
        chosen(tmp_path, configured="make 'open")


def test_a_program_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-program"):
        runners.startable(tmp_path, ["no-such-program"], os.environ)
    (tmp_path / "plain.txt").write_text("not a program")
    with pytest.raises(UsageError, match=r"plain\.txt"):
        runners.startable(tmp_path, ["./plain.txt"], os.environ)


@pytest.mark.skipif(os.name == "nt", reason="file modes")
def test_a_script_of_the_project_is_found_from_its_folder_and_needs_a_first_line(tmp_path: Path) -> None:
    script = tmp_path / "check"
    script.write_text("echo 3\n")
    script.chmod(0o755)
    command = runners.startable(tmp_path, ["./check", "x"], {})
    assert command == [str(script), "x"]
    script.write_bytes(b"\x00\x01")
    with pytest.raises(UsageError, match="cannot start"):
        runners.run(command, tmp_path, {}, lambda _: None)


def test_both_streams_arrive_and_the_code_is_the_commands(tmp_path: Path) -> None:
    said = bytearray()
    program = "import os, sys; os.write(1, b'out '); os.write(2, b'err'); sys.exit(7)"
    code = runners.run([sys.executable, "-c", program], tmp_path, os.environ, said.extend)
    assert (code, bytes(said)) == (7, b"out err")


@pytest.mark.skipif(os.name == "nt", reason="sleep and process groups")
def test_a_process_left_behind_with_the_output_does_not_hold_the_run(tmp_path: Path) -> None:
    said = bytearray()
    began = time.monotonic()
    code = runners.run(["sh", "-c", "sleep 60 & echo $!"], tmp_path, os.environ, said.extend)
    assert code == 0
    assert time.monotonic() - began < 30
    deadline = time.monotonic() + 5
    while is_alive(int(said)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(int(said))


def is_alive(process_id: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{process_id}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_fault_while_taking_output_ends_the_command_and_goes_on(tmp_path: Path) -> None:
    def refuse(chunk: bytes) -> None:
        raise OSError(f"full: {chunk!r}")

    with pytest.raises(OSError, match="full"):
        runners.run([sys.executable, "-uc", "import time; print(1); time.sleep(60)"], tmp_path, os.environ, refuse)
