"""What tries to pass for evidence: edited starts, imports, runs that could not work; and what mends what is lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.eval_world import NEEDED, Evals, asked, counting, judged_worse, required

from agent_studio.errors import UsageError
from agent_studio.evals.making import importing

if TYPE_CHECKING:
    from tests.conftest import Finished

pytestmark = NEEDED


def imported(evals: Evals, own: int, other: int, name: str = "foo.json", errors: int = 0) -> Finished:
    """Import 40 results a side, so many of them passed; the other side's last ones ended in an error of a service."""
    rows = [
        {"testCase": {"description": f"t{number}"}, "provider": {"id": side}, "success": number < passed,
         "failureReason": 2 if side == "b" and number >= 40 - errors else int(number >= passed)}
        for number in range(40) for side, passed in (("a", own), ("b", other))
    ]  # fmt: skip
    evals.studio.write(name, json.dumps({"results": {"results": rows}}))
    words = ("--format", "promptfoo", "--columns", "a", "b", "--against", "live", "--json")
    return evals.studio.run("eval", "import", name, *words)


@pytest.mark.parametrize("kind", ["folder", "ref"])
def test_a_start_that_is_changed_while_a_run_begins_is_refused_before_anything_is_tried(
    evals: Evals, kind: str
) -> None:
    project, marker = evals.studio.path, evals.folder / "looking"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@localhost")
    evals.studio.write("start/w.txt", "easy\n")
    if kind == "ref":
        subprocess.run(["git", "checkout", "-qb", "start"], cwd=project, check=True)
        subprocess.run([*git, "add", "start"], cwd=project, check=True)
        subprocess.run([*git, "commit", "-qm", "easy"], cwd=project, check=True)
    begins = {"folder": "start"} if kind == "folder" else {"ref": "start"}
    waits = f"touch '{marker}'; until test -e '{marker}.gone'; do sleep 0.05; done; test -f poem.txt"
    task = {"id": "spring", "prompt": "x", "start": begins, "checks": [{"command": ["sh", "-c", waits]}]}
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": [task]}))
    required(evals, counting(evals))
    evals.side("good, other")
    words = [sys.executable, "-m", "agent_studio", "eval", "compare", "--against", "live", "--repeats", "6", "--json"]
    words += ["--backend", counting(evals), "--set", "isolation.backend=advisory"]
    process = subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    evals.studio.write("start/w.txt", "hard\n")
    if kind == "ref":
        subprocess.run([*git, "commit", "-qam", "hard"], cwd=project, check=True)
    marker.with_name("looking.gone").touch()
    out, _ = process.communicate(timeout=60)
    told = json.loads(out)["problems"][0]["message"]
    assert (process.returncode, told) == (2, "what spring begins with was changed while the run began")
    folder = project / ".agent-studio/staging/evals"
    assert not list(folder.glob("*/journal.jsonl"))


@pytest.mark.parametrize("counts", [False, True])
def test_an_import_never_takes_the_place_of_what_was_tried_here(evals: Evals, *, counts: bool) -> None:
    judged_worse(evals, imported=counts)
    done = imported(evals, 40, 40)
    assert done.data["evidence"] is None
    assert "it takes the place of none that was made here" in done.envelope["problems"][0]["message"]
    assert asked(evals)[0] == "FAIL"


def test_imports_are_judged_together_so_that_none_can_be_chosen(evals: Evals) -> None:
    required(evals, counting(evals), imported=True)
    evals.side("other")
    assert imported(evals, 40, 40).code == 0
    assert asked(evals)[0] == "PASS"
    imported(evals, 0, 40, "bad.json")
    assert asked(evals)[0] == "FAIL"
    for _ in range(2):
        imported(evals, 40, 40)  # the same once more is nothing new
    assert asked(evals)[0] == "FAIL"
    assert "2 results" in asked(evals)[1]
    assert "in 80 pairs" in asked(evals)[1]


