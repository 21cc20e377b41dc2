"""The plugin: made of what the package has, silent where there is no Agent Studio, and never a second recorder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.client import plugged
from tests import real_client
from tests.conftest import REPOSITORY, Studio

import agent_studio
from agent_studio.capture.recorder import build
from agent_studio.cli.dispatch import whole_parser
from agent_studio.knowledge import front_matter
from agent_studio.reasoning.client import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLUGIN = REPOSITORY / "plugin"
HOOKS: dict[str, Any] = json.loads((PLUGIN / "hooks/hooks.json").read_text())["hooks"]
SERVER = json.loads((PLUGIN / ".mcp.json").read_text())["mcpServers"]["agent-studio"]
NAME = "agent-studio@agent-studio"

if sys.platform == "win32":
    pytest.skip("the plugin's lines are for a POSIX shell", allow_module_level=True)


@pytest.fixture(params=["native", "python"])
def plugged_in(request: pytest.FixtureRequest, staged: Studio) -> Studio:
    """A project that nobody records but the plugin, by either recorder."""
    staged.run("hooks", "uninstall", "--yes")
    place = staged.path / ".agent-studio/bin"
    if request.param == "python":
        (place / "recorder").unlink(missing_ok=True)
        shutil.copy(Path(build.__file__).with_name("twin.py"), place / "recorder.py")
    elif not (place / "recorder").exists():
        pytest.skip("there is no C compiler")
    return staged


@contextlib.contextmanager
def same_recorder(studio: Studio) -> Iterator[None]:
    """Put the recorder back that was in place before a command of ours has built the best one."""
    place = studio.path / ".agent-studio/bin"
    kept = shutil.copytree(place, studio.path / "kept")
    yield
    shutil.rmtree(place)
    kept.rename(place)


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """The client's own folder with the plugin installed, in the files that the client writes."""
    folder = tmp_path / "client"
    entry = {"scope": "user", "installPath": str(PLUGIN), "version": agent_studio.__version__}
    _write(folder / "plugins/installed_plugins.json", {"version": 2, "plugins": {NAME: [entry]}})
    _write(folder / "settings.json", {"enabledPlugins": {NAME: True}})
    return folder


def _write(place: Path, value: object) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(value if isinstance(value, str) else json.dumps(value))


def fired(
    project: Path, event: str = "Stop", number: int = 0, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a hook of the plugin as the client does."""
    line = HOOKS[event][number]["hooks"][0]["command"]
    chosen = {**os.environ, "AGENT_STUDIO_ENV": "staging", "CLAUDE_PROJECT_DIR": str(project), **(variables or {})}
    return subprocess.run(line, shell=True, input=b'{"x": 1}', capture_output=True, env=chosen, check=False, timeout=20)


def recorded(studio: Studio) -> int:
    """Fire one event; return how many lines it came to."""
    place = studio.path / ".claude/staging/metrics/events.jsonl"
    before = len(place.read_bytes().splitlines()) if place.exists() else 0
    done = fired(studio.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return (len(place.read_bytes().splitlines()) if place.exists() else 0) - before


def answers(*messages: Mapping[str, Any], project: Path, path: str | None = None) -> list[dict[str, Any]]:
    """Hand messages to the plugin's server and return what it said until its end."""
    line = [SERVER["command"], *(one.replace("${CLAUDE_PLUGIN_ROOT}", str(PLUGIN)) for one in SERVER["args"])]
    chosen = {**os.environ, "CLAUDE_PROJECT_DIR": str(project), "PATH": path or os.environ["PATH"]}
    text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in messages)
    done = subprocess.run(line, input=text, capture_output=True, text=True, env=chosen, check=True, timeout=60)
    return [json.loads(one) for one in done.stdout.splitlines()]


def asked(method: str, number: int | None = None, **parameters: object) -> dict[str, Any]:
    """Return a message as the client writes it."""
    return {"method": method, "params": parameters, "jsonrpc": "2.0"} | ({} if number is None else {"id": number})


HELLO = asked(
    "initialize", 0, protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "client", "version": "1"}
)


