"""What evals may say to the gate: made by whom, with which tasks, in which run, and never by choosing among results."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.eval_world import AGENT, TASKS, Evals
from tests.release_world import World

from agent_studio.release import no_regression

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

pytestmark = [
    pytest.mark.skipif(not (shutil.which("ssh-keygen") and shutil.which("git")), reason="ssh-keygen or git is missing"),
    pytest.mark.skipif(os.name == "nt", reason="scripts of the tests are for a POSIX shell"),
]
GOOD = "---\nname: code-reviewer\ndescription: Reviews.\n---\ngood\n"


@pytest.fixture
def evals(bare: Studio, tmp_path: Path) -> Evals:
    return Evals(World(bare, tmp_path), tmp_path)


def required(evals: Evals, backend: str) -> str:
    """Promote good definitions under a policy that counts one backend; return the release."""
    config = evals.studio.path / ".claude/config.yaml"
    text = config.read_text()
    own = f"evals: {{required: true, attempts: 10, margin: 0.25, backend: {json.dumps([backend])}}}"
    policy = f"  policy:\n    {own}\n"
    config.write_text(text + (policy if "release:" in text else f"release:\n{policy}"))
    live: str = evals.world.promoted(GOOD)
    return live


def asked(evals: Evals) -> tuple[str, str]:
    done = evals.world.data("gate")["requirements"]
    return next((one["verdict"], one["reason"]) for one in done if one["name"] == "no-regression")


def counting(evals: Evals) -> str:
    return f"scripted:{evals.folder / 'script.json'}"


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


def test_an_older_run_that_is_gone_on_with_does_not_take_the_place_of_a_newer_one(evals: Evals) -> None:
    required(evals, counting(evals))
    evals.side("bad")
    evals.script({}, when={"file": AGENT, "has": ""})
    old = evals.compare("live", "--repeats", "6").data["run"]
    assert asked(evals)[0] == "PASS"
    evals.script({})
    evals.compare("live", "--repeats", "6")
    assert asked(evals)[0] == "FAIL"
    resumed = evals.studio.run("eval", "compare", "--resume", old, "--json")
    assert resumed.data["evidence"] is None
    assert any("is newer" in one["message"] for one in resumed.envelope["problems"])
    verdict, reason = asked(evals)
    assert (verdict, "run 2 of these sides" in reason, "4 tasks" in reason) == ("FAIL", True, True)


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
                   '{"tools": [], "tokens": 2000000000}', '{"tools": [], "usd": "-1"}', "[" * 100_000):  # fmt: skip
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
