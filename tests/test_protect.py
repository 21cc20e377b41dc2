"""The guard of what is not an agent's own: asked as the client asks, through the command that is wired."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Studio, add_artifacts
from tests.forked import forked

from agent_studio.guards import cold, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STAGING = ("--env", "staging")
GUARD = "environment: staging\nisolation:\n  guard: true\n"
READS = GUARD + "  guardReads: true\n"


def _asked(
    studio: Studio, tool: str, given: Mapping[str, Any], *, environment: str = "staging", **payload: Any
) -> tuple[int, str]:
    """Ask the cold command as the client does."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from agent_studio.guards.cold import main; main(sys.argv[1:])",
         str(studio.path / ".agent-studio")],
        input=_event(studio, tool, given, payload), cwd=studio.path, capture_output=True, timeout=30, check=False,
        env=_variables(environment),
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def _event(studio: Studio, tool: str, given: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
    event = {"hook_event_name": "PreToolUse", "session_id": "s", "cwd": str(studio.path), "tool_name": tool}
    return json.dumps({**event, "tool_input": dict(given), **more}).encode()


def _variables(environment: str) -> dict[str, str]:
    return {"AGENT_STUDIO_ENV": environment, "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}


_LOOKED_AT: list[Studio] = []


@pytest.fixture
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """The same in a forked process, of a project that no question changes: made once in a process."""
    if not _LOOKED_AT:
        studio = Studio(tmp_path_factory.mktemp("guarded") / "my project ünï")
        add_artifacts(studio)
        assert studio.run("init", *STAGING, "--set", "testData.artifactsCount=20").code == 0
        _LOOKED_AT.append(_guarded(studio))
    (studio,) = _LOOKED_AT

    def ask(tool: str, given: Mapping[str, Any]) -> tuple[int, str]:
        filled = json.loads(json.dumps(given).replace("{project}", str(studio.path)))
        call = partial(cold.main, [str(studio.path / ".agent-studio")])
        event = _event(studio, tool, filled, {})
        done = forked(call, cwd=studio.path, variables=_variables("staging"), given=event)
        return done.code, done.err

    return ask


@pytest.fixture
def guarded(staged: Studio) -> Studio:
    """Staging with the guard, production's data beside it, links into both, and sidecars of two agents."""
    return _guarded(staged)


def _guarded(staged: Studio) -> Studio:
    staged.run("init", "--env", "production", "--no-hooks")
    staged.write(".claude/config.staging.yaml", GUARD)
    staged.write(".claude/staging/agents/reviewer/hot.jsonl", "")
    staged.write("src/app.py", "")
    (staged.path / "link.txt").symlink_to(staged.path / ".claude/metrics/hooks.jsonl")
    (staged.path / "there").symlink_to(staged.path / ".agent-studio")
    return staged


PRODUCTION, EVIDENCE, SIDECAR = ".claude/metrics/hooks.jsonl", ".agent-studio/staging/tests/x.json", (
    ".claude/staging/agents/writer/hot.jsonl"
)  # fmt: skip
DENIED: list[tuple[str, dict[str, Any]]] = [
    *(
        (tool, {"file_path": path})
        for tool in ("Write", "Edit", "MultiEdit")
        for path in (PRODUCTION, EVIDENCE, SIDECAR)
    ),
    ("NotebookEdit", {"notebook_path": ".claude/memory/x.ipynb"}),
    ("Write", {"file_path": f"./src/../{PRODUCTION}"}),
    ("Write", {"file_path": PRODUCTION.upper()}),
    ("Write", {"file_path": "link.txt"}),
    ("Write", {"file_path": "there/staging/x"}),
    ("Write", {"file_path": ".claude/config.yaml"}),
    ("Edit", {"file_path": ".claude/config.staging.yaml"}),
    ("Edit", {"file_path": ".claude/agents/code-reviewer.md"}),
    ("Write", {"file_path": ".claude/settings.local.json"}),
    ("Write", {"file_path": ".agent-studio/bin/decide"}),
    ("mcp__files__write", {"path": PRODUCTION}),
    ("mcp__files__move", {"moves": [{"from": "a", "to": EVIDENCE}]}),
    ("mcp__files__write", {"uri": "file://{project}/.agent-studio/routes"}),
    ("Bash", {"command": f"rm {PRODUCTION}"}),
    ("Bash", {"command": f"echo x > {PRODUCTION}"}),
    ("Bash", {"command": f"echo x>>'{EVIDENCE}'"}),
    ("Bash", {"command": f"cat a | tee -a {PRODUCTION}"}),
    ("Bash", {"command": f"sed -i s/1/2/ {PRODUCTION}"}),
    ("Bash", {"command": "rm -rf .claude"}),
    ("Bash", {"command": "rm -rf ./"}),
    ("Bash", {"command": "cd .claude && rm -rf metrics"}),
    ("Bash", {"command": "cd .claude/metrics; rm *.jsonl"}),
    ("Bash", {"command": "find .claude -name '*.jsonl' -delete"}),
    ("Bash", {"command": "mv .agent-studio/staging /tmp/x"}),
    ("Bash", {"command": "cp /tmp/forged.json .agent-studio/staging/tests/"}),
    ("Bash", {"command": f"dd if=/dev/zero of={PRODUCTION}"}),
    ("Bash", {"command": "cat $(rm .claude/metrics/hooks.jsonl)"}),
    ("Bash", {"command": f"python3 - {PRODUCTION}"}),
    ("Bash", {"command": f"ls\nrm {PRODUCTION}"}),
    ("Bash", {"command": f"echo 'unended {PRODUCTION}"}),
    ("Bash", {"command": "rm $PWD/.agent-studio/staging/x"}),
    ("Bash", {"command": "git checkout .claude/config.yaml"}),
    ("Bash", {"command": "agent-studio run -- rm .agent-studio/staging/x"}),
    ("Bash", {"command": "rm link.txt/../.claude/metrics/*.jsonl"}),
    *(
        ("Bash", {"command": command})
        for command in (
            "rm \\\n  .claude/config.yaml",
            "echo x >\\\n.claude/config.yaml",
            "(echo x)>.claude/config.yaml",
            "cat x;>.claude/config.yaml",
            "A=1 rm -rf .",
            "sudo rm -rf .",
            "if true; then rm -rf .; fi",
            "cd -- .claude && rm config.yaml",
            "cd -P .claude && rm config.yaml",
            "rm -rf $(echo .)",
            "echo $(date) > .claude/staging/../config.yaml",
            'echo x > $(pwd)/.clau""de/config.yaml',
            "curl -o.claude/config.yaml http://x",
            "tar -C.claude -xf a",
            "tree -o .claude/config.yaml",
            "rg --pre rm x .claude/config.yaml",
            'git grep -O"rm" x .claude',
            "F=.claude/config.yaml; rm $F",
            "export F=.claude/config.yaml; rm $F",
            "for f in .claude/*; do rm $f; done",
            "bash -c 'echo x > .claude/config.yaml'",
            "cat > .claude/config.yaml <<'EOF'\nit's\nEOF",
            "sh <<E\nrm .claude/config.yaml\nE",
            "cat <<E\n$(rm .claude/config.yaml)\nE",
            "echo '<<E'\nrm .claude/config.yaml\nE",
            "find . -name config.yaml -delete",
            "rsync -a --delete x/ .",
            "mv .claude x",
        )
    ),
    ("mcp__fs__delete", {"path": "{project}"}),
    ("mcp__fs__write_file", {"uri": "file://localhost{project}/.claude/config.yaml"}),
    ("mcp__fs__write_file", {"uri": "file://{project}/.cl%61ude/config.yaml"}),
    ("mcp__fs__apply", {"a": {"b": {"c": {"d": {"e": [".claude/config.yaml"]}}}}}),
    ("mcp__sh__run", {"cmd": "echo x > .claude/config.yaml"}),
    ("mcp__sh__run", {"command": ["sh", "-c", "echo x > .claude/config.yaml"]}),
]
ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("Write", {"file_path": "src/app.py"}),
    ("Write", {"file_path": "/tmp/x"}),
    ("Write", {"file_path": ".claude/staging/memory/learnings.md"}),
    ("Read", {"file_path": PRODUCTION}),
    ("Bash", {"command": f"tail -3 {PRODUCTION} | wc -l"}),
    ("Bash", {"command": f"cat {PRODUCTION} > /tmp/copy 2>/dev/null"}),
    ("Bash", {"command": "ls .agent-studio; git status; git add . && git commit -m 'Update .claude/agents/x.md'"}),
    ("Bash", {"command": "grep -rn x .claude 2>&1"}),
    ("Bash", {"command": "pytest . && rm -rf build"}),
    ("Bash", {"command": "echo done > .claude/staging/memory/x.md"}),
    ("Bash", {"command": "agent-studio scan .claude"}),
    ("Bash", {"command": "echo $(date)"}),
    ("mcp__files__read", {"query": "who writes evidence?"}),
    *(
        ("Bash", {"command": command})
        for command in (
            "git commit -m \"$(cat <<'EOF'\nUpdate .claude/agents (it's)\nEOF\n)\"",
            "cat > notes.md <<EOF\nrm -rf .claude\nEOF",
            'for f in .claude/agents/*.md; do cat "$f"; done',
            "export F=.claude/config.yaml; cat $F",
            "if [ -f .claude/config.yaml ]; then cat .claude/config.yaml; fi",
            'echo "$(cat .claude/config.yaml)"',
            "wc -l $(ls .claude/agents/*.md)",
            "find src -name '*.pyc' -delete",
            "find . -name __pycache__ -exec rm -r {} +",
            "find . -type f -exec grep -l x {} +",
            "mv a.txt .",
            "mv build/* .",
            "ln -s target .",
            "rsync -a . /tmp/backup",
            "sed -n 1,10p .claude/config.yaml",
            "awk 1 .claude/config.yaml",
            "sort .claude/config.yaml",
            "cp -r .claude /tmp/x",
            "LC_ALL=C grep x .claude/config.yaml",
            "! grep -q x .claude/config.yaml",
            "git -C .claude status",
            "git stash list .claude",
            "python3 .claude/hooks/check.py",
            "python3 -m json.tool .claude/settings.json",
            "rm -rf $(git ls-files -o build)",
        )
    ),
    ("mcp__github__create_issue", {"title": ".claude/config.yaml", "body": "see"}),
    ("mcp__github__get_file_contents", {"path": ".claude/config.yaml"}),
    ("mcp__agent-studio__kb_get", {"path": ".claude/skills/pricing/SKILL.md"}),
    ("TodoWrite", {"todos": [{"content": f"look at {PRODUCTION}"}]}),
]


@pytest.mark.parametrize(("tool", "given"), DENIED, ids=str)
def test_what_is_not_the_agents_is_denied_with_a_reason(
    asked: Callable[..., tuple[int, str]], tool: str, given: dict[str, Any]
) -> None:
    code, said = asked(tool, given)
    assert code == 2, said
    assert said.startswith("agent-studio: ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("tool", "given"), ALLOWED, ids=str)
def test_what_is_its_own_or_only_read_goes_on(
    asked: Callable[..., tuple[int, str]], tool: str, given: dict[str, Any]
) -> None:
    assert asked(tool, given) == (0, "")


def test_an_agent_writes_its_own_sidecar_and_no_other(guarded: Studio) -> None:
    own, other = ".claude/staging/agents/reviewer/hot.jsonl", SIDECAR
    assert _asked(guarded, "Write", {"file_path": own}, agent_type="reviewer")[0] == 0
    assert _asked(guarded, "Write", {"file_path": own}, agent_type="plugin:reviewer")[0] == 2
    assert _asked(
        guarded, "Write", {"file_path": own.replace("reviewer", "plugin-reviewer")}, agent_type="plugin:reviewer"
    ) == (0, "")
    assert _asked(guarded, "Bash", {"command": f"echo x >> {own}"}, agent_type="reviewer")[0] == 0
    for agent in ("reviewer", "..", "../agents/writer", "", "REVIEWERS"):
        code, said = _asked(guarded, "Write", {"file_path": other}, agent_type=agent)
        assert (code, "another agent's own memory" in said) == (2, True), agent
    assert _asked(guarded, "Write", {"file_path": own}, agent_type="writer")[0] == 2


def test_reading_other_environments_is_denied_only_where_that_is_asked_for(guarded: Studio) -> None:
    reads = [
        ("Read", {"file_path": PRODUCTION}),
        ("Grep", {"pattern": "x", "path": ".claude/metrics"}),
        ("Glob", {"pattern": ".claude/metrics/*.jsonl"}),
        ("LS", {"path": f"{guarded.path}/.claude/memory"}),
        ("Bash", {"command": f"cat {PRODUCTION}"}),
        ("Bash", {"command": f"base64 < {PRODUCTION}"}),
    ]
    for tool, given_ in reads:
        assert _asked(guarded, tool, given_)[0] == 0, (tool, given_)
    guarded.write(".claude/config.staging.yaml", READS)
    for tool, given_ in reads:
        code, said = _asked(guarded, tool, given_)
        assert (code, "production's data" in said or "development's data" in said) == (2, True), (tool, given_)
    for tool, given_ in (
        ("Read", {"file_path": ".claude/agents/code-reviewer.md"}),
        ("Grep", {"pattern": "x", "path": "src"}),
        ("Bash", {"command": "ls src"}),
    ):
        assert _asked(guarded, tool, given_)[0] == 0, (tool, given_)


def test_in_development_definitions_are_there_to_be_written(guarded: Studio) -> None:
    guarded.write(".claude/config.development.yaml", "environment: development\nisolation:\n  guard: true\n")
    development = {"environment": "development"}
    assert _asked(guarded, "Write", {"file_path": ".claude/agents/new.md"}, **development)[0] == 0
    assert _asked(guarded, "Write", {"file_path": ".claude/staging/memory/x.md"}, **development)[0] == 2
    assert _asked(guarded, "Write", {"file_path": EVIDENCE}, **development)[0] == 2


def test_the_ledger_is_evidence_for_this_guard_as_well(guarded: Studio) -> None:
    code, said = _asked(guarded, "Write", {"file_path": ".claude/staging/metrics/llm-usage.log"})
    assert (code, "only agent-studio writes it" in said) == (2, True)


def test_the_target_of_releases_is_protected(guarded: Studio) -> None:
    target = guarded.path.parent / "live"
    (target / ".claude").mkdir(parents=True)
    guarded.write(".claude/config.staging.yaml", GUARD + f"release:\n  target: {target}\n")
    assert _asked(guarded, "Write", {"file_path": str(target / ".claude/agents/x.md")})[0] == 2
    assert _asked(guarded, "Bash", {"command": f"touch {target}/x"})[0] == 2


def test_without_the_switch_nothing_is_denied(staged: Studio) -> None:
    for tool, given_ in DENIED[:20]:
        assert _asked(staged, tool, given_)[0] == 0


def test_a_configuration_that_cannot_be_read_denies_only_where_it_names_the_guard(staged: Studio) -> None:
    staged.write(".claude/config.staging.yaml", "environment: staging\nisolation: [broken\n")
    assert _asked(staged, "Write", {"file_path": "src/app.py"})[0] == 0
    staged.write(".claude/config.staging.yaml", GUARD + "  broken: [\n")
    code, said = _asked(staged, "Write", {"file_path": "src/app.py"})
    assert code == 2
    assert "protect could not decide" in said
    assert _asked(staged, "WebFetch", {"url": "http://x"})[0] == 0


def test_the_client_is_told_to_fail_closed(staged: Studio) -> None:
    def deciding() -> list[dict[str, Any]]:
        done = staged.run("hooks", "install", *STAGING, "--no-wrap", "--client-version", "2.1.330")
        assert done.code == 0, done.err
        settings = json.loads((staged.path / ".claude/settings.local.json").read_text())
        return [hook for groups in settings["hooks"].values() for group in groups for hook in group["hooks"]
                if ":decide" in json.dumps(hook)]  # fmt: skip

    staged.write(".claude/config.staging.yaml", "environment: staging\ncost:\n  guardLedger: true\n")
    (hook,) = deciding()
    assert "--closed" not in json.dumps(hook)
    found = {one["code"]: one for one in staged.run("doctor", *STAGING, "--json").data["findings"]}
    assert found["guards"]["severity"] == "ok"
    assert "guard-probe" not in found
    staged.write(".claude/config.staging.yaml", GUARD)
    found = {one["code"]: one for one in staged.run("doctor", *STAGING, "--json").data["findings"]}
    assert (found["guards"]["severity"], found["guards"]["fix"]) == ("warning", "agent-studio hooks install")
    (hook,) = deciding()
    assert "--closed" in hook["command"]
    assert hook["onFailure"] == "block"
    found = {one["code"]: one for one in staged.run("doctor", *STAGING, "--json").data["findings"]}
    assert (found["guards"]["severity"], found["guard-probe"]["severity"]) == ("ok", "ok")


def test_a_run_asks_the_guard_where_the_project_is_not_wired(staged: Studio) -> None:
    for name in ("settings.local.json", "settings.json"):
        (staged.path / ".claude" / name).unlink(missing_ok=True)
    staged.write(".claude/config.staging.yaml", GUARD)
    client = staged.path.parent / "claude"
    client.write_text('#!/bin/sh\ncat "$2"\n')
    client.chmod(0o755)
    done = staged.process("run", *STAGING, "--isolation", "advisory", "--", str(client), "-p", "hi")
    hooks = json.loads(done.out)["hooks"]["PreToolUse"][0]["hooks"]
    assert any(":decide" in hook["command"] and "--closed" in hook["command"] for hook in hooks if "command" in hook)


def test_the_probe_says_when_the_guard_does_not_hold(staged: Studio) -> None:
    staged.write(".claude/config.staging.yaml", GUARD)
    assert staged.run("hooks", "install", *STAGING, "--no-wrap", "--client-version", "2.1.330").code == 0

    def probed() -> dict[str, Any]:
        found = staged.run("doctor", *STAGING, "--json").data["findings"]
        shown: dict[str, Any] = {one["code"]: one for one in found}["guard-probe"]
        return shown

    client = staged.path / ".agent-studio/bin/decide"
    whole = client.read_bytes()
    for text, said in (
        ("#!/bin/sh\nexit 0\n", "goes through"),
        ("#!/bin/sh\necho 'agent-studio: no' >&2\nexit 2\n", "harmless"),
    ):
        client.unlink()
        client.write_text(text)
        client.chmod(0o755)
        found = probed()
        assert (found["severity"], said in found["message"]) == ("error", True), found
    client.write_bytes(whole)
    assert probed()["severity"] == "ok"
    assert not list(staged.path.rglob("probe-of-the-guard*"))


@given(st.text(max_size=60))
def test_any_command_is_read_or_said_to_be_unreadable(command: str) -> None:
    found = shell.parts(command)
    assert found is None or all(isinstance(part, shell.Part) for part in found)


@given(
    st.lists(st.sampled_from(["cat", "rm", ">", ">>", "2>", "|", ";", "&&", "\n", "f", "'g h'", "/dev/null", "2>&1"]))
)
def test_what_output_goes_to_is_never_taken_for_an_argument(words: list[str]) -> None:
    found = shell.parts(" ".join(words))
    for part in found or ():
        assert not any(">" in word for words in part for word in words)
        assert "/dev/null" not in part.targets