def generate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the generator of a copy of the repository's plugin."""
    command = [sys.executable, str(folder / "scripts/plugin.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the plugin and of what it is made by."""
    for name in ("plugin", "scripts", ".claude-plugin"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    return tmp_path


def test_the_plugin_is_what_the_package_makes_of_it(copy: Path) -> None:
    assert (generate(copy, "--check").stdout, generate(copy, "--check").returncode) == ("", 0)
    (copy / "plugin/skills/party/SKILL.md").write_text("changed by hand\n")
    (copy / "plugin/commands/own.md").write_text("nobody knows it\n")
    stale = generate(copy, "--check")
    assert (stale.returncode, stale.stdout.split()[1::2]) == (
        1,
        ["plugin/skills/party/SKILL.md", "plugin/commands/own.md"],
    )
    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


def test_its_skills_are_those_of_init_and_no_command_hides_one(bare: Studio) -> None:
    bare.run("init", "--skills", "--no-hooks")
    made = {name: place for name, place in install.files().items() if name.startswith("skills/")}
    assert len(made) == 3
    for name in made:
        assert (PLUGIN / name).read_bytes() == (bare.path / ".claude" / name).read_bytes()
    commands = {place.stem for place in (PLUGIN / "commands").iterdir()}
    assert not commands & {place.name for place in (PLUGIN / "skills").iterdir()}


def test_its_version_is_the_package_s() -> None:
    manifest = json.loads((PLUGIN / ".claude-plugin/plugin.json").read_text())
    marketplace = json.loads((REPOSITORY / ".claude-plugin/marketplace.json").read_text())
    assert manifest["version"] == marketplace["metadata"]["version"] == agent_studio.__version__
    (entry,) = marketplace["plugins"]
    assert (REPOSITORY / entry["source"]).samefile(PLUGIN)
    assert entry["name"] == manifest["name"] == marketplace["name"] == "agent-studio"


@pytest.mark.parametrize("name", ["status", "gate"])
def test_commands_of_its_own_name_what_there_is(name: str) -> None:
    text = (PLUGIN / f"commands/{name}.md").read_text()
    assert "description" in front_matter.read(text).fields
    for line in re.findall(r"`agent-studio ([^`]+)`", text):
        words = [word for word in shlex.split(line) if word.islower()]
        whole_parser().parse_args(words[: words.index("--env") if "--env" in words else None])


def test_the_plugin_records_where_nobody_else_does(plugged_in: Studio) -> None:
    assert recorded(plugged_in) == 1


@pytest.mark.parametrize(
    "words",
    [("--client-version", "2.1.330"), ("--client-version", "2.0.76"), ("--shared",),
     ("--transport", "http", "--client-version", "2.1.330")],
)  # fmt: skip
def test_an_event_that_the_settings_record_is_left_to_them(plugged_in: Studio, words: tuple[str, ...]) -> None:
    with same_recorder(plugged_in):
        assert plugged_in.run("hooks", "install", "--no-wrap", *words).code == 0
    assert recorded(plugged_in) == 0
    plugged_in.run("hooks", "uninstall", "--yes")
    assert recorded(plugged_in) == 1


def test_hooks_under_the_clock_are_no_recorder_of_events(plugged_in: Studio) -> None:
    own = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}}
    plugged_in.write(".claude/settings.json", json.dumps(own))
    with same_recorder(plugged_in):
        assert plugged_in.run("hooks", "wrap", "--yes").code == 0
    assert "/.agent-studio/bin/recorder" in (plugged_in.path / ".claude/settings.json").read_text()
    assert recorded(plugged_in) == 1


@pytest.mark.parametrize("text", ['{"command": "/a b/.agent-studio/bin/recorder || true"}', "{", "x" * 200_000])
def test_an_entry_that_was_edited_counts_and_other_texts_do_not(plugged_in: Studio, text: str) -> None:
    plugged_in.write(".claude/settings.json", text)
    assert recorded(plugged_in) == (0 if "recorder" in text else 1)


def test_a_folder_in_the_place_of_settings_stops_nothing(plugged_in: Studio) -> None:
    (plugged_in.path / ".claude/settings.json").mkdir()
    assert recorded(plugged_in) == 1


def test_in_a_run_the_plugin_leaves_recording_to_it(plugged_in: Studio) -> None:
    inbox = plugged_in.path / ".claude/staging/metrics/events.jsonl"
    assert fired(plugged_in.path, variables={"AGENT_STUDIO_ISOLATION": "none"}).returncode == 0
    assert not inbox.exists() or not inbox.read_bytes()


def test_without_agent_studio_every_hook_is_silent_and_leaves_nothing(tmp_path: Path) -> None:
    for event, groups in HOOKS.items():
        for number in range(len(groups)):
            done = fired(tmp_path, event, number, {"PATH": "/usr/bin:/bin"})
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), event
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_lacks_something_is_told_once_as_it_starts(staged: Studio) -> None:
    with_ours = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])

    def told(path: str) -> str:
        done = fired(staged.path, "SessionStart", 1, {"PATH": path})
        assert (done.returncode, done.stderr) == (0, b"")
        return str(json.loads(done.stdout)["systemMessage"]) if done.stdout else ""

    assert HOOKS["SessionStart"][1]["matcher"] == "startup"
    assert told(with_ours) == ""
    assert "agent-studio is not on the PATH" in told("/usr/bin:/bin")
    shutil.rmtree(staged.path / ".agent-studio/bin")
    assert "agent-studio init --no-hooks" in told(with_ours)
    shutil.rmtree(staged.path / ".agent-studio")  # as in a fresh clone
    assert told(with_ours) == told("/usr/bin:/bin") == ""
    assert all(len(groups) == 1 for event, groups in HOOKS.items() if event != "SessionStart")


