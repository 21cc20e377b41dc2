"""What evals may say to the gate: made by whom, with which tasks, in which run, and never by choosing among results."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest
from tests.eval_world import AGENT, NEEDED, TASKS, Evals, asked, counting, judged_worse, required

from agent_studio.release import no_regression

pytestmark = NEEDED


def test_only_the_backend_that_the_policy_names_decides_whatever_its_path(evals: Evals) -> None:
    place = evals.folder / "my dir"
    place.mkdir()
    required(evals, counting(evals))
    evals.side("good, other")
    shutil.copy(evals.folder / "script.json", place / "script.json")
    rehearsed = evals.compare("live", "--repeats", "6", backend=f"'scripted:{place}/script.json'")
    assert rehearsed.data["evidence"]["verdict"] == "PASS"
    assert asked(evals)[0] == "INSUFFICIENT"
    assert "a rehearsal with" in asked(evals)[1]
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "PASS"
    again = evals.compare("live", "--repeats", "3", backend=f"'scripted:{place}/script.json'")
    assert again.data["evidence"] is None
    assert asked(evals)[0] == "PASS"


def test_an_agent_that_does_nothing_on_either_side_shows_nothing(evals: Evals) -> None:
    script = evals.folder / "script.json"
    required(evals, counting(evals))
    evals.side("bad")
    script.write_text(json.dumps({"tasks": {"*": [{"ended": "crashed", "usd": "0"}]}}))
    done = evals.compare("live", "--repeats", "15")
    assert (done.code, done.data["verdict"], done.data["needed"]) == (3, "INSUFFICIENT", None)
    assert "no attempt of either side passed at anything (120 crashed)" in done.data["reason"]
    assert asked(evals)[0] == "INSUFFICIENT"


def test_runs_that_look_good_do_not_undo_one_that_was_worse(evals: Evals) -> None:
    first = judged_worse(evals)
    evals.script({}, when={"file": AGENT, "has": ""})  # from now on both sides pass at everything: luck
    for number in (2, 3):
        done = evals.compare("live", "--repeats", "2")
        assert (done.code, done.data["verdict"], len(done.data["runs"])) == (1, "WORSE", number)
        assert (done.data["pairs"]["lost"], done.data["attempts"]["made"]) == (24, 16)
    assert asked(evals)[0] == "FAIL"
    assert "in 3 runs" in asked(evals)[1]
    assert evals.studio.run("eval", "compare", "--resume", first, "--json").code == 1
    assert asked(evals)[0] == "FAIL"
    assert [one["verdict"] for one in evals.world.data("eval", "list")["runs"]] == ["WORSE"] * 3
    evals.side("good, mended")
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "PASS"
    evals.compare("live", "winter", "--repeats", "2")  # no more pairs that count, and nothing that waits
    assert (asked(evals)[0], "in 2 runs" in asked(evals)[1]) == ("PASS", True)


def test_a_run_that_was_worse_cannot_be_taken_away(evals: Evals) -> None:
    run = judged_worse(evals)
    folder = evals.studio.path / ".agent-studio/staging/evals"
    shutil.rmtree(folder / run)
    done = evals.compare("live", "--repeats", "6")
    assert (done.code, "is gone, and its attempts count" in done.out) == (8, True)
    listed = evals.studio.run("eval", "list", "--json")
    assert (listed.code, f"{run} is gone, and its attempts count" in listed.out) == (0, True)
    shutil.rmtree(folder)
    evals.script({}, when={"file": AGENT, "has": ""})
    done = evals.compare("live", "--repeats", "6")
    assert done.data["evidence"] is None
    assert any(f"{run}, which earlier evidence" in one["message"] for one in done.envelope["problems"])
    assert evals.studio.run("gate", "--json").code == 8


def test_what_was_tried_since_makes_evidence_wait_until_it_is_judged(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("good, other")
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "PASS"
    evals.script({}, sleepMs=50)
    words = [sys.executable, "-m", "agent_studio", "eval", "compare", "--against", "live", "--repeats", "9"]
    process = subprocess.Popen(
        [*words, "--backend", counting(evals)], cwd=evals.studio.path, stdout=subprocess.DEVNULL
    )  # fmt: skip
    folder = evals.studio.path / ".agent-studio/staging/evals"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        newest = max(folder.glob("*/journal.jsonl"))
        if len(list(folder.glob("*/journal.jsonl"))) == 2 and newest.read_text().count('"kind":"attempt"') >= 4:
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    verdict, reason = asked(evals)
    run = newest.parent.name
    assert (verdict, reason) == (
        "INSUFFICIENT", f"more was tried since: agent-studio eval compare --resume {run} judges it all"
    )  # fmt: skip
    newest.write_bytes(newest.read_bytes() + b'{"kind":"att')  # torn, as a machine that stops leaves it
    again = evals.studio.run("eval", "compare", "--resume", run, "--limit-usd", "90", "--json")
    assert again.data["attempts"]["made"] == 72, again.out
    assert asked(evals)[0] == "PASS"


@pytest.mark.parametrize("how", ["changed", "cut", "reordered", "gone"])
def test_a_journal_that_is_not_as_it_was_written_is_found_by_gate_and_show(evals: Evals, how: str) -> None:
    run = judged_worse(evals)
    place = evals.studio.path / ".agent-studio/staging/evals" / run / "journal.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    if how == "changed":
        place.write_bytes(b"".join(lines).replace(b'"passed":false', b'"passed":true', 1))
    elif how == "cut":
        place.write_bytes(b"".join(lines[:-6]))
    elif how == "reordered":
        place.write_bytes(b"".join([*lines[:4], lines[5], lines[4], *lines[6:]]))
    else:
        place.unlink()
    gate = evals.studio.run("gate", "--json")
    assert (gate.code, "journal.jsonl" in gate.out) == (8, True)
    assert evals.studio.run("eval", "show", run, "--json").code == 8
    assert evals.studio.run("eval", "compare", "--resume", run, "--json").code == 8


def test_evidence_is_about_the_tasks_that_are_there_now(evals: Evals) -> None:
    required(evals, counting(evals))
    place = evals.studio.path / ".claude/evals/seasons.yaml"
    tasks = json.loads(place.read_text())["tasks"]
    tasks[0].pop("prompt")
    tasks[0]["promptFile"] = "spring.md"
    tasks[1]["start"] = {"folder": "seasons"}
    evals.studio.write("seasons/README.md", "Poems\n")
    evals.studio.write(".claude/evals/spring.md", "Write about spring\n")
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
    evals.side("good, other")
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "PASS"
    shown = re.search("suite ([0-9a-f]{12})", asked(evals)[1])
    assert shown is not None
    requested = evals.studio.run("signoff", "request", "--role", "qa", "--out", "ask.json")
    assert shown[0] in requested.out + (evals.studio.path / "ask.json").read_text()

    def said() -> str:
        verdict, reason = asked(evals)
        assert verdict == "INSUFFICIENT"
        return reason

    evals.studio.write(".claude/evals/spring.md", "Write anything\n")
    assert "the tasks are not those that it was made with: changed spring; agent-studio eval compare" in said()
    evals.studio.write("seasons/hint.txt", "summer\n")
    assert "changed spring, summer; " in said()
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks[:3]}))
    evals.studio.write(".claude/evals/new.yaml", "prompt: x\nchecks: [{file: a}]\n")
    assert "changed spring, summer; new new; gone winter; " in said()
    evals.studio.write(".claude/evals/new.yaml", "prompt: [\n")
    assert "the tasks cannot be read: .claude/evals/new.yaml" in said()
    (evals.studio.path / ".claude/evals/new.yaml").unlink()
    (evals.studio.path / "seasons/hint.txt").unlink()
    evals.studio.write(".claude/evals/spring.md", "Write about spring\n")
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
    assert asked(evals)[0] == "PASS"


def test_tasks_that_could_not_fail_are_no_evidence(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("bad")
    task = {"id": "a", "prompt": "x", "start": {"empty": True}, "checks": [{"command": "true"}]}
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    done = evals.compare("live", "--repeats", "20", "--allow-vacuous")
    assert (done.data["evidence"], asked(evals)[0]) == (None, "INSUFFICIENT")
    assert any("could not fail" in one["message"] for one in done.envelope["problems"])


def test_a_run_whose_sides_were_edited_does_not_go_on(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    run = evals.compare(bad, "--repeats", "1").data["run"]
    place = evals.studio.path / ".agent-studio/staging/evals" / run / "run.json"
    other = evals.side("never tried")
    value = json.loads(place.read_text())
    place.write_text(json.dumps({**value, "candidate": other}))
    done = evals.studio.run("eval", "compare", "--resume", run, "--json")
    assert "is not what was sealed" in done.envelope["problems"][0]["message"]
    assert done.code == 8


@pytest.mark.parametrize("margin", [0.02, 0.03, 0.05, 0.101, 0.15, 0.3])
def test_the_gate_says_what_the_comparison_said_at_the_same_margin_and_at_another(margin: float) -> None:
    from agent_studio.evals.verdicts import betting

    needed = betting.needed_no_worse(betting.Pairs(0, 0, 1), margin)
    assert needed is not None
    counts = betting.Pairs(0, 0, needed + 1)
    figures = {"low": betting.interval(counts).low, "shown": betting.is_no_worse(counts, margin), "margin": margin}
    data: dict[str, Any] = {"against": "x", "words": ["claude"], "pairs": counts.total, "reason": "", **figures}
    rules = no_regression.Rules(required=True, tags=(), margin=margin, attempts=1, imported=False)
    assert (figures["shown"], no_regression.judged(rules, data, "x")[0]) == ("PASS", "PASS")
    assert no_regression.judged(rules, {**data, "margin": 0.5}, "x")[0] == "PASS"


def test_pairs_that_cannot_be_decided_are_not_left_out_where_they_were_lost(evals: Evals) -> None:
    good = evals.side("good")
    evals.side("bad")
    start = {"empty": True}
    tasks = [
        {"id": "t1", "prompt": "x", "start": start, "checks": [{"file": "out.txt"}, {"tools": ["Write"]}]},
        {"id": "t2", "prompt": "x", "start": start, "checks": [{"file": "never.txt"}]},
    ]
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
    agent = evals.command(f"grep -q good {AGENT} && touch out.txt; true")
    done = evals.compare(good, "--repeats", "4", "--margin", "0.5", "--limit-usd", "100", backend=agent)
    if done.code == 7:
        pytest.skip("nothing here keeps a command to its folder")
    assert (done.code, done.data["verdict"], done.data["pairs"]["undecided"]) == (3, "INSUFFICIENT", 4)
    assert "could not be decided" in done.data["reason"]


def test_a_task_with_more_repeats_does_not_outvote_the_others(evals: Evals) -> None:
    good = evals.side("good")
    evals.side("bad")
    start = {"empty": True}
    tasks = [
        {"id": name, "prompt": "x", "start": start, "repeats": 20 if name == "winter" else 1,
         "checks": [{"file": "poem.txt", "matches": "done"}]} for name in TASKS
    ]  # fmt: skip
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps({"tasks": tasks}))
    has = [{"when": {"file": AGENT, "has": "good"}, "write": {"poem.txt": "done"}, "usd": "0"}, {"usd": "0"}]
    lost = [{"when": {"file": AGENT, "has": "bad"}, "write": {"poem.txt": "done"}, "usd": "0"}, {"usd": "0"}]
    evals.script({**dict.fromkeys(TASKS, has), "winter": lost})
    done = evals.compare(good, "--limit-usd", "100")
    assert (done.data["verdict"], done.data["passRate"]["difference"]) == ("INSUFFICIENT", -0.5)
    assert done.data["pairs"]["leftOut"] == 19
    assert any(one["code"] == "uneven" for one in done.envelope["problems"])


def test_an_agent_works_unconfined_only_where_configuration_and_command_say_so(evals: Evals) -> None:
    marker = evals.folder / "ran"
    agent = evals.command(f"touch {marker}")
    base = ("eval", "run", "winter", "--repeats", "1", "--set", "isolation.backend=advisory", "--json")
    said = ("--set", "isolation.require=false")
    for more in ((), ("--unconfined",), said):
        refused = evals.studio.run(*base, "--backend", agent, *more)
        assert (refused.code, refused.envelope["problems"][0]["code"]) == (7, "not-isolated")
    assert not marker.exists()
    assert evals.studio.run(*base, "--backend", agent, "--unconfined", *said).code == 1
    assert marker.exists()
    assert evals.studio.run(*base, "--backend", counting(evals)).code == 1


def test_a_report_that_is_none_tells_nothing_and_ends_no_run(evals: Evals) -> None:
    for report in ('{"tools": [], "turns": "abc"}', '{"tools": [], "turns": 1e400}', '{"tools": [], "tokens": -500}',
                   '{"tools": [], "tokens": 2000000000}', '{"tools": [], "usd": "-1"}', '{"tools": "Write"}',
                   "[" * 100_000):  # fmt: skip
        evals.studio.write("report.json", report)
        agent = evals.command(f"cat '{evals.studio.path}/report.json' > \"$AGENT_STUDIO_EVAL_REPORT\"")
        done = evals.studio.run("eval", "run", "winter", "--repeats", "1", "--backend", agent, "--json")
        if done.code == 7:
            pytest.skip("nothing here keeps a command to its folder")
        assert done.code == 1, done.out
        shown = evals.world.data("eval", "show", "--attempt", "winter.1.candidate")["facts"]
        assert (shown["known"], "its report is none" in shown["reason"]) == (False, True)


def test_a_run_of_one_kind_is_not_gone_on_with_as_another_and_not_with_other_options(evals: Evals) -> None:
    bad = evals.side("bad")
    evals.side("good")
    run = evals.studio.run("eval", "run", "--repeats", "1", "--backend", counting(evals), "--json").data["run"]
    wrong = evals.studio.run("eval", "compare", "--resume", "--json")
    assert (wrong.code, f"run {run} has one side" in wrong.out) == (2, True)
    both = evals.compare(bad, "--repeats", "1").data["run"]
    assert evals.studio.run("eval", "compare", "--resume", "--json").data["run"] == both
    assert evals.studio.run("eval", "run", "--resume", "--json").data["run"] == run
    for more in (("--backend", "false"), ("--against", "none"), ("--seed", "3"), ("--keep",), ("--model", "x")):
        refused = evals.studio.run("eval", "compare", "--resume", *more, "--json")
        assert (refused.code, more[0] in refused.envelope["problems"][0]["message"]) == (2, True)
