"""What a run may reach: the paths themselves, before any kernel is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment, choose_project
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError
from agent_studio.isolation import mounts, places
from agent_studio.isolation.policy import Access, Policy, make_written, policy
from agent_studio.isolation.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Studio

pytestmark = pytest.mark.skipif(os.name == "nt", reason="policies are for systems that have backends")

KINDS = ("agent-memory", "context", "knowledge", "memory", "metrics", "sessions")
OWN_STATE = ("log.jsonl", "probe", "run")


def context_of(project: Path, environment: str = "staging", *overrides: str) -> Context:
    path = choose_project(str(project), {}, project).path
    return open_context(Project(path), Choice(Environment(environment), "--env"), {}, overrides)


def policy_of(
    studio: Studio, environment: str = "staging", *overrides: str, variables: Mapping[str, str] | None = None
) -> Policy:
    given_ = {"HOME": os.environ["HOME"], **(variables or {})}
    context = context_of(studio.path, environment, *overrides)
    make_written(context.root.state)
    return policy(context, given_, b"")


def within(studio: Studio, paths: tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(studio.path)) for path in paths if path.is_relative_to(studio.path)]


@pytest.fixture
def both(staged: Studio) -> Studio:
    """A project with staging and production."""
    done = staged.run("init", "--env", "production", "--no-hooks")
    assert done.code == 0, done.err
    return staged


def test_staging_sees_no_data_of_production_and_changes_no_definition(both: Studio) -> None:
    both.run("init", "--env", "staging")
    found = policy_of(both)
    assert within(both, found.hidden) == [".agent-studio", *(f".claude/{kind}" for kind in KINDS)]
    assert within(both, found.writable) == [*(f".agent-studio/staging/{name}" for name in OWN_STATE), ".claude/staging"]
    assert {".claude", ".agent-studio/routes", ".agent-studio/bin"} <= set(within(both, found.readonly))
    assert (found.separation, found.warnings, found.source) == ("kept", (), "writable")
    for path, access in (
        ("src/x.py", Access.WRITE), (".claude/config.yaml", Access.READ), (".claude/agents/new.md", Access.READ),
        (".claude/metrics/hooks.jsonl", Access.HIDDEN), (".claude/staging/metrics/hooks.jsonl", Access.WRITE),
        (".agent-studio/production/log.jsonl", Access.HIDDEN), (".agent-studio/unrouted.jsonl", Access.HIDDEN),
        (".agent-studio/staging/run/x", Access.WRITE), (".agent-studio/staging/serve.json", Access.READ),
        (".agent-studio/staging/burnin.json", Access.READ), (".agent-studio/staging/tests/x.json", Access.READ),
        (".agent-studio/bin/x", Access.READ),
    ):  # fmt: skip
        assert found.access(both.path / path) is access, path


def test_production_sees_no_staging_and_writes_its_own_data(both: Studio) -> None:
    found = policy_of(both, "production")
    assert within(both, found.hidden) == [".agent-studio", ".claude/staging"]
    assert set(within(both, found.writable)) == {
        *(f".agent-studio/production/{name}" for name in OWN_STATE), *(f".claude/{kind}" for kind in KINDS)
    }  # fmt: skip
    assert found.separation == "none"
    assert "development" in found.warnings[0]
    apart = policy_of(both, "production", "environments.development.root=.claude/development")
    assert apart.access(both.path / ".claude/agents") is Access.READ


def test_development_beside_production_is_said_to_be_separated_by_nothing(both: Studio) -> None:
    found = policy_of(both, "development")
    assert found.separation == "none"
    assert "production have their data in the same folders" in found.warnings[0]
    assert found.access(both.path / ".claude/metrics/hooks.jsonl") is Access.WRITE
    assert found.access(both.path / ".claude/staging/metrics") is Access.HIDDEN
    both.write(".claude/development/metrics/x", "")
    with_root = both.write(
        ".claude/config.development.yaml", "environments: {development: {root: .claude/development}}\n"
    )
    assert with_root.exists()
    apart = policy_of(both, "development")
    assert apart.separation == "kept"
    assert apart.access(both.path / ".claude/metrics/hooks.jsonl") is Access.HIDDEN
    assert apart.access(both.path / ".claude/development/metrics") is Access.WRITE


def test_data_that_the_configuration_moves_is_hidden_where_it_is(both: Studio) -> None:
    both.write("data/live/hooks.jsonl", "")
    both.write(".claude/config.production.yaml", "paths: {metrics: data/live, memory: data/later}\n")
    found = policy_of(both)
    assert found.access(both.path / "data/live/hooks.jsonl") is Access.HIDDEN
    assert found.access(both.path / "data/other") is Access.WRITE
    assert any("data/later" in text and "not there yet" in text for text in found.warnings)
    assert policy_of(both, "production").access(both.path / "data/live/hooks.jsonl") is Access.WRITE


def test_a_project_reached_through_a_link_has_the_same_policy(both: Studio, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(both.path)
    direct = policy_of(both)
    assert policy(context_of(tmp_path / "link"), {"HOME": os.environ["HOME"]}, b"") == direct


def test_what_links_lead_to_is_protected_there(both: Studio, tmp_path: Path) -> None:
    shared, data = tmp_path / "shared", tmp_path / "data"
    (shared / "deep").mkdir(parents=True)
    data.mkdir()
    both.write("tools/review.md", "x")
    (both.path / ".claude/skills/linked").symlink_to(shared)
    (both.path / ".claude/agents/linked.md").symlink_to(both.path / "tools/review.md")
    (both.path / ".claude/rules").symlink_to(shared / "deep")
    (both.path / ".claude/metrics/hooks.jsonl").unlink()
    found = policy_of(both)
    assert found.access(shared / "SKILL.md") is Access.READ
    assert found.access(both.path / "tools/review.md") is Access.READ
    assert found.access(both.path / "tools/other.md") is Access.WRITE


def test_a_source_is_writable_readonly_or_a_copy_and_nothing_else(both: Studio) -> None:
    assert policy_of(both, "staging", "isolation.source=readonly").access(both.path / "src/x.py") is Access.READ
    assert policy_of(both, "staging", "isolation.source=readonly").access(both.path / ".claude/staging") is Access.WRITE
    assert policy_of(both, "staging", "isolation.source=copy").source == "copy"
    with pytest.raises(ConfigurationError, match="'writeable', which is none of: writable, readonly, copy"):
        policy_of(both, "staging", "isolation.source=writeable")


@pytest.mark.parametrize("form", ["checkout", "definitions"])
def test_the_target_of_releases_is_protected(both: Studio, tmp_path: Path, form: str) -> None:
    live = tmp_path / "live ü"
    inner = live / ".claude" if form == "checkout" else live
    (inner / "agents").mkdir(parents=True)
    if form == "checkout":
        (inner / "metrics").mkdir()
        (live / ".agent-studio").mkdir()
    found = policy_of(both, "staging", f"release.target={live}")
    assert found.access(inner / "agents/x.md") is Access.READ
    assert live in found.projects
    if form == "checkout":
        assert found.access(inner / "metrics/hooks.jsonl") is Access.HIDDEN
        assert found.access(live / ".agent-studio/production") is Access.HIDDEN
        assert found.access(live / "src/x.py") is Access.READ
        own = policy_of(both, "production", f"release.target={live}")
        assert own.access(inner / "metrics/hooks.jsonl") is not Access.HIDDEN


def test_a_target_that_is_no_folder_is_said(both: Studio) -> None:
    found = policy_of(both, "staging", "release.target=/no/such/folder")
    assert "release.target /no/such/folder is not a folder" in found.warnings[0]
    assert policy_of(both, "staging", "release.target=.").warnings == ()


def test_a_project_around_the_project_is_protected_and_a_home_folder_is_not_one(both: Studio) -> None:
    for name in (".claude/agents", ".claude/metrics", ".agent-studio"):
        (both.path.parent / name).mkdir(parents=True)
    found = policy_of(both)
    assert found.access(both.path.parent / ".claude/agents/x.md") is Access.READ
    assert found.access(both.path.parent / ".claude/metrics/x") is Access.HIDDEN
    assert found.access(both.path.parent / ".agent-studio/x") is Access.HIDDEN
    assert found.access(both.path.parent / "x") is Access.WRITE
    at_home = policy_of(both, variables={"HOME": str(both.path.parent)})
    assert at_home.access(both.path.parent / ".claude/metrics/x") is Access.WRITE
    assert at_home.access(both.path.parent / ".claude/projects") is Access.READ
    assert at_home.access(both.path.parent / ".claude/agents/x.md") is Access.READ


def test_keys_are_hidden_and_what_starts_code_later_is_read_only(both: Studio, tmp_path: Path) -> None:
    home, client, hidden = tmp_path / "home", tmp_path / "client", Access.HIDDEN
    for name in (".ssh/id", ".aws/credentials", ".config/gcloud/x", ".docker/config.json", ".netrc", ".bashrc",
                 ".claude/agents/a.md", ".claude/projects/p.jsonl", ".config/other"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    (client / "skills").mkdir(parents=True)
    found = policy_of(both, variables={"HOME": str(home), "CLAUDE_CONFIG_DIR": str(client)})
    for path, access in (
        (home / ".ssh/id", hidden), (home / ".aws/credentials", hidden), (home / ".netrc", hidden),
        (home / ".config/gcloud/x", hidden), (home / ".docker/config.json", hidden), (client / "skills/x", Access.READ),
        (home / ".bashrc", Access.READ), (home / ".claude/agents/a.md", Access.READ),
        (home / ".claude/projects/p.jsonl", Access.WRITE), (home / ".config/other", Access.WRITE),
        (client / "projects", Access.READ), (home / "x", Access.WRITE),
    ):  # fmt: skip
        assert found.access(path) is access, path
    assert home / ".bashrc" in found.guarded
    assert home / ".claude/agents" not in found.guarded


def test_sockets_to_what_runs_outside_are_hidden(both: Studio, tmp_path: Path) -> None:
    agent, engine = tmp_path / "agent.sock", tmp_path / "docker.sock"
    opened = []
    for place in (agent, engine):
        opened.append(socket.socket(socket.AF_UNIX))
        opened[-1].bind(str(place))
    found = policy_of(both, variables={"SSH_AUTH_SOCK": str(agent), "DOCKER_HOST": f"unix://{engine}"})
    for one in opened:
        one.close()
    assert {agent, engine} <= set(found.hidden)
    assert {agent, engine} <= found.doors


def test_hooks_and_settings_of_a_repository_are_guarded_wherever_they_are(both: Studio, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(both.path)], check=True)
    both.write(".mcp.json", "{}")
    found = policy_of(both)
    guarded = {both.path / name for name in (".git/hooks", ".git/config", ".mcp.json")}
    assert guarded <= found.guarded
    assert found.access(both.path / ".git/hooks/pre-commit") is Access.READ
    assert found.access(both.path / ".git/index") is Access.WRITE

    other = tmp_path / "main"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], cwd=other, check=True)
    subprocess.run(["git", "worktree", "add", "-q", str(tmp_path / "tree")], cwd=other, check=True)
    (tmp_path / "tree/.claude").mkdir()
    (tmp_path / "tree/.claude/config.staging.yaml").write_text("environment: staging\n")
    linked = policy(context_of(tmp_path / "tree"), {"HOME": os.environ["HOME"]}, b"")
    assert {other / ".git/hooks", other / ".git/config", tmp_path / "tree/.git"} <= linked.guarded


def test_every_path_is_there_absolute_and_free_of_links(both: Studio) -> None:
    found = policy_of(both)
    for path in (*found.hidden, *found.readonly, *found.writable):
        assert path.is_absolute()
        assert os.path.lexists(path)
        assert path == Path(os.path.realpath(path))
    assert Path("/") not in found.rules()


# Mounts in a second place


def test_a_second_mount_of_a_protected_folder_is_protected(both: Studio) -> None:
    other = both.path.parent / "other"
    other.mkdir()
    table = (
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 8:1 {str(both.path).replace(' ', chr(92) + '040')} {other} rw - ext4 /dev/sda rw\n"
        "broken line\n"
    ).encode()
    parsed = mounts.parse(table)
    assert parsed[1].root == both.path
    assert [mount.point for mount in parsed] == [Path("/"), other]
    # what is not the same file is no second name of it
    assert list(mounts.aliases([both.path / ".claude/metrics"], parsed)) == []


def test_other_file_systems_are_no_second_place() -> None:
    table = b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /usr rw - ext4 b rw\n"
    assert list(mounts.aliases([Path("/usr/bin"), Path("/etc")], mounts.parse(table))) == []


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can mount")
def test_a_real_second_mount_is_found(both: Studio, tmp_path: Path) -> None:
    other, inner = tmp_path / "else where", tmp_path / "inner"
    other.mkdir()
    inner.mkdir()
    code = (
        "import sys; from pathlib import Path; from agent_studio.isolation import mounts;"
        "print(sorted(str(o) for _, o in mounts.aliases([Path(sys.argv[1])], mounts.parse(mounts.read()))))"
    )
    script = (
        f'mount --bind "{both.path}" "{other}" && mount --bind "{both.path}/.claude/metrics" "{inner}" && exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", sys.executable, "-c", code,
         str(both.path / ".claude/metrics")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(sorted([str(other / ".claude/metrics"), str(inner)]))


# The deepest path decides


NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: Path("/no-such-root", *parts))
RULES = st.dictionaries(PATHS, st.sampled_from(list(Access)), max_size=8)


def made(*paths: tuple[Path, ...]) -> Policy:
    hidden, readonly, writable = paths
    return Policy(hidden, readonly, writable, "writable", Path("/no-such-root"), "kept", ())


@given(RULES, PATHS)
def test_the_deepest_path_decides(rules: dict[Path, Access], asked: Path) -> None:
    found = made(*(tuple(path for path, access in rules.items() if access is kind) for kind in Access))
    expected = Access.WRITE
    for length in range(1, len(asked.parts) + 1):
        expected = rules.get(Path(*asked.parts[:length]), expected)
    assert found.access(asked) is expected
    tree = Tree(rules)
    assert tree.access(asked) is expected
    inner = [access for path, access in rules.items() if asked in path.parents]
    assert tree.has_stricter(asked, Access.READ) == (Access.HIDDEN in inner)


@given(PATHS, st.booleans())
def test_where_a_path_is_named_twice_the_stricter_access_holds(path: Path, hidden: bool) -> None:  # noqa: FBT001
    found = made((path,) if hidden else (), (path,), (path,))
    assert found.rules() == {path: Access.HIDDEN if hidden else Access.READ}


def test_places_are_relative_to_a_home_folder() -> None:
    assert all(not name.startswith(("/", "~")) and ".." not in name for name in (*places.KEYS, *places.STARTED_LATER))
    assert all(name.startswith("/") for name in places.SYSTEM)


def test_links_among_the_definitions_that_lead_nowhere_are_no_paths_of_a_policy(both: Studio) -> None:
    agents = both.path / ".claude/agents"
    for name, leads in (("self.md", "self.md"), ("one.md", "two.md"), ("two.md", "one.md"), ("gone.md", "nowhere")):
        (agents / name).symlink_to(leads)
    assert not [path for path in policy_of(both).rules() if path.is_symlink()]
    assert both.process("run", "--env", "staging", "--", "true").code == 0
