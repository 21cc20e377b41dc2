"""What an attempt leaves cannot lead anybody out of its copy: no link, no pipe, no repository of its making."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.eval_world import NEEDED, Evals

pytestmark = NEEDED


def tried(evals: Evals, agent: str, *checks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Try one task once with an agent, and return its attempt."""
    task = {"id": "one", "prompt": "x", "start": {"empty": True, "files": {"README.md": "Poems\n"}}, "repeats": 1,
            "checks": [{"file": "done.txt"}, *checks], **more}  # fmt: skip
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    done = evals.studio.run("eval", "run", "--backend", evals.command(agent), "--json")
    if done.code == 7:
        pytest.skip("nothing here keeps a command to its folder")
    assert done.code in {0, 1}, done.out
    found: dict[str, Any] = evals.world.data("eval", "show", "--attempt", "one.1.candidate")
    return found


def test_lines_are_counted_without_asking_the_repository_that_the_agent_owns(evals: Evals) -> None:
    marker = evals.folder / "executed"
    found = tried(
        evals,
        "blob=$(git rev-parse HEAD:README.md); rm -f .git/objects/$(echo $blob | cut -c1-2)/$(echo $blob | cut -c3-)\n"
        "git config extensions.partialClone origin; git config remote.origin.promisor true\n"
        f"git config protocol.ext.allow always; git config remote.origin.url 'ext::sh -c touch% {marker}'\n"
        "git config core.repositoryformatversion 1; echo other > README.md; touch done.txt",
        {"diff": {"lines": 1}},
    )
    assert not marker.exists()
    assert found["checks"][1]["detail"] == "2 lines changed, at most 1 may"
    found = tried(
        evals,
        "seq 9 > README.md; touch done.txt; git add -A; git -c user.name=a -c user.email=a@b commit -qm done",
        {"diff": {"lines": 1}},
    )
    assert found["checks"][1]["detail"] == "10 lines changed, at most 1 may"


def test_what_commands_write_follows_no_link_that_an_agent_laid(evals: Evals) -> None:
    victim, new = evals.folder / "victim.txt", evals.folder / "new.txt"
    victim.write_text("precious")
    links = " ".join(f"ln -sf {victim} ../{name}.out; ln -sf {new} ../{name}.err;" for name in ("check", "client"))
    more = links.replace("../", "../../")
    found = tried(evals, f"touch done.txt; {links} {more} true", {"command": "echo overwritten"})
    assert (victim.read_text(), new.exists()) == ("precious", False)
    assert found["checks"][1]["detail"] == "it ended with 0"


@pytest.mark.parametrize("place", ["latest", "folder/latest"])
def test_starting_files_are_written_through_no_link_of_the_project(evals: Evals, place: str) -> None:
    victim = evals.folder / "victim.txt"
    victim.write_text("precious")
    linked = evals.studio.path / place.partition("/")[0]
    linked.symlink_to(evals.folder if "/" in place else victim)
    if "/" in place:
        (evals.folder / "latest").symlink_to(victim)
    task = {"id": "a", "prompt": "x", "start": {"files": {place: "overwritten"}}, "checks": [{"file": "b"}]}
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    done = evals.studio.run("eval", "check", "--json")
    assert victim.read_text() == "precious"
    assert done.code not in {0, 70}, done.out