@pytest.mark.parametrize(
    ("entry", "directory", "value"),
    [pytest.param(8, 10, 93, id="packed otherwise"), pytest.param(6, 8, 1, id="encrypted"),
     pytest.param(52, None, 0xFF, id="broken")],
)  # fmt: skip
def test_a_packed_log_that_cannot_be_unpacked_is_no_result(entry: int, directory: int | None, value: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("samples/1_epoch_1.json", json.dumps({"id": 1, "scores": {"match": {"value": "C"}}}))
    data = bytearray(packed.getvalue())
    assert importing.read(bytes(data), importing.INSPECT, "log.eval") == {("1", 1): True}
    data[entry] = value
    if directory is not None:
        data[data.index(b"PK\x01\x02") + directory] = value
    with pytest.raises(UsageError, match=r"log\.eval is no result of inspect"):
        importing.read(bytes(data), importing.INSPECT, "log.eval")


def test_results_that_an_error_ended_are_left_out_of_both_sides(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("other")
    done = imported(evals, 20, 0, errors=40)
    assert (done.code, "holds no result" in done.out) == (2, True)
    done = imported(evals, 20, 20, errors=10)
    assert (done.data["leftOut"], done.data["pairs"]) == (10, {"won": 0, "lost": 0, "same": 30})


@pytest.mark.parametrize(
    "more",
    [{"start": {"folder": "x" * 300}}, {"start": {"folder": "../.."}}, {"start": {"folder": "loop"}},
     {"start": {"ref": "a\0b"}}, {"promptFile": "x" * 300}, {"prompt": {"a": 1}}],
)  # fmt: skip
def test_a_task_that_names_an_odd_start_makes_the_gate_wait_and_is_named(evals: Evals, more: dict[str, Any]) -> None:
    required(evals, counting(evals))
    evals.side("good, other")
    evals.compare("live", "--repeats", "6")
    (evals.studio.path / "loop").symlink_to("loop")
    value = {"id": "odd", "checks": [{"file": "a"}], **({} if "promptFile" in more else {"prompt": "x"}), **more}
    evals.studio.write(".claude/evals/x.yaml", json.dumps(value))
    verdict, reason = asked(evals)
    assert (verdict, "odd" in reason) == ("INSUFFICIENT", True), reason
    if "start" in more and "folder" in more["start"]:
        assert ".claude/evals/x.yaml: odd: start.folder" in reason
    assert evals.studio.run("eval", "check", "--json").code in {1, 2}


def test_a_register_that_was_lost_is_named_with_what_mends_it(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("good, other")
    run = evals.compare("live", "--repeats", "6").data["run"]
    for place in (evals.studio.path / ".agent-studio/staging/evals").glob("runs.jsonl*"):
        place.unlink()
    done = evals.compare("live", "--repeats", "6")
    problem = done.envelope["problems"][0]
    assert (done.data["evidence"], run in problem["message"]) == (None, True)
    assert "runs.jsonl: restore it from a copy; without one, another candidate begins anew" in problem["hint"]
    gate = evals.studio.run("gate", "--json")
    assert (gate.code, f"runs.jsonl knows no {run}" in gate.out) == (8, True)
    evals.side("good, another")
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "PASS"


def test_pairs_in_which_nobody_could_work_are_no_ties(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("bad")
    assert evals.compare("live", "--repeats", "1").data["pairs"]["lost"] == 4
    (evals.folder / "script.json").write_text(json.dumps({"tasks": {"*": [{"ended": "crashed", "usd": "0"}]}}))
    done = evals.compare("live", "--repeats", "30")
    assert (done.data["pairs"]["lost"], done.data["pairs"]["same"], done.data["pairs"]["leftOut"]) == (4, 0, 120)
    assert asked(evals)[0] != "PASS"
    note = next(one for one in done.envelope["problems"] if one["code"] == "idle")
    assert "240 attempts ended without a sign that an agent did anything: crashed" in note["message"]
    assert f"eval show {done.data['run']} --attempt" in note["hint"]


def test_a_client_that_cannot_work_is_shown_with_what_it_said(evals: Evals, monkeypatch: pytest.MonkeyPatch) -> None:
    place = evals.folder / "bin"
    place.mkdir()
    shutil.copy(evals.command('[ "$1" = --help ] && sleep 3; echo no license >&2; exit 3'), place / "claude")
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    done = evals.studio.run("eval", "run", "spring", "--backend", "claude", "--repeats", "1", "--json")
    if done.code == 7:
        pytest.skip("nothing here keeps a command to its folder")
    note = next(one for one in done.envelope["problems"] if one["code"] == "idle")
    assert "crashed, the client ended with 3" in note["message"]
    assert "no license" in note["message"]
    shown = evals.world.data("eval", "show", "--attempt", "spring.1.candidate")
    assert shown["durationMs"] < 3_000  # what the client says of its options is asked before


def test_evidence_of_runs_with_several_models_names_them_all(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("good, other")
    for model in ("haiku", "opus"):
        evals.compare("live", "--repeats", "3", "--model", model)
    assert "in 2 runs with haiku, opus" in asked(evals)[1]
