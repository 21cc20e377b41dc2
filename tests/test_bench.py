"""The benchmarks and trials run and report in the promised shape; figures are never judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import corpus, kills, measure, projects, trials
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(REPOSITORY / "bench" / name), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)


def test_the_benchmark_reports_every_figure(tmp_path: Path) -> None:
    report = tmp_path / "results.md"
    done = script("run.py", "--quick", "--json", "--out", str(report), "--seed", "7")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    names = " ".join(figure["name"] for figure in figures)
    for wanted in (
        "`init` of staging",
        "examples/bookshop",
        "`smoke`",
        "knowledge-base search",
        "`--version`",
        "recording hook, whole process, native",
        "recording hook, whole process, python",
        "status line",
        "`ingest`",
        "promotion of",
        "suite",
    ):
        assert wanted in names
    text = report.read_text(encoding="utf-8")
    assert "- seed: 7\n" in text
    assert "- machine: " in text
    assert text.count("\n|") == len(figures) + 2
    assert all(float(figure["ratio"].split()[0]) > 0 for figure in figures if figure["ratio"] != "-")


def test_the_trials_name_what_could_not_be_run(tmp_path: Path) -> None:
    report = tmp_path / "trials.md"
    done = script(
        "trials.py", "--points", "0", "--kills", "10", "--writers", "2", "--artifacts", "30", "--no-client",
        "--soak-minutes", "0", "--no-package", "--no-fleet", "--web-events", "0",
        "--parties", "10", "--party-kills", "2", "--no-attacks", "--no-properties", "--no-releases", "--no-models",
        "--out", str(report), "--repository", str(tmp_path), "--tree", str(tmp_path / "missing.tar.xz"),
    )  # fmt: skip
    text = report.read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr, done.stderr
    assert text.count("| not run: ") == 38 + len(kills.SCENARIOS)
    assert "every command on 30 generated artifacts" in text


def test_a_trial_that_is_left_out_keeps_the_row_of_an_earlier_run_on_this_machine() -> None:
    ran = [projects.Trial("a | b", ["1 s"]), projects.Trial("c", faults=["bad"]), projects.Trial("d", not_run="--no-d")]
    first = trials._report(ran, 1, "")
    rows = [line for line in first.splitlines() if line.startswith("| ")]
    left_out = [projects.Trial(one.name, not_run="--no-x") for one in ran]
    again = trials._report([*left_out, projects.Trial("e", not_run="--no-x")], 1, first)
    assert [line for line in again.splitlines() if line.startswith("| ")] == [
        *rows[:4], "| d | not run: --no-x | - | - |", "| e | not run: --no-x | - | - |",
    ]  # fmt: skip
    elsewhere = first.replace("- machine: ", "- machine: another ")
    assert "PASS" not in trials._report(left_out, 1, elsewhere)
    assert "FAIL" not in trials._report([projects.Trial("c", ["2 s"])], 1, first)


def test_the_same_seed_gives_the_same_project(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        corpus.generate(tmp_path / name, 40, seed)
    one, two, three = (
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two", "three")
    )
    assert len(one) == 40
    assert one == two
    assert one != three


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert measure.percentile([4, 1, 3, 2], 0.5) == 2.5
    assert measure.percentile([1, 2], 1) == 2
    assert measure.percentile([5], 0.95) == 5


def test_changes_beyond_the_promised_ones_are_found(tmp_path: Path) -> None:
    for name in ("kept.md", "changed.md", "gone.md", ".claude/config.yaml"):
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(name)
    before = projects.fingerprint(tmp_path)
    (tmp_path / "changed.md").write_text("other")
    (tmp_path / "gone.md").unlink()
    (tmp_path / ".claude/config.yaml").write_text("other: 1")
    (tmp_path / ".claude/config.staging.yaml").write_text("new: 1")
    (tmp_path / ".claude/staging").mkdir()
    (tmp_path / ".claude/staging/data").write_text("ours")
    found = projects.changes(before, projects.fingerprint(tmp_path))
    assert found == ["changed: .claude/config.yaml", "changed: changed.md", "changed: gone.md"]


def test_a_report_cell_never_breaks_its_table() -> None:
    assert measure.table(("a",), [("x|y\nz",)]) == "| a |\n| --- |\n| x\\|y z |\n"