def test_where_there_is_no_bubblewrap_landlock_keeps_an_agent_to_its_copy(evals: Evals) -> None:
    outside, inside = evals.folder / "outside.txt", evals.studio.path / "README.md"
    task = {"id": "one", "prompt": "x", "start": {"empty": True}, "checks": [{"file": "done.txt"}]}
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    agent = evals.command(
        f"touch done.txt; echo x > '{outside}'; echo x > '{evals.studio.path}/README.md'; sleep 985 &"
    )
    done = evals.studio.run(
        "eval", "run", "--repeats", "1", "--backend", agent, "--set", "isolation.backend=landlock", "--json"
    )  # fmt: skip
    if done.code == 7:
        pytest.skip("this system has no Landlock")
    assert (done.code, done.data["isolation"], done.data["passed"]) == (0, "landlock", 1), done.out
    assert not outside.exists()
    assert not inside.exists()
    left = [one for one in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x00985" in _read(one)]
    assert left == []


def _read(place: Path) -> bytes:
    with suppress(OSError):
        return place.read_bytes()
    return b""


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(evals: Evals) -> None:
    began = time.monotonic()
    found = tried(
        evals,
        'mkfifo "$AGENT_STUDIO_EVAL_REPORT" report.xml text.txt data.json; mkdir -p "$CLAUDE_CONFIG_DIR/projects/p"\n'
        'mkfifo "$CLAUDE_CONFIG_DIR/projects/p/a.jsonl"; touch done.txt',
        {"junit": "report.xml"}, {"file": "text.txt"}, {"json": "data.json"}, limits={"seconds": 20},
    )  # fmt: skip
    assert [one["passed"] for one in found["checks"]] == [True, False, False, False]
    assert time.monotonic() - began < 20


def test_tests_do_not_run_with_an_interpreter_that_the_agent_made(evals: Evals) -> None:
    found = tried(
        evals,
        "mkdir -p .venv/bin; touch done.txt; cat > .venv/bin/python <<'END'\n#!/bin/sh\n"
        "for one; do case $one in --junitxml=*) echo '<testsuite><testcase name=\"a\"/></testsuite>' > "
        '"${one#--junitxml=}";; esac; done\nEND\nchmod +x .venv/bin/python',
        {"pytest": "."},
    )
    assert found["checks"][1]["passed"] is False


@pytest.mark.parametrize(
    ("start", "more", "told"),
    [
        ({"files": {".claude/agents/extra.md": "x"}}, {}, "a side's own"),
        ({"files": {".git/config": "x"}}, {}, "a side's own"),
        ({"share": [".claude"]}, {}, "a side's own"),
        ({"share": ["missing"]}, {}, "is not there"),
        ({"files": {"../../x": "x"}}, {}, "../../x"),
        ({"files": {"a\0b": "x"}}, {}, "a\\x00b"),
        ({"folder": "away"}, {}, "leads out of the project"),
        ({}, {"limits": {"usd": float("nan")}}, "limits.usd is nan"),
        ({}, {"limits": {"seconds": float("inf")}}, "limits.seconds is inf"),
        ({}, {"prompt": "a\0b"}, "prompt is"),
        ({}, {"checks": [{"loaded": {}}]}, "is empty"),
        ({}, {"checks": [{"atMost": {}}]}, "is empty"),
    ],
)
def test_a_task_that_reaches_out_or_says_nothing_is_refused(
    evals: Evals, start: dict[str, Any], more: dict[str, Any], told: str
) -> None:
    (evals.studio.path / "away").symlink_to(evals.folder)
    task = {"id": "one", "prompt": "x", "start": start, "checks": [{"file": "done.txt"}], **more}
    text = json.dumps(task).replace("NaN", ".nan").replace("Infinity", ".inf")
    evals.studio.write(".claude/evals/seasons.yaml", text)
    done = evals.studio.run("eval", "check", "--json")
    assert (done.code, told in done.envelope["problems"][0]["message"]) == (2, True), done.out


def test_a_link_that_leads_nowhere_and_a_commit_that_cannot_be_unpacked_are_named(evals: Evals) -> None:
    broken = evals.studio.path / ".claude/evals/broken.yaml"
    broken.symlink_to("nowhere")
    done = evals.studio.run("eval", "list", "--json")
    assert done.code in {2, 6}, done.out
    assert "broken.yaml" in done.envelope["problems"][0]["message"]
    broken.unlink()
    (evals.studio.path / "out").symlink_to("/etc/hostname")
    evals.world.commit("A link")
    task = {"id": "one", "prompt": "x", "start": {"ref": "HEAD"}, "checks": [{"file": "done.txt"}]}
    evals.studio.write(".claude/evals/seasons.yaml", json.dumps(task))
    done = evals.studio.run("eval", "check", "--json")
    assert (done.code, "cannot be unpacked" in done.out) == (2, True)


LATE = """
import os, sys, threading, time
from agent_studio.evals.attempts import worker

def late(frame, event, _):
    if frame.f_code.co_name == "_watch" and event == "call":
        descriptor, until = frame.f_locals["descriptor"], time.monotonic() + 2
        given = os.fstat(descriptor)
        while time.monotonic() < until:
            try:
                if not os.path.samestat(given, os.fstat(descriptor)):
                    return
            except OSError:
                return

threading.setprofile(late)
sys.exit(worker.main())
"""
"""A worker whose thread begins to watch as late as it can."""


def test_a_command_that_cannot_be_started_is_told_from_one_that_was_ended(tmp_path: Path) -> None:
    spec = {
        "argv": ["./nothing"], "variables": {"PATH": os.environ["PATH"]}, "backend": "advisory",
        "environment": "staging", "hidden": [], "readonly": [], "writable": [str(tmp_path)],
        **dict.fromkeys(("cwd", "project", "scratch"), str(tmp_path)),
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", LATE], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(spec).encode() + b"\n")
        worker.stdin.flush()
        assert worker.wait(30) == 127


@pytest.mark.parametrize(
    "rule",
    ["x", {"write": ["a"]}, {"when": {}}, {"succeeds": "x"}, {"ended": "banana"}, {"tools": 5}, {"tools": "Write"},
     {"usd": "much"}, {"turns": "x"}],
)  # fmt: skip
def test_a_script_that_cannot_be_followed_is_refused_before_anything_is_tried(evals: Evals, rule: Any) -> None:
    (evals.folder / "script.json").write_text(json.dumps({"tasks": {"*": [rule]}}))
    done = evals.studio.run("eval", "run", "--backend", f"scripted:{evals.folder / 'script.json'}", "--json")
    assert (done.code, "is no script" in done.out) == (2, True)


def test_a_result_of_another_tool_that_is_nested_without_end_is_refused(evals: Evals) -> None:
    evals.world.promoted("good")
    evals.studio.write("deep.json", '{"samples":' + "[" * 100_000)
    done = evals.studio.run("eval", "import", "deep.json", "deep.json", "--format", "inspect", "--json")
    assert (done.code, "is no result of inspect" in done.out) == (2, True)
