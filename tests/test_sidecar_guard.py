"""What the decision hook makes of memory: notes at the start of a session, and no agent in another's sidecar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.guards.decide import Decision, decide
from agent_studio.guards.handlers import asked, fails_closed
from agent_studio.memory.book import open_memory
from agent_studio.memory.recall import BYTES_A_TOKEN
from agent_studio.memory.sidecar import open_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Studio

FOLDER = ".claude/agent-memory"
HOT = f"{FOLDER}/planner/hot.jsonl"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    tmp_path = tmp_path / "My Project"
    (tmp_path / ".claude").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / ".claude/config.yaml").write_text(
        "memory:\n  guard: true\n  context: {enabled: true, maxTokens: 400}\n"
    )
    made = Project(tmp_path.resolve())
    for agent in ("planner", "reviewer", "plugin:planner"):
        open_sidecar(_context(made), agent).add(f"what only {agent} knows of the walnut")
    (tmp_path / "link").symlink_to(tmp_path / HOT)
    return made


def _context(project: Project) -> Context:
    return open_context(project, Choice(Environment.DEVELOPMENT, "--env"), {})


def _decided(project: Project, event: str, **payload: Any) -> Decision:
    sent = {"hook_event_name": event, "session_id": "s", "cwd": str(project.path), **payload}
    return decide(json.dumps(sent).encode(), lambda: _context(project), slack_ms=5_000)


def _tool(project: Project, tool: str, given: Mapping[str, Any], agent: str = "reviewer") -> str:
    """Return why a tool was denied, or nothing."""
    found = _decided(project, "PreToolUse", tool_name=tool, tool_input=given, agent_type=agent)
    assert (found.exit_code == 2) is bool(found.stderr)
    return found.stderr.decode()


CLI = "agent-studio memory sidecar"
DENIED: list[tuple[str, dict[str, Any]]] = [
    ("Read", {"file_path": HOT}),
    ("Read", {"file_path": f"src/../{HOT}"}),
    ("Read", {"file_path": "link"}),
    ("Read", {"file_path": HOT.upper()}),
    ("Read", {"file_path": f"{FOLDER}/planner/archive/2026-01.jsonl"}),
    ("Read", {"file_path": f"{FOLDER}/plugin-planner/MEMORY.md"}),
    ("Read", {"file_path": ".agent-studio/development/sidecars/planner.sqlite3"}),
    ("Write", {"file_path": HOT, "content": "x"}),
    ("Edit", {"file_path": HOT, "old_string": "a", "new_string": "b"}),
    ("Grep", {"pattern": "walnut"}),
    ("Grep", {"pattern": "walnut", "path": "."}),
    ("Grep", {"pattern": "walnut", "path": ".claude", "glob": "*.jsonl"}),
    ("Grep", {"pattern": "walnut", "path": FOLDER}),
    *(
        ("Grep", {"pattern": "walnut", "glob": glob})
        for glob in (
            "!*.zzz", "!node_modules/**", "*.{jsonl,py}", "*.{py,jsonl}", "*.json[l]", "h*l", "**/hot.????l",
            "*.jsonl *.py", "*.jsonl,*.py", "!**/agent-memory/** *.jsonl", "!**/Agent-Memory/**", "{*.py,h*}", "*",
        )
    ),
    *(("Grep", {"pattern": "walnut", "type": kind}) for kind in ("all", "json", "md", "unheard")),
    *(("Glob", {"pattern": pattern}) for pattern in (
        ".claude/agent-mem*/**", "**/*.jsonl", "{.claude/agent-memory/planner,x}/*", "*/agent-memory/planner/*", "**",
    )),
    ("Glob", {"pattern": f"{FOLDER}/planner/*"}),
    ("Glob", {"pattern": "*", "path": f"{FOLDER}/planner"}),
    ("mcp__files__read_file", {"path": HOT}),
    *(
        ("Bash", {"command": command})
        for command in (
            f"cat {HOT}", f"cat {FOLDER}/*/hot.jsonl", f"cd {FOLDER} && cat planner/hot.jsonl", f"cp {HOT} /tmp/x",
            f"head -1 < {HOT}", f"F={HOT}; cat $F", "grep -r walnut .", "grep -rn walnut .claude", "rg walnut .claude",
            f"echo x >> {HOT}", f"rm -rf {FOLDER}", f"python3 -c \"print(open('{HOT}').read())\"",
            "tar cf /tmp/x .claude",
            f"{CLI} list --agent planner", f"{CLI} list --agent=planner", f"{CLI} list --agent reviewer --as-operator",
            "cat .claude/agent-m*/planner/hot.jsonl", "cat .claude/*/planner/hot.jsonl", "cat .claude/*/*/*.jsonl",
            "grep walnut -r .claude --exclude=x", "rg walnut .claude -g '!x'", "diff -r .claude /tmp",
            f"{CLI} list --agent reviewer --env staging", f"{CLI} list",
            "cd src; python -m agent_studio memory sidecar show --agent planner",
            f"bash -c '{CLI} list --agent planner'", f"echo 'unended; {CLI} list --agent reviewer",
        )
    ),
]  # fmt: skip
ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("Read", {"file_path": f"{FOLDER}/reviewer/hot.jsonl"}),
    ("Write", {"file_path": f"{FOLDER}/reviewer/MEMORY.md", "content": "x"}),
    ("Grep", {"pattern": "walnut", "path": f"{FOLDER}/reviewer"}),
    ("Grep", {"pattern": "walnut", "path": "src"}),
    ("Grep", {"pattern": "walnut", "glob": "!**/agent-memory/**"}),
    ("Grep", {"pattern": "walnut", "glob": "*.py"}),
    ("Grep", {"pattern": "walnut", "type": "py"}),
    ("Glob", {"pattern": "**/*.py"}),
    ("Glob", {"pattern": "src/**"}),
    ("Grep", {"pattern": "walnut", "glob": "**/*.{ts,tsx}"}),
    ("Grep", {"pattern": "walnut", "glob": "*.py *.ts"}),
    ("Grep", {"pattern": "walnut", "glob": "!agent-memory"}),
    ("Bash", {"command": "rg walnut .claude -g '!agent-memory'"}),
    ("Read", {"file_path": "src/app.py"}),
    ("Bash", {"command": f"cat {FOLDER}/reviewer/hot.jsonl"}),
    ("Bash", {"command": "grep -rn walnut src"}),
    ("Bash", {"command": "grep -rn walnut . --exclude-dir=agent-memory"}),
    ("Bash", {"command": f"{CLI} add --agent reviewer 'memory sidecar of mine'"}),
    ("Bash", {"command": "git commit -m 'memory: the sidecar'"}),
    ("Bash", {"command": "agent-studio memory search sidecar"}),
]


@pytest.mark.parametrize(("tool", "given"), DENIED, ids=str)
def test_another_agents_sidecar_is_denied_with_a_reason(project: Project, tool: str, given: dict[str, Any]) -> None:
    reason = _tool(project, tool, given)
    assert reason.startswith("agent-studio: ")
    assert len(reason.splitlines()) == 1


@pytest.mark.parametrize(("tool", "given"), ALLOWED, ids=str)
def test_its_own_and_all_else_goes_on(project: Project, tool: str, given: dict[str, Any]) -> None:
    assert _tool(project, tool, given) == ""


@pytest.mark.parametrize(
    "agent",
    ["", "..", "../planner", "planner/", "PLANNERS", "plugin", "x:planner", "a:b:planner", "Planner", "PLANNER"],
)
def test_nobody_is_another_agent_by_a_name_that_looks_like_it(project: Project, agent: str) -> None:
    assert _tool(project, "Read", {"file_path": HOT}, agent)
    assert _tool(project, "Read", {"file_path": HOT}, "planner") == ""
    assert _tool(project, "Read", {"file_path": f"{FOLDER}/plugin-planner/hot.jsonl"}, "plugin:planner") == ""
    assert _tool(project, "Read", {"file_path": f"{FOLDER}/plugin-planner/hot.jsonl"}, "plugin-planner")


def test_a_search_over_all_goes_on_where_git_ignores_the_sidecars(project: Project) -> None:
    ignore = project.path / ".gitignore"
    ignore.write_text("/.claude/agent-memory/\n")
    assert _tool(project, "Grep", {"pattern": "walnut"}), "nothing is ignored where there is no repository"
    (project.path / ".git").mkdir()
    for rules in ("/.claude/agent-memory/\n", "agent-memory/\n", "*.log\n.claude/\n"):
        ignore.write_text(rules)
        assert _tool(project, "Grep", {"pattern": "walnut"}) == ""
        assert _tool(project, "Bash", {"command": "rg walnut ."}) == ""
        assert _tool(project, "Grep", {"pattern": "walnut", "path": FOLDER})
        for command in ("grep -r walnut .", "rg -uu walnut .", f"rg walnut {FOLDER}"):
            assert _tool(project, "Bash", {"command": command}), command
    for rules in ("# never ignore .claude/agent-memory here\n", "agent-memory/\n!agent-memory/\n", "agent-memory/x\n"):
        ignore.write_text(rules)
        assert _tool(project, "Grep", {"pattern": "walnut"}), rules
    ignore.write_text("agent-memory/\n")
    (project.path / ".claude/.gitignore").write_text("!agent-memory/\n")
    assert _tool(project, "Grep", {"pattern": "walnut"})
    assert _tool(project, "Read", {"file_path": HOT})


def _code(sent: Mapping[str, Any], opened: Context) -> int:
    return decide(json.dumps(sent).encode(), lambda: opened, slack_ms=5_000).exit_code


def test_the_sidecars_of_every_environment_are_kept(staged: Studio) -> None:
    project = Project(staged.path.resolve())
    staging = open_context(project, Choice(Environment.STAGING, "--env"), {})
    open_sidecar(staging, "planner").add("what only planner knows of the walnut")
    open_sidecar(_context(project), "planner").add("what only planner knows of the walnut")
    (project.path / ".git").mkdir()
    for name in ("config.yaml", "config.staging.yaml"):
        place = project.path / ".claude" / name
        place.write_text((place.read_text() if place.exists() else "") + "memory:\n  guard: true\n")
    theirs = ".claude/staging/agents/planner/hot.jsonl"
    for environment in (Environment.STAGING, Environment.DEVELOPMENT):
        for tool, given in (
            ("Read", {"file_path": HOT}), ("Write", {"file_path": HOT, "content": "x"}),
            ("Read", {"file_path": theirs}),
            ("Grep", {"pattern": "walnut", "path": ".claude/staging"}), ("Bash", {"command": f"cat {HOT} {theirs}"}),
            ("Read", {"file_path": ".agent-studio/development/sidecars/planner.sqlite3"}),
            ("Read", {"file_path": ".agent-studio/staging/sidecars/planner.sqlite3"}),
            ("Bash", {"command": "grep -r walnut .claude/staging"}), ("Grep", {"pattern": "walnut"}),
        ):  # fmt: skip
            sent = {"hook_event_name": "PreToolUse", "session_id": "s", "cwd": str(project.path), "tool_name": tool,
                    "tool_input": given, "agent_type": "reviewer"}  # fmt: skip
            opened = open_context(project, Choice(environment, "--env"), {})
            assert _code(sent, opened) == 2, (environment, tool, given)


def test_the_guard_is_asked_only_where_it_is_wanted_and_then_fails_closed(project: Project) -> None:
    assert {"PreToolUse", "SessionStart"} <= asked(_context(project))
    assert fails_closed(_context(project))
    (project.path / ".claude/config.yaml").write_text("")
    assert asked(_context(project)) == frozenset()
    assert _tool(project, "Read", {"file_path": HOT}) == ""
    assert _decided(project, "SessionStart", source="startup") == Decision()


def test_doctor_proves_that_the_guard_of_sidecars_holds_by_itself(staged: Studio) -> None:
    place = staged.path / ".claude/config.staging.yaml"
    place.write_text(place.read_text() + "memory:\n  guard: true\n")
    assert staged.run("hooks", "install", "--env", "staging", "--no-wrap").code == 0
    found = {one["code"]: one for one in staged.json("doctor", "--env", "staging")["findings"]}
    assert (found["guard-probe"]["severity"], "another agent's sidecar" in found["guard-probe"]["message"]) == (
        "ok",
        True,
    )


# --- the start of a session -------------------------------------------------------------------------------------------


def _given(project: Project, **payload: Any) -> str:
    found = _decided(project, "SessionStart", **{"source": "startup", **payload})
    return json.loads(found.stdout)["hookSpecificOutput"]["additionalContext"] if found.stdout else ""


def test_a_session_starts_with_what_is_grave_then_what_fits_then_what_is_new(project: Project) -> None:
    memory = open_memory(_context(project))
    memory.add("learning", "Parsers of invoices choke on the letter eszett")
    for number in range(12):
        memory.add("pattern", f"Something about topic {number} that nobody works on now")
    settled = memory.add("issue", "A settled critical matter of the past", severity="critical")
    memory.resolve(settled.id)
    memory.add("issue", "The scheduler drops every seventh job", severity="critical")
    (project.path / ".git").mkdir()
    (project.path / ".git/HEAD").write_text("ref: refs/heads/fix/invoice-parser\n")
    lines = _given(project).splitlines()
    notes = [line for line in lines if line.startswith("- [")]
    assert "scheduler drops" in notes[0]
    assert "eszett" in notes[1]
    assert "topic 11" in "".join(notes)
    assert "settled critical" not in "".join(notes)
    assert "not instructions" in lines[1]


def test_it_keeps_within_its_budget_whatever_there_is(project: Project) -> None:
    memory = open_memory(_context(project))
    for number in range(30):
        memory.add("learning", f"{'é' * 40} {number} {'長い文章' * 20} {number}")
    given = _given(project, agent_type="planner")
    shown = given[given.index("<agent-studio-notes") :]
    assert len(given.encode()) <= 400 * BYTES_A_TOKEN
    assert "what only planner knows" in shown
    assert "what only reviewer knows" not in shown


@pytest.mark.parametrize(("source", "is_given"), [
    ("startup", True), ("clear", True), ("compact", True), ("resume", False), ("fork", False),
])  # fmt: skip
def test_a_session_that_goes_on_is_not_told_again(project: Project, source: str, is_given: bool) -> None:  # noqa: FBT001
    open_memory(_context(project)).add("learning", "Parsers of invoices choke on the letter eszett")
    assert bool(_given(project, source=source)) is is_given


def test_a_memory_that_cannot_be_read_stops_no_session(project: Project) -> None:
    place = project.path / ".claude/memory/learnings.md"
    place.parent.mkdir()
    place.symlink_to(project.path / "src")
    assert _decided(project, "SessionStart", source="startup").exit_code == 0
    place.unlink()
    place.write_bytes(b"\xff\xfe## \x00broken\x00\n## one\n\xff\xff\n```\n<!--")
    assert _decided(project, "SessionStart", source="startup").exit_code == 0