def test_without_agent_studio_a_server_without_tools_answers(tmp_path: Path) -> None:
    said = answers(
        HELLO, asked("notifications/initialized"), asked("ping", 7), asked("tools/list", 8), project=tmp_path
    )
    assert [one["id"] for one in said] == [0, 7, 8]
    assert said[0]["result"]["protocolVersion"] == "2025-06-18"
    assert said[0]["result"]["capabilities"] == {}
    assert said[1]["result"] == {}
    assert said[2]["error"]["code"] == -32601
    assert list(tmp_path.iterdir()) == []


def test_with_agent_studio_the_project_s_server_answers(staged: Studio) -> None:
    messages = (HELLO, asked("notifications/initialized"), asked("tools/list", 1))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    said = answers(*messages, project=staged.path, path=path)
    assert "search_artifacts" in {one["name"] for one in said[-1]["result"]["tools"]}
    assert answers(HELLO, project=staged.path, path="/usr/bin:/bin")[0]["result"]["capabilities"] == {}


def test_status_and_doctor_say_that_the_plugin_records(staged: Studio, client: Path) -> None:
    variables = {"CLAUDE_CONFIG_DIR": str(client)}
    staged.run("hooks", "uninstall", "--yes")
    found = staged.json("hooks", "status", variables=variables)
    assert (found["works"], found["plugin"]["name"], len(found["plugin"]["events"])) == (True, NAME, 9)
    assert found["plugin"]["events"] == sorted(HOOKS)
    assert f"the plugin {NAME} records" in staged.run("hooks", "status", variables=variables).out
    assert f"9 kinds of events by its plugin {NAME}" in staged.run("doctor", variables=variables).out
    inside = {**variables, "AGENT_STUDIO_ISOLATION": "none"}
    assert staged.json("hooks", "status", variables=inside)["works"]
    assert staged.json("hooks", "status")["wired"] is False
    assert staged.run("hooks", "install").code == 0
    assert "leaves recording to the settings" in staged.run("hooks", "status", variables=variables).out


def test_a_plugin_that_is_not_this_project_s_is_not_counted_on(staged: Studio, client: Path) -> None:
    variables = {"CLAUDE_CONFIG_DIR": str(client)}
    staged.run("hooks", "uninstall", "--yes")
    staged.write(".claude/settings.json", json.dumps({"enabledPlugins": {NAME: False}}))
    assert staged.json("hooks", "status", variables=variables)["plugin"] is None
    (staged.path / ".claude/settings.json").unlink()
    place = client / "plugins/installed_plugins.json"
    entry = {"installPath": str(PLUGIN), "version": "0.0.1", "projectPath": str(staged.path)}
    _write(place, {"plugins": {NAME: [entry]}})
    assert "is of version 0.0.1" in staged.run("doctor", variables=variables).out
    assert "claude plugin update" in staged.run("hooks", "status", variables=variables).out
    foreign: tuple[object, ...] = (
        {"plugins": {NAME: [{**entry, "projectPath": "/elsewhere"}]}}, {"plugins": {"other@agent-studio": [entry]}},
        {"plugins": {NAME: ["x", 1, None]}}, {"plugins": []}, [], "{", "null",
    )  # fmt: skip
    for value in foreign:
        _write(place, value)
        assert staged.json("hooks", "status", variables=variables)["plugin"] is None, value


def test_the_client_installs_uses_and_takes_out_the_plugin(tmp_path: Path) -> None:
    assert list(plugged.faults(plugged.use(real_client.installed(), tmp_path.resolve()))) == []
