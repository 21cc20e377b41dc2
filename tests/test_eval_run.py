"""Runs of evals: fresh copies, both sides in turn, limits, a journal to resume from, a verdict, the gate."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.conftest import until
from tests.eval_world import AGENT, NEEDED, Evals

from agent_studio.dashboard import evals as page
from agent_studio.environment.detect import Environment
from agent_studio.evals.attempts import places
from agent_studio.release import evidence

pytestmark = NEEDED


def test_better_worse_and_no_difference_are_told_apart_and_reported(evals: Evals) -> None:
    bad = evals.side("bad")
    good = evals.side("good")
    done = evals.compare(bad, "--repeats", "3", "--junit", "evals.xml", "--markdown", "evals.md")
    assert done.code == 0, done.out
    data = done.data
    assert (data["verdict"], data["candidate"], data["against"]) == ("BETTER", good, bad)
    assert data["tasks"][0] == {
        "id": "autumn", "tags": ["cold"], "attempts": 3, "passed": {"candidate": 3, "against": 0},
        "made": {"candidate": 3, "against": 3}, "flaky": False,
        "failed": {
            "candidate": [], "against": ["file poem.txt: matches autumn: poem.txt does not match 'autumn' (3x)"]
        },
    }  # fmt: skip
    assert data["passRate"]["difference"] == 1.0
    assert data["passRate"]["low"] > 0
    assert (data["costUsd"]["candidate"], data["turns"]["against"], data["needed"]) == (pytest.approx(0.01), 3.0, 0)
    assert {"kind": "tool", "name": "Bash", "candidate": 0.0, "against": 1.0} in data["behaviour"]
    assert [(one["tag"], one["won"], one["lost"]) for one in data["tags"]] == [("cold", 6, 0), ("warm", 6, 0)]
    suite = ET.fromstring((evals.studio.path / "evals.xml").read_bytes())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "0", "0")
    assert "BETTER" in (evals.studio.path / "evals.md").read_text()
    worse_text = evals.studio.run("eval", "show").out
    assert "BETTER: pass rate +100%" in worse_text
    evals.side("good again")
    assert evals.compare(good, "--repeats", "6", "--margin", "0.25").data["verdict"] == "NO_DIFFERENCE"
    evals.side("bad")
    worse = evals.compare(good, "--repeats", "3")
    assert (worse.code, worse.data["verdict"]) == (1, "WORSE")
    evals.side("bad again")
    few = evals.compare(good, "--repeats", "1")
    assert (few.code, few.data["verdict"], few.data["needed"]) == (3, "INSUFFICIENT", 4)
    more = evals.studio.run("eval", "compare", "--resume", "--repeats", "3", "--json")
    assert (more.data["verdict"], more.data["run"]) == ("WORSE", few.data["run"])
    listed = evals.world.data("eval", "list")["runs"]
    assert [one["verdict"] for one in listed] == ["BETTER", "INSUFFICIENT", "WORSE", "WORSE"]  # by evals.margin


def test_flaky_tasks_are_named_and_the_sides_are_interleaved(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    evals.script({}, succeeds=0.5, otherwise={"poem.txt": "no"})
    data = evals.compare(bad, "--repeats", "4", "--parallel", "1").data
    assert data["flaky"]
    sides = [line["side"] for line in evals.journal(data["run"]) if line["kind"] == "attempt"]
    assert all({sides[place], sides[place + 1]} == {"candidate", "against"} for place in range(0, len(sides), 2))
    assert len({tuple(sides[place : place + 2]) for place in range(0, len(sides), 2)}) == 2


def test_a_limit_is_never_passed_and_the_run_goes_on_with_more(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    done = evals.compare(bad, "--repeats", "3", "--limit-usd", "1.05", "--parallel", "1")
    made = done.data["attempts"]
    assert made["made"] < made["wanted"] == 24
    assert any(one["code"] == "incomplete" for one in done.envelope["problems"])
    spent = sum(float(line["usd"]) for line in evals.journal(done.data["run"]) if line["kind"] == "attempt")
    assert spent <= 1.05
    rest = evals.studio.run("eval", "compare", "--resume", "--limit-usd", "9", "--json")
    assert rest.data["attempts"]["made"] == 24
    names = [line["attempt"] for line in evals.journal(done.data["run"]) if line["kind"] == "attempt"]
    assert len(names) == len(set(names)) == 24


def test_a_run_with_one_side_is_gone_on_with_as_its_note_says_and_has_no_report(evals: Evals) -> None:
    evals.side("good")
    backend = f"scripted:{evals.folder / 'script.json'}"
    words = ("eval", "run", "--repeats", "2", "--parallel", "1", "--backend", backend, "--json")
    part = evals.studio.run(*words, "--limit-usd", "0.51")
    (hint,) = [one["hint"] for one in part.envelope["problems"] if one["code"] == "incomplete"]
    whole = evals.studio.run(*hint.replace("MORE", "9").split()[1:], "--json")
    assert (whole.code, whole.data["run"], whole.data["passed"]) == (0, part.data["run"], 8)
    for more in ((), ("--attempt", "winter.1.candidate")):
        assert evals.studio.run("eval", "show", *more, "--junit", str(evals.folder / "report.xml")).code == 2
    assert not (evals.folder / "report.xml").exists()


def test_a_limit_that_pays_for_nothing_and_runs_in_the_place_of_tasks_are_refused(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    unpaid = evals.compare(bad, "--limit-usd", "0")
    assert (unpaid.code, unpaid.envelope["problems"][0]["message"]) == (
        2, "a limit of 0 USD pays for nothing: a pair of attempts of autumn may cost 1.0 USD"
    )  # fmt: skip
    backend = f"scripted:{evals.folder / 'script.json'}"
    run = evals.studio.run("eval", "run", "--repeats", "1", "--backend", backend, "--json").data["run"]
    runs = evals.studio.run("eval", "compare", run, run, "--json")
    assert (runs.code, "attempts are made in turn" in runs.envelope["problems"][0]["message"]) == (2, True)


def test_what_a_dead_run_left_goes_with_the_next_but_for_what_it_is_settled_by(evals: Evals) -> None:
    agent = evals.command('mkdir -p "$CLAUDE_CONFIG_DIR/projects"; touch "$CLAUDE_CONFIG_DIR/projects/a"; sleep 60')
    words = [sys.executable, "-m", "agent_studio", "eval", "run", "winter", "--repeats", "1", "--backend", agent]
    process = subprocess.Popen(words, cwd=evals.studio.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rooms() -> list[str]:
        run = next((evals.studio.path / ".agent-studio/staging/evals").glob("2*"), Path("none")).name
        place = next(places.base().glob(f"*-{run}"), None)
        files = [] if place is None else [one for one in place.rglob("*") if one.is_file() and ".git/" not in str(one)]
        return [one.relative_to(str(place)).as_posix() for one in files]

    until(lambda: "winter.1.candidate/room/client/projects/a" in rooms() or process.poll() is not None)
    if process.poll() is not None:
        pytest.skip("nothing here keeps a command to its folder")
    assert evals.studio.run("eval", "check", "--json").code == 0  # a live run is left alone
    assert "winter.1.candidate/room/project/README.md" in rooms()
    process.terminate()
    process.wait(30)
    until(lambda: b"sleep\x0060" not in b"".join(_commands()))
    evals.studio.run("eval", "check", "--json")
    assert sorted(rooms()) == ["owner", "winter.1.candidate/room/client/projects/a"]
    evals.command("true")
    assert evals.studio.run("eval", "run", "--resume", "--limit-usd", "9", "--json").code == 1
    assert rooms() == []


def test_tasks_that_changed_between_two_halves_of_a_run_are_named(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    evals.compare(bad, "--repeats", "1", "--limit-usd", "1")
    place = evals.studio.path / ".claude/evals/seasons.yaml"
    place.write_text(place.read_text().replace("Write about winter", "Write on winter"))
    done = evals.studio.run("eval", "compare", "--resume", "--json")
    assert done.code == 2
    assert "tasks changed since run" in done.envelope["problems"][0]["message"]
    assert done.envelope["problems"][0]["message"].endswith("began: winter")


def test_a_backend_is_the_one_that_is_there_where_it_is_named(evals: Evals) -> None:
    shutil.copy(evals.command("echo winter > poem.txt"), evals.studio.path / "agent.sh")
    done = evals.studio.run("eval", "run", "winter", "--repeats", "1", "--backend", "./agent.sh", "--json")
    if done.code == 7:
        pytest.skip("nothing here keeps a command to its folder")
    assert (done.code, done.data["passed"]) == (0, 1), done.out


def test_a_command_is_kept_to_its_copy_and_what_it_starts_ends_with_it(evals: Evals) -> None:
    outside = evals.studio.path / "outside.txt"
    agent = evals.command(
        f"grep -q good {AGENT} && echo winter > poem.txt\n"
        f"echo x > '{outside}'; echo x >> '{evals.studio.path}/README.md'\n"
        "sleep 987 &\nsetsid sleep 987 &\n"
        "test -d .claude/evals && exit 9\n"
        'echo \'{"tools": ["Bash"], "usd": "0.003", "tokens": 20, "turns": 1}\' > "$AGENT_STUDIO_EVAL_REPORT"'
    )
    bad = evals.side("bad")
    evals.side("good")
    done = evals.compare(bad, "winter", "--repeats", "2", backend=agent)
    data = done.data
    assert data["tasks"][0]["passed"] == {"candidate": 2, "against": 0}, done.out
    if data["isolation"] == "advisory":
        pytest.skip("nothing here keeps a command to its folder")
    assert not outside.exists()
    assert not any(one["code"] == "project-changed" for one in done.envelope["problems"])
    assert b"sleep\x00987" not in b"".join(_commands())
    assert sum(float(line["costUsd"]) for line in evals.ledger()) == pytest.approx(0.012)
    assert {line["skill"] for line in evals.ledger()} == {"eval"}


def _commands() -> list[bytes]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(place.read_bytes())
    return found


def test_a_client_that_hangs_crashes_or_is_missing_is_told_from_one_that_fails(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    hang = evals.command("sleep 60")
    place = evals.studio.path / ".claude/evals/seasons.yaml"
    place.write_text(
        place.read_text().replace('"prompt": "Write about winter"', '"prompt": "w", "limits": {"seconds": 1}')
    )
    data = evals.compare(bad, "winter", "--repeats", "1", backend=hang).data
    assert data["tasks"][0]["passed"]["candidate"] == 0
    shown = evals.world.data("eval", "show", "--attempt", "winter.1.candidate")
    assert (shown["facts"]["ended"], shown["passed"]) == ("timeout", False)
    crash = evals.command("echo boom >&2; exit 3")
    evals.compare(bad, "winter", "--repeats", "1", backend=crash)
    shown = evals.world.data("eval", "show", "--attempt", "winter.1.candidate")
    assert shown["facts"]["ended"] == "crashed"
    assert "boom" in shown["facts"]["reason"]
    missing = evals.compare(bad, backend="no-such-agent")
    assert (missing.code, "no-such-agent is not there" in missing.out) == (2, True)


def test_a_killed_run_goes_on_without_making_a_finished_attempt_again(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    evals.script({}, sleepMs=150)
    backend = f"scripted:{evals.folder / 'script.json'}"
    words = [sys.executable, "-m", "agent_studio", "eval", "compare", "--against", bad, "--backend", backend]
    process = subprocess.Popen([*words, "--repeats", "2"], cwd=evals.studio.path, stdout=subprocess.DEVNULL)
    folder = evals.studio.path / ".agent-studio/staging/evals"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        found = list(folder.glob("*/journal.jsonl"))
        if found and found[0].read_text().count('"kind":"attempt"') >= 5:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = next(folder.glob("*/journal.jsonl")).parent.name
    before = [line for line in evals.journal(run) if line["kind"] == "attempt"]
    assert 5 <= len(before) < 16
    assert evals.studio.run("eval", "compare", "--resume", "--json").data["attempts"]["made"] == 16
    after = [line for line in evals.journal(run) if line["kind"] == "attempt"]
    assert after[: len(before)] == before
    assert len({line["attempt"] for line in after}) == len(after) == 16


def test_two_runs_at_once_are_one_too_many_and_one_side_twice_is_no_comparison(evals: Evals) -> None:
    bad = evals.side("bad")
    same = evals.compare(bad)
    assert (same.code, "nothing to compare" in same.out) == (2, True)
    unknown = evals.compare("123456")
    assert (unknown.code, "names no candidate or release" in unknown.out) == (2, True)
    live = evals.compare("live")
    assert (live.code, "nothing was promoted yet" in live.out) == (2, True)
    evals.side("good")
    lock = evals.studio.path / ".agent-studio/staging/evals.lock"
    code = (
        "import os, sys, time\nfrom agent_studio.storage.descriptors import try_lock\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\nassert try_lock(fd)\n"
        "print('held', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        busy = evals.compare(bad)
        holder.kill()
    assert (busy.code, busy.envelope["problems"][0]["code"]) == (5, "busy")


def test_a_blinded_judge_decides_only_what_it_says_in_both_orders(evals: Evals) -> None:
    task = {"id": "poem", "prompt": "Write", "start": {"empty": True},
            "checks": [{"file": "poem.txt"}, {"judge": "Which is better?", "files": ["poem.txt"]}]}  # fmt: skip
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    evals.script({"*": [{"write": {"poem.txt": "x"}}]})
    bad = evals.side("bad")
    evals.side("good")
    steady = {"replies": {"judge": [{"better": "1", "why": "a"}, {"better": "2", "why": "b"}] * 4}}
    (evals.folder / "judge.json").write_text(json.dumps(steady))
    model = ("--set", f"evals.judge=scripted:{evals.folder / 'judge.json'}")
    data = evals.compare(bad, "--repeats", "1", *model).data
    assert data["tasks"][0]["passed"] == {"candidate": 1, "against": 0}
    (evals.folder / "judge.json").write_text(json.dumps({"replies": {"judge": [{"better": "1", "why": "always"}]}}))
    evals.side("good, another")
    tie = evals.compare(bad, "--repeats", "1", *model).data
    assert tie["tasks"][0]["passed"] == {"candidate": 1, "against": 1}
    evals.side("good, a third")
    nobody = evals.compare(bad, "--repeats", "1")
    assert nobody.data["attempts"]["undecided"] == 2
    assert any(one["code"] == "unjudged" for one in nobody.envelope["problems"])


def test_the_gate_asks_for_no_regression_where_the_policy_says_so(evals: Evals) -> None:
    world = evals.world
    config = evals.studio.path / ".claude/config.yaml"
    backend = json.dumps([f"scripted:{evals.folder / 'script.json'}"])
    policy = f"  policy:\n    evals: {{required: true, attempts: 10, margin: 0.25, backend: {backend}}}\n"
    text = config.read_text()
    config.write_text(text + (policy if "release:" in text else f"release:\n{policy}"))
    live = world.promoted("---\nname: code-reviewer\ndescription: Reviews.\n---\ngood\n")

    def asked() -> tuple[str, str]:
        done = world.data("gate")["requirements"]
        return next((one["verdict"], one["reason"]) for one in done if one["name"] == "no-regression")

    evals.side("bad")
    assert asked() == ("INSUFFICIENT", "nothing was gathered on this candidate about evals against what is live")
    evals.compare("live", "--repeats", "3")
    assert asked()[0] == "FAIL"
    evals.side("good, mended")
    evals.compare("live", "--repeats", "2")
    assert asked() == ("INSUFFICIENT", "8 pairs of attempts, the policy asks for 10")
    alone = evals.compare("live", "winter", "--repeats", "10").data["evidence"]
    assert "in 8 pairs" in alone["reason"]  # of each task as many: two of winter count
    assert asked() == ("INSUFFICIENT", "8 pairs of attempts, the policy asks for 10")
    done = evals.compare("live", "--repeats", "6")
    assert done.data["evidence"]["verdict"] == "PASS"
    assert asked()[0] == "PASS"
    assert f"against {live[:12]}" in asked()[1]
    found = evidence.of(world.project, Environment.STAGING, done.data["candidate"]).evidence["no-regression"]
    assert (found.data["against"], found.data["pairs"], found.data["imported"]) == (live, 32, "")


def test_results_of_other_tools_are_evidence_that_says_so_and_counts_only_where_allowed(evals: Evals) -> None:
    live = evals.world.promoted("good")
    evals.side("other")
    for name, passed in (("own.json", 30), ("other.json", 10)):
        samples = [
            {"id": one, "epoch": 1, "scores": {"match": {"value": "C" if one < passed else "I"}}} for one in range(40)
        ]
        (evals.studio.path / name).write_text(json.dumps({"samples": samples}))
    done = evals.studio.run("eval", "import", "own.json", "other.json", "--format", "inspect", "--json")
    assert done.code == 0, done.out
    assert (done.data["verdict"], done.data["pairs"], done.data["against"]) == (
        "BETTER",
        {"won": 20, "lost": 0, "same": 20},
        live,
    )
    assert (done.data["imported"], done.data["counts"]) == ("inspect", False)
    rows = [
        {"testIdx": one, "provider": {"id": side}, "success": side == "a" or one > 9}
        for one in range(20)
        for side in "ab"
    ]
    (evals.studio.path / "foo.json").write_text(json.dumps({"results": {"results": rows}}))
    foo = evals.studio.run("eval", "import", "foo.json", "--format", "promptfoo", "--columns", "a", "b", "--json")
    assert foo.data["pairs"]["won"] == 10
    wrong = evals.studio.run("eval", "import", "foo.json", "foo.json", "--format", "inspect", "--json")
    assert (wrong.code, "is no result of inspect" in wrong.out) == (2, True)


def test_a_cancelled_run_leaves_nothing_running_and_can_go_on(evals: Evals) -> None:
    agent = evals.command("trap '' TERM; sleep 986 & setsid sleep 986 & sleep 986")
    bad = evals.side("bad")
    evals.side("good")
    words = [sys.executable, "-m", "agent_studio", "eval", "compare", "--against", bad, "--backend", agent]
    # no kernel that would end it all anyway
    words += ["--set", "isolation.backend=advisory", "--set", "isolation.require=false", "--unconfined"]
    process = subprocess.Popen(words, cwd=evals.studio.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: b"sleep\x00986" in b"".join(_commands()))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    until(lambda: b"sleep\x00986" not in b"".join(_commands()))
    run = next((evals.studio.path / ".agent-studio/staging/evals").glob("*/journal.jsonl")).parent.name
    assert {line["kind"] for line in evals.journal(run)} <= {"begin", "void", "settled"}
    evals.command("true")
    done = evals.studio.run("eval", "compare", "--resume", "--limit-usd", "50", "--json")
    assert done.data["attempts"]["made"] == 24


def test_starts_that_cannot_be_had_whole_are_refused_and_a_dirty_tree_is_taken_as_it_is(evals: Evals) -> None:
    project = evals.studio.path
    task = {"id": "one", "prompt": "x", "checks": [{"file": "done.txt"}]}
    evals.studio.write("notes/draft.txt", "not committed\n")
    other = evals.folder / "other"
    other.mkdir()
    evals.world.commit("Before")
    for words in (("init", "-q"), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty")):
        subprocess.run(["git", *words], cwd=other, check=True)
    subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "inner"], cwd=project,
        check=True, capture_output=True,
    )  # fmt: skip
    (project / "inner/extra.txt").write_text("of the submodule\n")
    evals.world.commit("Submodule")
    evals.studio.write("notes/draft.txt", "edited, not committed\n")

    def said(start: dict[str, Any], *more: str) -> tuple[int, str]:
        evals.studio.write(".claude/evals/seasons.yaml", json.dumps({**task, "start": start}))
        done = evals.studio.run("eval", "check", "--json", *more)
        return done.code, done.out

    code, text = said({"ref": "HEAD"})
    assert (code, "has submodules, whose files are not in it" in text) == (2, True)
    code, text = said({}, "--set", "evals.startLimitMb=1")
    assert code == 0, text
    (project / "large.bin").write_bytes(b"\0" * 2_000_000)
    code, text = said({}, "--set", "evals.startLimitMb=1")
    assert (code, "more than evals.startLimitMb allows" in text) == (2, True)
    seen = [{"command": "grep -q edited notes/draft.txt && test -f inner/extra.txt", "keeps": True}]
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({**task, "checks": [*task["checks"], *seen]}))
    done = evals.studio.run("eval", "check", "--json")
    assert done.code == 0, done.out


def test_the_page_of_the_dashboard_shows_the_newest_comparison_and_the_runs(evals: Evals) -> None:
    empty = page.evals(evals.world.staging, {})
    assert (empty["comparison"], empty["runs"]) == (None, [])
    bad = evals.side("bad")
    evals.side("good")
    run = evals.compare(bad, "--repeats", "2").data["run"]
    shown = page.evals(evals.world.staging, {}, run)
    assert (shown["comparison"]["verdict"], shown["runs"][0]["attempts"]) == ("BETTER", 16)
    assert shown["faults"] == []
