"""Tasks are data: what may stand in a file, what is refused and where, what could not fail, where tasks come from."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.evals.tasks import schema, validating

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Finished, Studio

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not here")
GREET = "id: greet\nprompt: Say hello\nstart: {empty: true}\nchecks:\n  - file: hello.txt\n    matches: hello\n"


def tried(studio: Studio, text: str, *arguments: str) -> Finished:
    """Write one file of tasks and look at what `eval` makes of it."""
    studio.write(".claude/evals/task.yaml", text)
    return studio.run("eval", *(arguments or ("list",)), "--json")


def refused(studio: Studio, text: str) -> dict[str, Any]:
    done = tried(studio, text)
    assert done.code == 2, done.out
    problem: dict[str, Any] = done.envelope["problems"][0]
    return problem


def test_a_task_is_read_with_the_defaults_of_the_configuration(staged: Studio) -> None:
    task = tried(staged, GREET, "list", "--set", "evals.repeats=7").data["tasks"][0]
    assert (task["id"], task["repeats"], task["checks"]) == ("greet", 7, ["file hello.txt: matches hello"])
    assert task["limits"] == {"seconds": 600.0, "turns": 40, "usd": 0.5}
    assert task["file"] == ".claude/evals/task.yaml:1"


WRONG = (
    (GREET.replace("checks:", "chekcs:"), "the task has no checks, so it could not fail", "checks:"),
        ("id: a\nprompt: x\nchecks: []\n", "the task has no checks, so it could not fail", "checks:"),
        (GREET + "  - fiel: a\n", "task.yaml:7: checks.1 is no check that is known: fiel", '"file"'),
        (GREET + "  - file: a\n    command: b\n", "checks.1 is command and file at once", "write two"),
        (GREET + "limits: {turns: none}\n", "limits.turns is 'none', not a whole number", "eval schema"),
        (GREET + "limits: {turn: 3}\n", "limits.turn is an unknown key", '"turns"'),
        (GREET.replace("hello.txt", "../hello.txt"), "checks.0.file is '../hello.txt'", "without .."),
        (GREET + "promptFile: a.md\n", "either prompt or promptFile", "prompt:"),
        (GREET.replace("{empty: true}", "{empty: true, ref: HEAD}"), "start names several places", "one of"),
        (GREET.replace("matches: hello", "exists: false\n    matches: hello"),
         "task.yaml:5: checks.0 has exists: false and matches", "leave out"),
        (GREET.replace("matches: hello", "matches: 'he(llo'"),
         "task.yaml:6: checks.0.matches is 'he(llo', no regular expression", "write a"),
        (GREET + "  - tool: Bash\n    input: '*x'\n",
         "task.yaml:8: checks.1.input is '*x', no regular expression", "write a"),
        ("id: [", "task.yaml:1", "mend the YAML"),
        ("- a\n", "the file must be a mapping", "key: value"),
)  # fmt: skip


def test_a_wrong_task_is_refused_with_its_place_and_what_would_be_right(staged: Studio) -> None:
    for text, said, hint in WRONG:
        problem = refused(staged, text)
        assert said in problem["message"], text
        assert ".claude/evals/task.yaml" in problem["message"]
        assert hint in problem["hint"], text


def test_two_tasks_of_one_id_are_refused_by_both_files(staged: Studio) -> None:
    staged.write(".claude/evals/another.yaml", GREET)
    message = refused(staged, GREET)["message"]
    assert "the id 'greet' is also that of .claude/evals/another.yaml:1" in message


def test_a_start_that_is_not_there_is_refused_before_anything_runs(staged: Studio) -> None:
    for start, said in (("folder: nowhere", "is no folder"), ("ref: nothing", "git knows no 'nothing'")):
        done = tried(staged, GREET.replace("empty: true", start), "check")
        assert done.code == 2
        assert said in done.envelope["problems"][0]["message"]


def test_checks_that_pass_before_anything_is_done_are_named_and_such_a_task_is_not_tried(staged: Studio) -> None:
    text = (
        "tasks:\n"
        "  - {id: vacuous, prompt: x, start: {empty: true, files: {a.txt: done}}, "
        "checks: [{file: a.txt}, {file: b.txt}]}\n"
        "  - {id: idle, prompt: x, start: {empty: true}, checks: [{command: 'true'}, {blocked: 0}]}\n"
        "  - {id: kept, prompt: x, start: {empty: true}, checks: [{command: 'false', keeps: true}, {file: b.txt}]}\n"
        "  - {id: sound, prompt: x, start: {empty: true}, checks: [{file: b.txt}, {diff: {only: [b.txt]}}]}\n"
    )
    done = tried(staged, text, "check")
    assert done.code == 1
    found = {one["task"]: one for one in done.data["tasks"]}
    assert found["vacuous"]["vacuous"] == ["file a.txt"]
    assert found["vacuous"]["can_fail"]
    assert not found["idle"]["can_fail"]
    assert found["kept"]["broken"] == ["command false"]
    assert found["sound"]["sound"]
    refusal = tried(staged, text, "run", "--backend", "true")
    assert refusal.code == 2
    message = refusal.envelope["problems"][0]["message"]
    assert "an agent that does nothing succeeds at idle" in message
    assert "does not in kept: command false" in message


def test_a_starter_suite_is_made_of_the_definitions_and_is_sound(staged: Studio) -> None:
    staged.write(
        ".claude/agents/auditor.md", "---\nname: auditor\ndescription: Audits.\ntools: Read, Grep\n---\nAudit.\n"
    )
    staged.write(
        ".claude/settings.json", json.dumps({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}})
    )
    for folder in ("one", "other"):
        staged.write(f".claude/agents/{folder}/a-twin.md", "---\nname: a-twin\ndescription: Twins.\n---\nTwin.\n")
    made = staged.run("eval", "new", "--starter", "--json").data
    assert made["tasks"].count("starter-routes-agent-a-twin") == 1
    assert {"starter-loaded", "starter-routes-agent-auditor", "starter-keeps-auditor", "starter-hooks-fire"} <= set(
        made["tasks"]
    )
    assert staged.run("eval", "check", "--json").code == 0
    again = staged.run("eval", "new", "--starter", "--json")
    assert again.code == 2
    assert "is there already" in again.envelope["problems"][0]["message"]


def test_a_task_is_made_of_a_recorded_session(staged: Studio, tmp_path: Path) -> None:
    project = str(staged.path.resolve())
    lines = [
        {"type": "user", "timestamp": "2030-01-01T00:00:00.000Z", "message": {"content": "Round prices"}},
        *_call("a", "Write", {"file_path": f"{project}/shop/price.py", "content": "x"}),
        *_call("b", "Bash", {"command": "python -m pytest -q"}),
        *_call("c", "Agent", {"subagent_type": "test-writer", "prompt": "p"}),
        {"type": "assistant", "message": {"content": ["odd", {"type": "tool_use", "id": "d", "name": "Edit"}]}},
        {"type": "user", "message": "odd"},
    ]  # fmt: skip
    folder = tmp_path / "client/projects" / "".join(one if one.isalnum() and one.isascii() else "-" for one in project)
    folder.mkdir(parents=True)
    (folder / "5e551011-0000.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    done = staged.run(
        "eval", "new", "rounding", "--from-session", "5e55", "--config-dir", str(tmp_path / "client"), "--json"
    )
    assert done.code == 0, done.out
    task = staged.json("eval", "list")["tasks"][0]
    assert task["checks"] == [
        "command python -m pytest -q", 'diff {"changed": ["shop/price.py"]}', "agent test-writer"
    ]  # fmt: skip
    assert "Round prices" in (staged.path / ".claude/evals/rounding.yaml").read_text()
    blank = staged.run("eval", "new", "other", "--from-session", " ", "--json")
    assert (blank.code, "--from-session is blank" in blank.out) == (2, True)
    missing = staged.run("eval", "new", "other", "--from-session", "nope", "--json")
    assert (missing.code, "no session of this project" in missing.out) == (2, True)


def _call(identity: str, name: str, given: dict[str, str]) -> list[dict[str, Any]]:
    called = {"type": "tool_use", "id": identity, "name": name, "input": given}
    answered = {"type": "tool_result", "tool_use_id": identity, "content": "ok"}
    return [
        {"type": "assistant", "message": {"content": [called]}}, {"type": "user", "message": {"content": [answered]}}
    ]  # fmt: skip


def test_the_schema_for_editors_and_the_check_agree(staged: Studio) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    told = staged.json("eval", "schema")["schema"]
    jsonschema.Draft202012Validator.check_schema(told)
    validator = jsonschema.Draft202012Validator(told)
    good = {"prompt": "x", "checks": [{"file": "a"}, {"command": ["a", "b"]}, {"atMost": {"usd": 1}}]}
    for value in (good, {"tasks": [good]}):
        assert validator.is_valid(value)
    bad: list[dict[str, Any]] = [
        {"prompt": "x"}, {**good, "checks": []}, {**good, "checks": [{"fiel": "a"}]}, {**good, "limits": {"turns": 0}},
        {**good, "tags": "one"}, {**good, "checks": [{"file": "/a"}]},
    ]  # fmt: skip
    for value in bad:
        assert not validator.is_valid(value), value
        assert list(validating.faults(value, schema.TASK)), value
    assert not list(validating.faults(good, schema.TASK))
