"""The guards: what acts on budgets and what keeps agents from the ledger, asked as the client asks."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.guards.handler import Handler, checked

if TYPE_CHECKING:
    from tests.conftest import Studio

STAGING = ("--env", "staging")
SAMPLES = Path(__file__).parent / "fixtures/claude_code"


def _configured(studio: Studio, text: str) -> None:
    studio.write(".claude/config.staging.yaml", f"environment: staging\ncost:\n{text}")


def _asked(studio: Studio, event: str, **payload: Any) -> tuple[int, str, str]:
    """Ask as the client does, by the command that is wired."""
    state = str(studio.path / ".agent-studio")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from agent_studio.guards.cold import main; main(sys.argv[1:])", state],
        input=json.dumps({"hook_event_name": event, "session_id": "s-1", "cwd": str(studio.path), **payload}),
        env={"AGENT_STUDIO_ENV": "staging", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}, cwd=studio.path,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _spent(studio: Studio, tokens: int, **more: str) -> None:
    words = [word for name, value in more.items() for word in (f"--{name}", value)]
    done = studio.run("cost", "record", *STAGING, "--model", "claude-opus-5-5", "--output-tokens", str(tokens), *words)
    assert done.code == 0


BLOCKS = "  budgets: [{name: day, per: day, usd: 1, action: block}]\n"
WARNS = "  budgets: [{name: day, per: day, usd: 1, action: warn}]\n"


@pytest.mark.parametrize(
    ("event", "more"), [("PreToolUse", {"tool_name": "Bash", "tool_input": {}}), ("UserPromptSubmit", {})]
)
def test_a_budget_that_blocks_stops_prompts_and_tools_once_it_is_over(staged: Studio, event: str, more: Any) -> None:
    _configured(staged, BLOCKS)
    assert _asked(staged, event, **more) == (0, "", "")
    _spent(staged, 60_000)
    code, out, err = _asked(staged, event, **more)
    assert (code, out) == (2, "")
    assert "the budget 'day' is used up: $1.20 of $1.00" in err
    assert "It begins anew at" in err
    assert "cost.budgets" in err
    assert _asked(staged, "Stop")[0] == 0


def test_a_budget_that_only_reports_stops_nothing(staged: Studio) -> None:
    _configured(staged, "  budgets: [{per: day, usd: 1}]\n")
    _spent(staged, 60_000)
    assert _asked(staged, "UserPromptSubmit") == (0, "", "")


def test_a_warning_is_said_once_to_each_session(staged: Studio) -> None:
    _configured(staged, WARNS)
    _spent(staged, 45_000)
    code, out, _ = _asked(staged, "UserPromptSubmit")
    assert code == 0
    said = json.loads(out)["hookSpecificOutput"]["additionalContext"]
    assert said == "the budget 'day': $0.90 of $1.00 are used."
    assert _asked(staged, "UserPromptSubmit") == (0, "", "")
    assert "are used" in _asked(staged, "UserPromptSubmit", session_id="s-2")[1]
    _spent(staged, 10_000)
    assert "is used up" in _asked(staged, "UserPromptSubmit")[1]


def test_a_guard_sees_what_the_ledger_does_not_hold_yet(staged: Studio, tmp_path: Path) -> None:
    project = tmp_path / "projects/-p"
    shutil.copytree(SAMPLES / "2.1.330/agent/transcripts", project)
    main = next(place for place in project.rglob("*.jsonl") if "subagents" not in place.parts)
    session = main.stem
    _configured(staged, "  budgets: [{name: session, per: session, tokens: 10, action: block}]\n")
    code, _, err = _asked(staged, "PreToolUse", session_id=session, transcript_path=str(main), tool_input={})
    assert code == 2
    told = staged.run(
        "cost",
        "report",
        *STAGING,
        "--source",
        "transcripts",
        "--config-dir",
        str(tmp_path),
        "--by",
        "session",
        "--json",
    ).data["sessions"]
    used = {one["session"]: one["input_tokens"] + one["output_tokens"] + one["cache_write_tokens"] for one in told}
    assert f"{used[session]:,} tokens of 10 tokens" in err
    kept = staged.run("cost", "report", *STAGING, "--json").data
    assert kept["days"] == [], "looking must write nothing"


def test_a_budget_may_fail_closed(staged: Studio) -> None:
    for declared, code in (("open", 0), ("closed", 2)):
        _configured(staged, f"  budgets: [{{per: day, usd: 1, action: block, onFailure: {declared}}}]\n")
        shutil.rmtree(staged.path / ".agent-studio/staging", ignore_errors=True)
        staged.write(".agent-studio/staging", "a file in the place of the folder")
        assert _asked(staged, "UserPromptSubmit")[0] == code
        (staged.path / ".agent-studio/staging").unlink()


def test_a_budget_that_cannot_be_looked_at_in_time_denies_when_it_says_so(staged: Studio) -> None:
    _spent(staged, 10)
    assert staged.run("cost", "report", *STAGING).code == 0
    with sqlite3.connect(staged.path / ".agent-studio/staging/ledger.sqlite3", isolation_level=None) as busy:
        busy.execute("BEGIN IMMEDIATE")  # as an import does, for as long as it takes
        for declared, code in (("open", 0), ("closed", 2)):
            _configured(staged, f"  budgets: [{{per: day, usd: 1, action: block, onFailure: {declared}}}]\n")
            assert _asked(staged, "UserPromptSubmit")[0] == code
    busy.close()


LEDGER = ".claude/staging/metrics/llm-usage.log"
DENIED = [
    ("Write", {"file_path": LEDGER}),
    ("Edit", {"file_path": f"./{LEDGER}"}),
    ("MultiEdit", {"file_path": f"docs/../{LEDGER}"}),
    ("NotebookEdit", {"notebook_path": LEDGER.upper()}),
    ("Write", {"file_path": "link.txt"}),
    ("Write", {"file_path": ".claude/staging/metrics/llm-usage.42.log"}),
    ("Write", {"file_path": ".agent-studio/staging/checkpoints.jsonl"}),
    ("Edit", {"file_path": ".agent-studio/checkpoint_signers"}),
    ("mcp__files__write", {"path": LEDGER}),
    ("Bash", {"command": f"rm {LEDGER}"}),
    ("Bash", {"command": f"echo x > {LEDGER}"}),
    ("Bash", {"command": f"echo x>>{LEDGER}"}),
    ("Bash", {"command": f"cat a | tee {LEDGER}"}),
    ("Bash", {"command": f"sed -i s/1/2/ {LEDGER}"}),
    ("Bash", {"command": f"ls && mv {LEDGER} /tmp"}),
    ("Bash", {"command": f"cat $(rm {LEDGER})"}),
    ("Bash", {"command": f"cat 'unended {LEDGER}"}),
    ("Bash", {"command": f"cat {LEDGER}\n\nrm {LEDGER}"}),
    ("Bash", {"command": f"cat {LEDGER};\nrm {LEDGER}"}),
    ("Bash", {"command": f"cat {LEDGER} &\n rm {LEDGER}"}),
    ("Bash", {"command": f"(cat {LEDGER}); rm {LEDGER}"}),
    ("Bash", {"command": f"cat {LEDGER} |& tee {LEDGER}"}),
    ("Bash", {"command": f"cat <(rm {LEDGER})"}),
    ("Bash", {"command": f"cat {LEDGER} # x\nrm {LEDGER}"}),
    ("Bash", {"command": f"agent-studio run -- rm {LEDGER}"}),
    ("mcp__files__move", {"source": LEDGER, "destination": "x"}),
    ("mcp__files__write", {"filePath": LEDGER}),
    ("Bash", {"command": f"cd x; python3 -c \"open('{LEDGER}','w')\""}),
    ("Bash", {"command": "truncate -s 0 .agent-studio/staging/checkpoints.jsonl"}),
]
ALLOWED = [
    ("Read", {"file_path": LEDGER}),
    ("Write", {"file_path": "llm-usage.md"}),
    ("Write", {"file_path": "runs/checkpoints.jsonl"}),
    ("Bash", {"command": f"tail -5 {LEDGER} | jq .costUsd"}),
    ("Bash", {"command": f"grep opus {LEDGER} 2>/dev/null | wc -l"}),
    ("Bash", {"command": "agent-studio cost verify .claude/staging/metrics/llm-usage.log"}),
    ("Bash", {"command": "rm -rf build"}),
]


@pytest.mark.parametrize(("tool", "given"), DENIED)
def test_what_would_write_the_ledger_is_denied(guarded: Studio, tool: str, given: Any) -> None:
    code, _, err = _asked(guarded, "PreToolUse", tool_name=tool, tool_input=given)
    assert (code, "only agent-studio writes it" in err) == (2, True)


@pytest.mark.parametrize(("tool", "given"), ALLOWED)
def test_what_reads_it_or_is_something_else_goes_on(guarded: Studio, tool: str, given: Any) -> None:
    assert _asked(guarded, "PreToolUse", tool_name=tool, tool_input=given) == (0, "", "")


def test_without_the_switch_nothing_is_denied(staged: Studio) -> None:
    assert _asked(staged, "PreToolUse", tool_name=DENIED[0][0], tool_input=DENIED[0][1]) == (0, "", "")


@pytest.fixture
def guarded(staged: Studio) -> Studio:
    _configured(staged, "  guardLedger: true\n")
    (staged.path / "link.txt").symlink_to(staged.path / LEDGER)
    return staged


def test_only_what_the_configuration_asks_for_is_wired(staged: Studio) -> None:
    def deciding() -> set[str]:
        staged.run("hooks", "install", *STAGING, "--no-wrap", "--client-version", "2.1.330")
        text = json.loads((staged.path / ".claude/settings.local.json").read_text())
        return {event for event, groups in text["hooks"].items() if ":decide" in json.dumps(groups)}

    assert deciding() == set()
    _configured(staged, BLOCKS)
    found = {one["code"]: one for one in staged.run("doctor", *STAGING, "--json").data["findings"]}
    assert found["guards"]["severity"] == "warning"
    assert deciding() == {"UserPromptSubmit", "PreToolUse"}
    found = {one["code"]: one for one in staged.run("doctor", *STAGING, "--json").data["findings"]}
    assert found["guards"]["severity"] == "ok"
    _configured(staged, WARNS)
    assert deciding() == {"UserPromptSubmit", "SessionStart"}
    _configured(staged, "  guardLedger: true\n")
    assert deciding() == {"PreToolUse"}


def test_a_handler_that_fails_closed_where_nothing_can_be_denied_is_refused() -> None:
    with pytest.raises(ValueError, match="SessionEnd"):
        checked({"SessionEnd": (Handler("x", lambda _: None, on_failure="closed"),)})
    assert checked({"PreToolUse": (Handler("x", lambda _: None, on_failure="closed"),)})
