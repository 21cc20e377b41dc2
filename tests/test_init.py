from __future__ import annotations

import csv
import json
import os
import re
import shutil
import stat
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.release_world import git

from agent_studio.environment.schema import BY_NAME
from agent_studio.records import LlmUsage
from agent_studio.staging import activity

if TYPE_CHECKING:
    from tests.conftest import Studio

KINDS = ("knowledge", "metrics", "memory", "agents", "sessions", "context")
FILES = (
    "learnings.md", "decisions.md", "issues.md", "hooks.jsonl", "agents.jsonl", "errors.jsonl", "llm-usage.log",
    "session-log.jsonl", "evolution-state.json",
)  # fmt: skip


def transcript(studio: Studio, size: int, *, with_option: str) -> list[str]:
    """Return the lines that a first initialisation of staging prints, in order."""
    root = studio.path / ".claude" / "staging"
    return [
        "Agent-Studio Staging Environment Initialization",
        "Environment: staging",
        "Step 1: Creating staging directories...",
        *(f"✓ Created: {root / kind}" for kind in KINDS),
        "Step 2: Seeding test data...",
        f"✓ Copied KB index ({size} bytes)",
        *(f"✓ Created: {name}" for name in FILES),
        "Staging Environment Ready!",
        "✓ Directory structure created",
        "✓ Test data seeded",
        "✓ Log files initialized",
        "Next steps:",
        f"  1. Run smoke tests: agent-studio smoke{with_option}",
        f"  2. Run full test suite: agent-studio test{with_option}",
        "  3. Check monitoring: agent-studio monitor --env staging",
    ]


def in_order(wanted: list[str], printed: str) -> bool:
    lines = iter(line.strip("║ ") if line.startswith("║") else line for line in printed.splitlines())
    return all(any(line == want for line in lines) for want in wanted)


@pytest.mark.parametrize(("arguments", "variables", "with_option"), [
    (("--env", "staging"), {}, " --env staging"),
    ((), {"AGENT_STUDIO_ENV": "Staging"}, ""),
])  # fmt: skip
def test_the_first_run_prints_the_transcript_in_order(
    bare: Studio, arguments: tuple[str, ...], variables: dict[str, str], with_option: str
) -> None:
    done = bare.run("init", *arguments, "--set", "testData.artifactsCount=20", variables=variables)
    assert done.code == 0, done.err
    index = bare.path / ".claude/staging/knowledge/knowledge-base-index.csv"
    wanted = transcript(bare, index.stat().st_size, with_option=with_option)
    assert in_order(wanted, done.out), done.out
    assert not in_order(list(reversed(wanted)), done.out)
    assert done.out.startswith("╔")


def test_an_ascii_terminal_gets_ascii(bare: Studio) -> None:
    plain = bare.path.parent / "plain"
    shutil.move(bare.path, plain)
    bare.path = plain
    done = bare.process("init", "--env", "staging", variables={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert done.out.isascii()
    assert "+----" in done.out
    assert "[ok] Created:" in done.out


def test_a_second_run_keeps_every_byte_and_says_kept(staged: Studio) -> None:
    staged.write(".claude/staging/memory/learnings.md", "mine\n")
    staged.write(".claude/staging/metrics/errors.jsonl", '{"a":1}\n')
    staged.write(".claude/staging/context/artifacts/test-artifact-000003.md", "changed\n")
    before = staged.snapshot()
    done = staged.run("init", "--env", "staging", "--set", "testData.artifactsCount=20")
    assert done.code == 0
    assert staged.snapshot() == before
    assert "Created" not in done.out.replace("Creating", "")
    for name in FILES:
        assert f"✓ kept: {name}" in done.out
    assert "✓ kept KB index" in done.out


def test_the_index_holds_the_real_artifacts_and_test_ones_up_to_the_count(staged: Studio) -> None:
    with (staged.path / ".claude/staging/knowledge/knowledge-base-index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    real = {row["name"]: row for row in rows if row["domain"] != "test"}
    assert set(real) == {"code-reviewer", "writing-migrations", "ship", "hotfix"}
    assert real["writing-migrations"]["description"] == "Writes database migrations that can be rolled back."
    assert real["writing-migrations"]["tools"] == "Read;Edit"
    for row in rows:
        place = staged.path / row["path"]
        assert place.is_file()
        if row["domain"] == "test":
            assert "Generated test data" in place.read_text()


def test_a_project_with_more_artifacts_than_the_count_gets_no_test_artifacts(bare: Studio) -> None:
    data = bare.json("init", "--env", "staging", "--set", "testData.artifactsCount=3")
    assert data["artifacts"] == 4
    assert not (bare.path / ".claude/staging/context/artifacts").exists()


def test_the_default_count_is_the_specified_one(bare: Studio) -> None:
    data = bare.json("init", "--env", "staging")
    assert data["artifacts"] == 1133
    assert data["root"] == str(bare.path / ".claude/staging")
    assert data["archived"] is None
    assert str(bare.path / ".claude/config.staging.yaml") in data["created"]


def test_files_are_private(staged: Studio) -> None:
    root = staged.path / ".claude/staging"
    for place in (root, *root.rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600), place


def test_configuration_files_have_the_usual_rights(staged: Studio) -> None:
    mask = os.umask(0)
    os.umask(mask)
    for name in (".claude/config.yaml", ".claude/config.staging.yaml", ".gitignore"):
        assert stat.S_IMODE((staged.path / name).stat().st_mode) == 0o666 & ~mask, name


def test_existing_configuration_and_ignore_file_survive(bare: Studio) -> None:
    text = "# mine\r\nagent_routing: {a: 1} # flow\r\nmonitoring:\r\n    enabled: true\r\n"
    bare.write(".claude/config.yaml", text)
    bare.write(".gitignore", "*.log\r\nlast")
    done = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=0")
    assert done.code == 0
    assert "✓ Added to: .gitignore" in done.out
    assert (bare.path / ".claude/config.yaml").read_bytes() == text.encode()
    ignored = (bare.path / ".gitignore").read_bytes()
    assert ignored.startswith(b"*.log\r\nlast\r\n.agent-studio/\r\n.claude/staging/\r\n")
    assert ignored.endswith(b"\r\n.claude/settings.local.json\r\n")
    assert b"\n" not in ignored.replace(b"\r\n", b"")
    assert bare.run("init", "--env", "staging").code == 0
    assert (bare.path / ".gitignore").read_bytes() == ignored


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_git_adds_no_data_of_any_environment(bare: Studio, environment: str) -> None:
    git(bare.path, "init", "-q")
    assert bare.run("init", "--env", environment, "--set", "testData.artifactsCount=0").code == 0
    assert bare.run("init", "--env", "production", "--set", "paths.metrics=numbers").code == 0
    sidecar = ("memory", "sidecar", "add", "--agent", "planner", "Estimates are doubled", "--as-operator")
    assert bare.run(*sidecar, "--kind", "pattern").code == 0
    bare.write(".claude/agent-memory/planner/MEMORY.md", "the client's\n")
    bare.write(".claude/context/house-rules.md", "ours\n")
    bare.write(".claude/memory/learnings.md", "ours\n")
    bare.write("src/numbers/one.py", "ours\n")
    git(bare.path, "add", "--all")
    data = re.compile(r"\.claude/(staging|knowledge|metrics|sessions|agent-memory)/|numbers/")
    added = git(bare.path, "ls-files").splitlines()
    assert [name for name in added if data.match(name)] == [".claude/agent-memory/planner/MEMORY.md"]
    shared = {".claude/config.yaml", ".claude/context/house-rules.md", ".claude/memory/learnings.md"}
    assert {*shared, ".gitignore", "src/numbers/one.py"} <= set(added)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_other_environments_get_what_is_missing_and_no_test_data(bare: Studio, environment: str) -> None:
    bare.write(".claude/memory/learnings.md", "ours\n")
    data = bare.json("init", "--env", environment)
    assert data["artifacts"] == 4
    assert (bare.path / ".claude/memory/learnings.md").read_text() == "ours\n"
    assert (bare.path / ".claude/memory/issues.md").read_text() == "# Open issues\n"
    assert (bare.path / ".claude/agent-memory").is_dir()
    assert not (bare.path / ".claude/staging").exists()
    assert not (bare.path / ".claude/config.staging.yaml").exists()
    assert not (bare.path / ".claude/context/artifacts").exists()
    assert bare.run("smoke", "--env", environment).code == 0


def test_production_never_gets_test_data_even_when_configured(bare: Studio) -> None:
    bare.write(".claude/config.yaml", "testData: {enabled: true, seedData: true, artifactsCount: 50}\n")
    assert bare.json("init", "--env", "production")["artifacts"] == 4


def test_reset_archives_then_creates_anew(staged: Studio) -> None:
    staged.write(".claude/staging/memory/learnings.md", "precious\n")
    refused = staged.run("init", "--env", "staging", "--reset")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert (staged.path / ".claude/staging/memory/learnings.md").read_text() == "precious\n"
    dry = staged.run("init", "--env", "staging", "--reset", "--dry-run")
    assert dry.code == 0
    data = staged.json("init", "--env", "staging", "--reset", "--yes", "--set", "testData.artifactsCount=20")
    archived = staged.path / ".agent-studio/staging/archive"
    assert data["archived"].startswith(str(archived))
    (kept,) = archived.rglob("learnings.md")
    assert kept.read_text() == "precious\n"
    assert "precious" not in (staged.path / ".claude/staging/memory/learnings.md").read_text()
    assert staged.run("smoke", "--env", "staging").code == 0


def test_reset_is_for_staging_only(bare: Studio) -> None:
    before = bare.snapshot()
    done = bare.run("init", "--env", "production", "--reset", "--yes")
    assert done.code == 2
    assert bare.snapshot() == before


def test_generated_activity_is_marked_deterministic_and_never_added_twice(staged: Studio) -> None:
    few = ("--set", "testData.artifactsCount=20")
    assert staged.run("init", "--env", "staging", *few, "--with-activity", "3", "--seed", "7").code == 0
    metrics = staged.path / ".claude/staging/metrics"
    hooks = [json.loads(line) for line in (metrics / "hooks.jsonl").read_text().splitlines()]
    assert len(hooks) > 50
    assert all(hook["metadata"] == {"synthetic": True} and hook["environment"] == "staging" for hook in hooks)
    assert len({hook["eventId"] for hook in hooks}) == len(hooks)
    before = staged.snapshot()
    assert staged.run("init", "--env", "staging", *few, "--with-activity", "3", "--seed", "8").code == 0
    assert staged.snapshot() == before
    assert staged.run("init", "--env", "production", "--with-activity").code == 2


@pytest.mark.parametrize("hour", [0, 6, 11, 23])
def test_a_generated_day_stays_well_within_the_default_budget(hour: int) -> None:
    end = datetime(2026, 1, 31, hour, 14, tzinfo=UTC)
    for seed in range(1, 21):
        days: Counter[str] = Counter()
        for record in activity.generate(end, seed=seed).records:
            if isinstance(record, LlmUsage):
                days[record.timestamp[:10]] += record.input_tokens + record.output_tokens
        assert max(days.values()) < 0.8 * BY_NAME["monitoring.thresholds.tokenBudgetPerDay"].default


def test_a_damaged_index_is_rebuilt_and_the_damaged_bytes_are_kept(staged: Studio) -> None:
    place = staged.write(".claude/staging/knowledge/knowledge-base-index.csv", b"name,path\n\xff\xfe broken")
    assert staged.run("init", "--env", "staging", "--set", "testData.artifactsCount=20").code == 0
    assert place.read_text().startswith("name,path,description")
    (kept,) = (staged.path / ".agent-studio/staging/damaged").iterdir()
    assert kept.read_bytes() == b"name,path\n\xff\xfe broken"


def test_secrets_are_found_before_copying_and_stay_out(bare: Studio) -> None:
    secret = "sk-ant-" + "api03-" + "Zq9" * 12
    bare.write(".claude/agents/leaky.md", f"---\nname: leaky\ndescription: Uses {secret} to log in.\n---\n")
    done = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=5")
    assert done.code == 0
    assert ".claude/agents/leaky.md holds a credential (anthropic-key)" in done.err
    assert secret not in done.out + done.err
    for place, content in bare.snapshot(".claude/staging").items():
        assert secret.encode() not in content, place


def test_odd_artifacts_are_indexed_or_named(bare: Studio) -> None:
    bare.write(".claude/agents/latin.md", "---\nname: latin\ndescription: Prüft Größen\n---\n".encode("latin-1"))
    bare.write(".claude/agents/nul.md", b"---\nname: nul\x00led\ndescription: a\x00b\n---\n")
    bare.write(".claude/agents/empty.md", b"")
    bare.write(".claude/agents/open.md", b"---\nname: never closed\n")
    bare.write(".claude/agents/big.md", b"---\nname: big\ndescription: fifty megabytes\n---\n" + b"x" * 50_000_000)
    (bare.path / ".claude/agents/dangling.md").symlink_to("nowhere.md")
    (bare.path / ".claude/skills/loop").symlink_to("..")
    done = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=0")
    assert done.code == 0, done.err
    assert "dangling.md was not indexed" in done.err
    text = (bare.path / ".claude/staging/knowledge/knowledge-base-index.csv").read_text(encoding="utf-8")
    for name in ("latin", "Prüft Größen", "nulled", "empty", "open", "fifty megabytes"):
        assert name in text
    assert bare.run("smoke", "--env", "staging").code == 0


def test_ten_thousand_artifacts_are_indexed(bare: Studio) -> None:
    for number in range(10_000):
        bare.write(f".claude/agents/g{number % 50}/a{number}.md", f"---\nname: a{number}\ndescription: d\n---\n")
    assert bare.json("init", "--env", "staging")["artifacts"] == 10_004
    assert bare.run("smoke", "--env", "staging").code == 0


WRONG = {
    "malformed": ("config.yaml", "monitoring:\n  enabled: [true\n", "config.yaml:3:1:", 2),
    "tab": ("config.yaml", "monitoring:\n\tenabled: true\n", ":2:1", 2),
    "unknown key": ("config.staging.yaml", "monitoring:\n  enabeld: true\n", "enabeld", 2),
    "wrong type": ("config.yaml", "monitoring:\n  enabled: yes\n", ":2: monitoring.enabled must be a boolean", 2),
    "over its limit": ("config.yaml", "features:\n  partyMode:\n    rolloutPercentage: 101\n", "over its limit", 2),
    "production's folder": ("config.staging.yaml", "paths:\n  memory: .claude/memory\n", "not staging's", 2),
    "outside": ("config.staging.yaml", "paths:\n  memory: ../elsewhere\n", "..", 2),
    "shared": ("config.production.yaml", "paths:\n  memory: data\n", "overlaps", 2),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_configuration_is_one_clear_error_and_changes_nothing(bare: Studio, case: str) -> None:
    name, text, said, code = WRONG[case]
    bare.write(f".claude/{name}", text)
    if case == "shared":
        bare.write(".claude/config.staging.yaml", "paths: {memory: data/staging}\n")
    before = bare.snapshot()
    done = bare.run("init", "--env", "staging")
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert bare.snapshot() == before
    assert not (bare.path / ".agent-studio").exists()


def test_a_symlinked_staging_folder_is_refused(bare: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (bare.path / ".claude/staging").symlink_to(outside)
    done = bare.run("init", "--env", "staging")
    assert done.code == 2
    assert "symbolic link" in done.err
    assert list(outside.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_refused(bare: Studio) -> None:
    bare.write(".claude/staging/memory", "I am a file")
    before = bare.snapshot()
    done = bare.run("init", "--env", "staging")
    assert done.code == 2
    assert "memory is in the way: a folder belongs there" in done.err
    assert bare.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--env", "stagng"), {}, 'did you mean "staging"?'),
        ((), {"AGENT_STUDIO_ENV": "prod"}, 'did you mean "production"?'),
        ((), {"AGENT_STUDIO_ENV": ""}, "set but empty"),
        (("--env", "staging"), {"AGENT_STUDIO_ENV": "production"}, "--env says staging but AGENT_STUDIO_ENV says"),
        (("--env", "staging"), {"AGENT_STUDIO_MONITORNG__ENABLED": "true"}, "AGENT_STUDIO_MONITORING__ENABLED"),
        (("--env", "staging", "--set", "monitoring.enabled=maybe"), {}, "must be a boolean"),
    ],
)
def test_a_wrong_choice_is_refused_and_changes_nothing(
    bare: Studio, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    before = bare.snapshot()
    done = bare.run("init", *arguments, variables=variables)
    assert done.code == 2
    assert said in done.err
    assert bare.snapshot() == before


def test_a_folder_without_definitions_is_refused(bare: Studio, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    done = bare.run("init", "--env", "staging", cwd=empty)
    assert done.code == 2
    assert "no .claude/ folder" in done.err
    assert list(empty.iterdir()) == []
